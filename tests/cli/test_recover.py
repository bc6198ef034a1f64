"""A project on an empty machine, from its copy elsewhere: files, secrets, certificates, data, and the copy goes on."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from support import database, offsite, program, worker
from support.backups import copied, offsite_state as state, sql
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()
PASSWORD = "Xk29-fjw0-w9dk"


def compose(offsite, port):
    return f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/password, APP: "${{APP}}"}}
    secrets: [password]
    ports: ["127.0.0.1:{port}:5432"]
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
secrets: {{password: {{file: secrets/password}}}}
x-berth: {{backup: {{offsite: {{{offsite}, schedule: 1s}}}}}}
"""


@pytest.fixture
def machines(berth, workspace, shared_store):
    """This machine and an empty one."""
    berth.environment.pop("BERTH_BACKUP")
    other = program.Berth(workspace / "elsewhere", {}, shared_store)
    other.environment.pop("BERTH_BACKUP")
    yield berth, other
    trouble = other.clean()
    other.destroy()
    assert not trouble, "left behind on the other machine:\n" + "\n".join(trouble)


def ask(port, folder, password=PASSWORD):
    """The greeting of the application's table, over TLS as the folder's authority vouches for it."""
    done = subprocess.run([database.program("psql"), "-XAtc", "SELECT word FROM greeting", f"host=localhost port={port} user=postgres "
                           f"sslmode=verify-full sslrootcert={folder}/tls/ca.crt"], text=True, capture_output=True,
                          env={**os.environ, "PGPASSWORD": password, "HOME": "/nonexistent"})
    return done.stdout.strip() or done.stderr.strip()


def test_a_whole_project_on_an_empty_machine(machines, project, s3, free_port):
    """The host is lost: another one has nothing but berth, the place's credentials and the key."""
    here, other = machines
    port = free_port()
    place = f"url: 's3://backups/whole', endpoint: '{s3.endpoint}', credentials: secrets/s3, key: keys/shop.json"
    deployment = project(compose(place, port), name="shop", files={".env": "APP=from-env\n", "migrations/1.up.sql": "SELECT 1;\n"})
    deployment.write("secrets/password", PASSWORD, mode=0o600)
    deployment.write("secrets/s3", s3.credentials.read_text(), mode=0o600)
    made = deployment("backup", "key")
    assert "loses" in made.stderr
    identity = made.stdout.split()[0]
    assert identity == json.loads((deployment.folder / "keys/shop.json").read_text())["id"]
    deployment("secure", "db")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE greeting AS SELECT 'hello'::text AS word")
    copied(here, deployment)
    wait_until(lambda: state(here, "shop").get("bundle") == "sealed")
    assert identity in deployment("backup", "ls").stdout
    key = other.root / "key.json"
    key.write_bytes((deployment.folder / "keys/shop.json").read_bytes())
    key.chmod(0o600)
    for path in (s3.files()).rglob("*"):
        if path.is_file() and path.name != "repository.json":
            assert PASSWORD.encode() not in path.read_bytes() and b"PRIVATE KEY" not in path.read_bytes(), path
    deployment("down", "-v", "--purge", "--yes")

    words = ["recover", "s3://backups/whole", "--endpoint", s3.endpoint, "--credentials", s3.credentials]
    folder = other.root / "shop"
    wrong = other.fails(*words, "--yes", folder)
    assert identity in wrong and "no key was given" in wrong and not folder.exists()
    assert "not without a yes" in other.fails(*words, "--key", key, folder)
    # Cut on the way: nothing is called recovered, and the same command goes on.
    front = offsite.Faulty(s3, lambda method, path, before: "refuse" if ".pack" in path else None)
    cut = other.fails("recover", "s3://backups/whole", "--endpoint", front.endpoint, *words[4:], "--key", key, "--yes", folder)
    front.stop()
    assert "reach http" in cut and "goes on from here" in cut and (folder / ".berth-recover.json").exists()
    told = other(*words, "--key", key, folder)
    assert str(folder) in told.stdout
    back = program.Project(other, folder)
    wait_until(lambda: ask(port, folder) == "hello")
    assert (folder / "secrets/password").read_text() == PASSWORD and (folder / "secrets/password").stat().st_mode & 0o777 == 0o600
    assert (folder / "keys/shop.json").stat().st_mode & 0o777 == 0o600 and not (folder / ".berth-recover.json").exists()
    assert back.exec("db", "printenv", "APP") == "from-env"
    assert ".before-" not in back("volume", "ls").stdout
    # What was changed in the cluster is in its files: it is known here, too, and goes when it is not wanted.
    changed, = json.loads(back("status", "--format", "json").stdout)[0]["settings"]
    assert changed["name"] == "max_slot_wal_keep_size" and changed["before"] is None and changed["set"] == changed["value"]
    # The same line goes on, from there alone.
    sql(back, "INSERT INTO greeting VALUES ('again')")
    copied(other, back)
    line, = {row.split("/")[2] for row in (str(path.relative_to(s3.files() / "whole")) for path in (s3.files() / "whole").rglob("*repository.json*"))}
    found = worker.run(other, "repository-verify", copy=s3.location("whole"), folder=f"shop/db/{line}", key=str(key)).result
    assert found["faults"] == [] and found["backups"] >= 1
    refused = worker.fails(here, "offsite", project="shop", service="db", copy=s3.location("whole"), key=str(deployment.folder / "keys/shop.json"))
    assert refused["kind"] == "exists" and "belongs to another installation" in refused["message"] and "--take-over" in refused["hint"]
    assert "is on this machine already" in other.fails(*words, "--key", key, "--yes", other.root / "twice")
    back.write("compose.override.yaml", "x-berth: {backup: !override off}\n")
    back("up", "-d", "--wait")
    assert sql(back, "SELECT count(*) FROM pg_file_settings WHERE name = 'max_slot_wal_keep_size'") == "0"
    back("down", "-v", "--purge", "--yes")


@pytest.mark.slow
def test_without_a_key_it_asks_for_the_secrets_and_goes_on(machines, project, tmp_path, free_port):
    here, other = machines
    port, place = free_port(), tmp_path / "mount"
    place.mkdir()
    deployment = project(compose(f"url: {place}", port), name="open")
    deployment.write("secrets/password", PASSWORD, mode=0o600)
    deployment("up", "-d", "--wait", env={"APP": "x"})
    sql(deployment, "CREATE TABLE greeting AS SELECT 'hello'::text AS word")
    copied(here, deployment)
    wait_until(lambda: state(here, "open").get("bundle") == "open")
    deployment("down", "-v", "--purge", "--yes")
    folder = other.root / "open"
    told = other.fails("recover", place, "--yes", folder)
    assert f"missing: {folder}/secrets/password" in told and "run the same command again" in told
    assert (folder / "compose.yaml").exists() and not (folder / "secrets/password").exists()
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets/password").write_text(PASSWORD)
    other("recover", place, "--yes", folder, env={"APP": "x"})
    back = program.Project(other, folder)
    assert sql(back, "SELECT word FROM greeting") == "hello"
    back("down", "-v", "--purge", "--yes")


@pytest.mark.slow
def test_over_sftp_by_the_keeper_and_back(machines, project, sshd, free_port):
    """The host key is checked, by the keeper and by recover; the copy follows the log and brings the project back."""
    here, other = machines
    port, place = free_port(), here.root / "remote"
    place.mkdir()
    url = f"sftp://root@127.0.0.1:{sshd.port}{place}"
    deployment = project(compose(f"url: '{url}', identity: secrets/ssh, known_hosts: secrets/known, key: keys/shop.json", port), name="over")
    deployment.write("secrets/password", PASSWORD, mode=0o600)
    deployment.write("secrets/ssh", (sshd.folder / "key").read_text(), mode=0o600)
    deployment.write("secrets/known", f"[127.0.0.1]:{sshd.port} {(sshd.folder / 'wrong.pub').read_text()}")
    deployment("backup", "key")
    deployment("up", "-d", "--wait", env={"APP": "x"})
    sql(deployment, "CREATE TABLE greeting AS SELECT 'hello'::text AS word")
    wait_until(lambda: state(here, "over").get("phase") == "failed")
    assert "host key" in state(here, "over")["message"] and not list(place.iterdir())
    deployment.write("secrets/known", sshd.known_hosts.read_text())
    copied(here, deployment)
    sql(deployment, "INSERT INTO greeting VALUES ('again')")
    copied(here, deployment)
    assert state(here, "over")["phase"] == "copied" and state(here, "over")["bundle"] == "sealed"
    key = other.root / "key.json"
    key.write_bytes((deployment.folder / "keys/shop.json").read_bytes())
    key.chmod(0o600)
    deployment("down", "-v", "--purge", "--yes")
    folder, words = other.root / "over", ["recover", url, "--key", key, "--yes", "--identity", sshd.folder / "key"]
    unknown = other.root / "unknown"
    unknown.write_text("")
    assert "host key" in other.fails(*words, "--known-hosts", unknown, folder) and not folder.exists()
    other(*words, "--known-hosts", sshd.known_hosts, folder, env={"APP": "x"})
    back = program.Project(other, folder)
    assert sql(back, "SELECT string_agg(word, ' ' ORDER BY word) FROM greeting") == "again hello"
    sql(back, "INSERT INTO greeting VALUES ('on')")
    copied(other, back)  # with the project's own files
    back("down", "-v", "--purge", "--yes")


def recipe(heading):
    text = (program.ROOT / "docs" / "backup-format.md").read_text()
    return re.search(rf"^#+ {heading}$.*?^```sh\n(.*?)^```$", text, re.M | re.S).group(1)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.slow
def test_by_hand_from_an_encrypted_copy(protected, project, tmp_path, free_port):
    """The recipes of the documentation as they stand there, without Berth: the copy opened, the project's files, a data folder."""
    place, plain, files, data = (tmp_path / name for name in ("mount", "plain", "files", "data"))
    place.mkdir()
    data.mkdir()
    deployment = project(compose(f"url: {place}, key: keys/shop.json", free_port()), name="hand",
                         files={".env": "APP=from-env\n", "conf/app.ini": "answer = 42\n"})
    deployment.write("secrets/password", PASSWORD, mode=0o600)
    deployment("backup", "key")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE greeting AS SELECT 'hello'::text AS word")
    wait_until(lambda: state(protected, "hand").get("bundle") == "sealed" and list(place.glob("hand/db/*/backups/*/backup.json")))
    deployment("stop")
    line, = place.glob("hand/db/*")

    def by_hand(heading, **where):
        subprocess.run(["sh", "-ec", recipe(heading)], check=True, stdin=subprocess.DEVNULL,
                       env={"PATH": f"{pathlib.Path(database.program('pg_verifybackup')).parent}:/usr/bin:/bin", **{name: str(path) for name, path in where.items()}})

    by_hand("An encrypted copy", COPY=line, REPOSITORY=plain, KEY=deployment.folder / "keys/shop.json")
    by_hand("The project's files", REPOSITORY=plain, TARGET=files)
    for name in ("compose.yaml", ".env", "conf/app.ini", "secrets/password"):
        assert (files / "folder" / name).read_bytes() == (deployment.folder / name).read_bytes(), name
    assert (files / "folder/secrets/password").stat().st_mode & 0o777 == 0o600
    manifest = json.loads((files / "berth/manifest.json").read_text())
    assert manifest["project"] == "hand" and manifest["secrets"] is True
    assert not list(files.rglob("shop.json")), "the key does not travel with what it opens"
    by_hand("By hand", REPOSITORY=plain, TARGET=data)
    assert (data / "PG_VERSION").read_text().strip() == str(MAJOR)
