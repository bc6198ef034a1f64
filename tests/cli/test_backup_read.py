"""A full backup reads the server's files from its folder: it takes what BASE_BACKUP would have sent, follows no link that the
container has laid, and looks at every page."""
import json
import os
import pathlib
import stat
import subprocess

import pytest

from support import backups, database, worker
from support.backups import sql

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
PASSWORD = "Xk29-fjw0-w9dk"
# What differs by its nature: it speaks of the backup itself, or of the moment.
OF_THE_MOMENT = {"backup_label", "backup_manifest", "global/pg_control", "postgresql.auto.conf", "recovery.signal"}


def start(project, protected, name):
    deployment = project(backups.compose(database.major()), name=name)
    deployment("up", "-d", "--wait")
    deployment.berth = protected
    deployment.first = backups.first_backup(protected, deployment)
    return deployment


def pid(deployment):
    return json.loads(deployment("inspect", f"{deployment.name}-db-1").stdout)[0]["State"]["Pid"]


def folder(deployment):
    return pathlib.Path(f"/proc/{pid(deployment)}/root/var/lib/postgresql/data")


def take(deployment, **more):
    return worker.Job(deployment.berth, "backup", project=deployment.name, service="db", full=True, wait=True,
                      target={"pid": pid(deployment), "password": PASSWORD, "data_dir": "/var/lib/postgresql/data"}, **more).end()


def laid(deployment, backup):
    target = deployment.folder / f"laid-{backup['id']}"
    target.mkdir()
    worker.run(deployment.berth, "restore", repository=deployment.first["repository"], directory=str(target), to="immediate",
               backup=backup["id"])
    changed = ["postgresql.auto.conf", "recovery.signal", "backup_label", "pg_tblspc", "berth_tablespaces"]  # by the restore
    done = subprocess.run([database.program("pg_verifybackup"), "-n", *(f"--ignore={name}" for name in changed), target],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def tree(target):
    """{path: (mode, content)} of all but the log."""
    found = {}
    for path in sorted(target.rglob("*")):
        name = str(path.relative_to(target))
        if name in OF_THE_MOMENT or name.startswith("pg_wal/") or name.startswith("pg_stat/"):
            continue
        mode = path.lstat().st_mode
        found[name] = (oct(mode), os.path.basename(os.readlink(path)) if path.is_symlink() else path.read_bytes() if stat.S_ISREG(mode) else b"")
    return found


@pytest.mark.slow
def test_it_takes_what_the_server_would_send(project, protected):
    deployment = start(project, protected, "same")
    deployment.exec("db", "sh", "-c", "mkdir -p /srv/space && chown postgres: /srv/space")
    sql(deployment, "CREATE TABLESPACE space LOCATION '/srv/space'")
    sql(deployment, "CREATE TABLE far TABLESPACE space AS SELECT generate_series(1, 3000) AS i")
    sql(deployment, "CREATE UNLOGGED TABLE loose AS SELECT i FROM generate_series(1, 3000) AS i; CREATE INDEX ON loose(i)")
    sql(deployment, "CREATE TABLE empty(i int)")
    data = folder(deployment)
    (data / "base/pgsql_tmp").mkdir(exist_ok=True)
    os.chown(data / "base/pgsql_tmp", data.stat().st_uid, data.stat().st_gid)
    (data / "base/pgsql_tmp/pgsql_tmp77.0").write_text("gone")
    (data / "mine.conf").write_text("# kept\n")
    (data / "Größe").write_text("kept")
    loose = sql(deployment, "SELECT pg_relation_filepath('loose')")
    sql(deployment, "ALTER SYSTEM SET autovacuum = off")
    sql(deployment, "SELECT pg_reload_conf()")
    sql(deployment, "CHECKPOINT")
    read, streamed = take(deployment), take(deployment, streamed=True)
    assert not read.error and not streamed.error, (read.error, streamed.error)
    assert read.result["streamed"] is False and streamed.result["streamed"] is True
    left, right = (laid(deployment, job.result) for job in (read, streamed))
    files = tree(left)
    assert files == tree(right)
    assert {"mine.conf", "Größe", f"{loose}_init"} <= set(files) and loose not in files and "postmaster.pid" not in files
    assert any(name.startswith("berth_tablespaces/") and content for name, (_, content) in files.items())
    labels = [dict(line.split(": ", 1) for line in (one / "backup_label").read_text().splitlines()) for one in (left, right)]
    assert labels[0].keys() == labels[1].keys()
    # The log that makes it consistent came with it.
    names = [sorted(path.name for path in (one / "pg_wal").iterdir() if len(path.name) == 24) for one in (left, right)]
    assert len(names[0]) == len(names[1]) >= 1
    deployment("restore", "db", "--backup", read.result["id"], "--to", "immediate", "--yes")
    assert sql(deployment, "SELECT (SELECT count(*) FROM far), (SELECT count(*) FROM loose)") == "3000|0"


def test_links_and_pipes_of_the_container_lead_nowhere(project, protected):
    deployment = start(project, protected, "hostile")
    data = folder(deployment)
    secret = deployment.folder / "secret"
    secret.write_text("of the host")
    os.symlink(secret, data / "base/5/99998")
    os.symlink("/etc", data / "base/away")
    os.symlink("../../../../../../../../etc/passwd", data / "outside")
    os.mkfifo(data / "pipe")
    job = take(deployment)
    assert job.error is None and job.result["streamed"] is False
    said = json.dumps(job.events)
    for name in ("base/5/99998", "base/away", "outside", "pipe"):
        assert f'\\"{name}\\" is neither a file nor a folder' in said, name
    names = set(tree(laid(deployment, job.result)))
    assert not names & {"base/5/99998", "base/away", "outside", "pipe"} and "base/away/passwd" not in names


@pytest.mark.parametrize("streamed", [False, True])
def test_a_damaged_page_is_found(project, protected, streamed):
    deployment = start(project, protected, "rotten")
    sql(deployment, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i")
    sql(deployment, "CHECKPOINT")
    path = sql(deployment, "SELECT pg_relation_filepath('t')")
    with open(folder(deployment) / path, "r+b") as file:
        file.seek(8192 * 3 + 4000)
        file.write(b"rotten")
    job = take(deployment, streamed=streamed)
    assert job.error["kind"] == "corrupt" and "checksum" in job.error["message"], job.error
    assert path in json.dumps(job.events), "the warning names the file"
    assert [row["id"] for row in backups.listed(deployment)] == [deployment.first["id"]]
    if not streamed:
        assert f'block 3 of \\"{path}\\"' in json.dumps(job.events)


def test_elsewhere_it_is_streamed(project, protected):
    """Of a server that is reached over a network nothing is to be seen but what it sends."""
    deployment = project(backups.compose(database.major(), ports='ports: ["127.0.0.1:0:5432"]'), name="far")
    deployment("up", "-d", "--wait")
    backups.first_backup(protected, deployment)
    deployment.exec("db", "sh", "-c", "echo host replication all all scram-sha-256 >> /var/lib/postgresql/data/pg_hba.conf")
    sql(deployment, "SELECT pg_reload_conf()")
    port = deployment("port", "db", "5432").stdout.strip().rpartition(":")[2]
    job = worker.run(protected, "backup", project="far", service="db", full=True, wait=True,
                     target={"url": f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"})
    assert job.result["streamed"] is True


@pytest.mark.slow
def test_a_log_in_a_volume_of_its_own(project, protected):
    """initdb --waldir makes pg_wal a link, which is the server's own."""
    text = backups.compose(database.major()).replace('PASSWORD: "Xk29-fjw0-w9dk"', 'PASSWORD: "Xk29-fjw0-w9dk", POSTGRES_INITDB_WALDIR: /log/wal')
    text = text.replace('"data:/var/lib/postgresql/data"', '"data:/var/lib/postgresql/data", "log:/log"').replace("data: {}}", "data: {}, log: {}}")
    deployment = project(text, name="apart")
    deployment("up", "-d", "--wait")
    deployment.berth, deployment.first = protected, backups.first_backup(protected, deployment)
    assert (folder(deployment) / "pg_wal").is_symlink()
    sql(deployment, "CREATE TABLE t AS SELECT generate_series(1, 3000) AS i")
    job = take(deployment)
    assert job.error is None and job.result["streamed"] is False, job.error
    target = laid(deployment, job.result)
    assert [path for path in (target / "pg_wal").iterdir() if len(path.name) == 24], "no log came with it"
    assert not (target / "pg_wal").is_symlink()
