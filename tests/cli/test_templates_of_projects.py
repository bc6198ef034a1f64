"""Template clusters in real projects: made at the first fresh start, used from then on, and what switches them off."""
import json
import os
import re
import shutil
import subprocess

import pytest

from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not [m for m in MAJORS if m >= 14], reason="no PostgreSQL from 14 on is installed")
MAJOR = max([m for m in MAJORS if m >= 14], default=0)
TARGET = "/var/lib/postgresql" if MAJOR >= 18 else "/var/lib/postgresql/data"
MARK = "copy of the template"
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment:
      POSTGRES_PASSWORD: secret
      POSTGRES_USER_FILE: /run/secrets/user
      POSTGRES_DB: shop
    secrets: [user]
    volumes: ["data:{TARGET}"]
    x-berth: {{images: host, EXTRA}}
    healthcheck: {{test: [CMD, pg_isready, -U, keeper], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
secrets: {{user: {{file: ./user}}}}
"""


def query(deployment, sql):
    return deployment("exec", "-T", "db", "psql", "-XAtc", sql, "-U", "keeper", "shop").stdout.strip()


def make(project, name, extra="template: on"):
    return project(COMPOSE.replace("EXTRA", extra), name=name, files={"user": "keeper\n"})


def test_projects_share_a_template_and_nothing_else(project, berth):
    numbers = set()
    for name in ("one", "two"):
        deployment = make(project, name)
        deployment("up", "-d", "--wait")
        assert MARK in deployment("logs", "--no-log-prefix").stdout
        assert query(deployment, "SELECT current_user || ' ' || current_database()") == "keeper shop"
        numbers.add(query(deployment, "SELECT system_identifier FROM pg_control_system()"))
        deployment("down")
    assert len(numbers) == 2
    templates = [name for folder in (berth.data / "templates").iterdir() for name in os.listdir(folder)
                 if not name.startswith(".")]
    assert len(templates) == 1


def test_existing_volume_is_kept(project):
    deployment = make(project, "again")
    deployment("up", "-d", "--wait")
    query(deployment, "CREATE TABLE kept ()")
    number = query(deployment, "SELECT system_identifier FROM pg_control_system()")
    deployment("down")
    deployment("up", "-d", "--wait")
    assert query(deployment, "SELECT count(*) FROM kept") == "0"
    assert query(deployment, "SELECT system_identifier FROM pg_control_system()") == number


def test_template_off(project, berth):
    deployment = make(project, "off", "template: off")
    deployment("up", "-d", "--wait")
    assert MARK not in deployment("logs", "--no-log-prefix").stdout
    assert not (berth.data / "templates").exists() or not list((berth.data / "templates").glob("*/[0-9a-f]*"))


def test_templates_may_go_and_old_ones_do(project, berth):
    deployment = make(project, "prune")
    deployment("up", "-d", "--wait")
    folder = next((berth.data / "templates").iterdir())
    gone = berth.data / "templates" / ("0" * 32)
    gone.mkdir()
    long_ago = 1_000_000_000
    os.utime(folder, (long_ago, long_ago))
    assert f"Deleted template: {gone.name}\n" in berth("system", "prune").stdout
    assert folder.exists() and not gone.exists()  # a container has it
    deployment("stop")
    shutil.rmtree(berth.data / "templates")
    deployment("start", "--wait")
    deployment("down")
    os.utime(folder, (long_ago, long_ago))
    assert f"Deleted template: {folder.name}\n" in berth("system", "prune").stdout
    assert not folder.exists()
    # A first start is a use; a young one stays.
    deployment("down", "-v", "--yes")
    deployment("up", "-d", "--wait")
    assert MARK in deployment("logs", "--no-log-prefix").stdout
    deployment("down")
    assert "Deleted template" not in berth("system", "prune").stdout


def test_templates_that_nobody_uses_go_beside_one_that_is_used(project, berth):
    deployment = make(project, "beside")
    deployment("up", "-d", "--wait")
    folder = next((berth.data / "templates").iterdir())
    used = next(path for path in folder.iterdir() if not path.name.startswith("."))
    stale, young, half = (folder / name for name in ("0" * 32, "1" * 32, f".{'2' * 32}.tmp"))
    for path in (stale, young, half):
        path.mkdir()
    for path in (stale, half, used):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    # A first start is a use.
    deployment("down", "-v", "--yes")
    deployment("up", "-d", "--wait")
    told = berth("system", "prune").stdout
    assert f"Deleted template: {folder.name}/{stale.name}\n" in told and f"{folder.name}/{half.name}\n" in told
    assert used.is_dir() and young.is_dir() and not stale.exists() and not half.exists()


# ---- images with an entrypoint of their own ----

STORED = """
services:
  db:
    image: postgres:16-alpine
    environment: {POSTGRES_PASSWORD: "it's $$ecret", POSTGRES_USER: keeper, POSTGRES_DB: shop, EXTRA_WORD: kept}
    volumes: ["data:/var/lib/postgresql/data"EXTRA]
    healthcheck: {test: [CMD, pg_isready, -U, keeper], interval: 1s, retries: 120}
volumes: {data: {}}
"""
# What the official script's descendants have in common: PG_VERSION means a database, and this function makes one.
SCRIPT = """#!/bin/bash
docker_init_database_dir() { echo 'the script initialises'; initdb --username="$POSTGRES_USER" -A trust; }
if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"; fi
echo "environment: $EXTRA_WORD ${POSTGRES_PASSWORD:+password} ${HOME}"
if [ -s "$PGDATA/PG_VERSION" ]; then echo 'the script finds a database'; else docker_init_database_dir; fi
exec "$@"
"""
SCRIPT_MOUNT = ', "./docker-entrypoint.sh:/usr/local/bin/docker-entrypoint.sh:ro"'


def stored(project, images, name, extra="", files=None):
    images("postgres:16-alpine")
    deployment = project(STORED.replace("EXTRA]", extra + "]"), name=name, files=files)
    if files and "docker-entrypoint.sh" in files:
        (deployment.folder / "docker-entrypoint.sh").chmod(0o755)
    return deployment


def test_image_of_the_store_has_its_template(project, images, berth):
    numbers = set()
    for name in ("stored1", "stored2"):
        deployment = stored(project, images, name)
        deployment("up", "-d", "--wait")
        assert MARK in deployment("logs", "--no-log-prefix").stdout
        assert query(deployment, "SELECT current_user || ' ' || current_database()") == "keeper shop"
        assert deployment("exec", "-T", "-e", "PGPASSWORD=it's $ecret", "db", "psql", "-h", "db", "-U", "keeper", "-XAtc",
                          "SELECT 1", "shop").stdout == "1\n"
        refused = deployment("exec", "-T", "-e", "PGPASSWORD=wrong", "db", "psql", "-h", "db", "-U", "keeper", "-c", "", "shop",
                             check=False)
        assert refused.returncode != 0 and "password authentication failed" in refused.stderr
        numbers.add(query(deployment, "SELECT system_identifier FROM pg_control_system()"))
        assert "docker-entrypoint" in deployment("ps", "--no-trunc").stdout
        assert "--ahead" not in deployment("ps", "--no-trunc").stdout
        deployment("down")
    assert len(numbers) == 2


def test_images_own_entrypoint_finds_the_database_and_its_environment(project, images):
    deployment = stored(project, images, "script", SCRIPT_MOUNT, {"docker-entrypoint.sh": SCRIPT})
    deployment("up", "-d", "--wait")
    log = deployment("logs", "--no-log-prefix").stdout
    assert MARK in log and "the script finds a database" in log and "the script initialises" not in log
    assert "environment: kept password" in log
    assert deployment("exec", "-T", "db", "cat", "/proc/1/comm").stdout.strip() == "postgres"
    deployment("stop")
    assert "database system is shut down" in deployment("logs", "--no-log-prefix").stdout


@pytest.mark.parametrize("why", ["init files", "unknown entrypoint"])
def test_image_makes_its_cluster_where_a_template_will_not_do(project, images, why):
    files = {"docker-entrypoint.sh": SCRIPT, "more.sql": "SELECT 1;\n"}
    mounts = SCRIPT_MOUNT
    if why == "init files":
        mounts += ', "./more.sql:/docker-entrypoint-initdb.d/more.sql:ro"'
    else:
        files["docker-entrypoint.sh"] = SCRIPT.replace("docker_init_database_dir", "make_a_database")
    deployment = stored(project, images, "own", mounts, files)
    deployment("up", "-d", "--wait")
    log = deployment("logs", "--no-log-prefix").stdout
    assert MARK not in log and "the script initialises" in log


def test_remains_of_a_first_start_do_not_reach_the_images_entrypoint(project, images, berth):
    deployment = stored(project, images, "remains", SCRIPT_MOUNT, {"docker-entrypoint.sh": SCRIPT})
    deployment("create")
    data = berth.data / "volumes" / "remains_data" / "_data"
    (data / ".berth-init").mkdir()
    (data / ".berth-init" / "state").write_text("format 1\n")
    (data / "PG_VERSION").write_text("16\n")
    deployment("up", "-d", "--wait")
    log = deployment("logs", "--no-log-prefix").stdout
    assert "did not finish" in log and MARK in log and "the script finds a database" in log
    assert query(deployment, "SELECT 1") == "1"


# ---- every major ----

TWO = """
services:
  one: &service
    image: postgres:MAJOR
    environment: {POSTGRES_PASSWORD: "it's $$ecret", POSTGRES_USER: keeper, POSTGRES_DB: shop}
    volumes: ["one:TARGET"]
    x-berth: {images: registry}
    healthcheck: {test: [CMD, pg_isready, -U, keeper], interval: 1s, retries: 120}
  two:
    <<: *service
    volumes: ["two:TARGET"]
volumes: {one: {}, two: {}}
"""
# What reads a cluster from outside: the image's own, or this machine's where it has none (14 and 16 share 15's formats).
LOOK = r"""
PATH=$PATH:/usr/lib/postgresql/$PG_MAJOR/bin; cd "$PGDATA"
pg_controldata . && pg_checksums --check -D . && pg_waldump -n 3 -p pg_wal "$(ls pg_wal | grep -x '[0-9A-F]\{24\}' | head -n 1)"
"""


def identity(deployment, service, folder, major):
    """(number, nonce) as the files have them; everything that reads them agrees."""
    if major in (14, 16):
        tools = f"/usr/lib/postgresql/{MAJOR}/bin"
        text = subprocess.run([f"{tools}/pg_controldata", folder], capture_output=True, text=True, env={"LC_ALL": "C"}).stdout
    else:
        looked = deployment("run", "--rm", "-T", "--no-deps", "--user", "postgres", "--entrypoint", "sh", service, "-c", LOOK)
        text = looked.stdout
        assert "Bad checksums:  0" in text and "system identifier" not in looked.stderr, text + looked.stderr
    assert "WARNING" not in text
    number = re.search(r"Database system identifier: +(\d+)", text).group(1)
    segment = sorted(path for path in (folder / "pg_wal").iterdir() if len(path.name) == 24)[0]
    assert int.from_bytes(segment.read_bytes()[24:32], "little") == int(number)
    return number, re.search(r"Mock authentication nonce: +(\w+)", text).group(1)


def login(deployment, service, password):
    return deployment("exec", "-T", "-e", f"PGPASSWORD={password}", service, "psql", "-h", service, "-U", "keeper", "-XAtc",
                      "SELECT 1", "shop", check=False)


@pytest.mark.parametrize("major", [13, *(pytest.param(n, marks=pytest.mark.slow) for n in (14, 15, 16, 17)), 18])
def test_copies_of_every_major_are_clusters_of_their_own(project, images, berth, major):
    if major in (14, 16) and MAJOR not in (13, 14, 15, 16):
        pytest.skip("nothing here reads the clusters of this major")
    images(f"postgres:{major}")
    target = "/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data"
    deployment = project(TWO.replace("MAJOR", str(major)).replace("TARGET", target), name=f"major{major}")
    deployment("up", "-d", "--wait")
    assert deployment("logs", "--no-log-prefix").stdout.count(MARK) == 2
    folders = {service: berth.data / "volumes" / f"major{major}_{service}" / "_data" / (f"{major}/docker" if major >= 18 else "")
               for service in ("one", "two")}
    for service in folders:
        assert login(deployment, service, "it's $ecret").stdout == "1\n"
        assert "password authentication failed" in login(deployment, service, "wrong").stderr
        assert "password authentication failed" in login(deployment, service, "berth-template").stderr
    deployment("stop")
    found = {service: identity(deployment, service, folder, major) for service, folder in folders.items()}
    assert found["one"][0] != found["two"][0] and found["one"][1] != found["two"][1]
    # One may not follow the other.
    with open(folders["one"] / "pg_hba.conf", "a") as file:
        file.write("host replication all all trust\n")
    (folders["two"] / "standby.signal").touch()
    with open(folders["two"] / "postgresql.auto.conf", "a") as file:
        file.write("primary_conninfo = 'host=one user=keeper'\n")
    deployment("start", "one", "--wait")
    deployment("start", "two")
    wait_until(lambda: "database system identifier differs between the primary and standby" in
               deployment("logs", "--no-log-prefix", "two").stdout)


@pytest.mark.parametrize("arguments, password", [("", "x" * 150), ("", "two\nlines"), ("-A scram-sha-256 -k", "plain-enough")])
def test_thirteen_takes_the_whole_password(project, images, arguments, password):
    """Its initdb reads 99 bytes of a line, which is less than a SCRAM verifier has."""
    images("postgres:13")
    deployment = project(TWO.replace("MAJOR", "13").replace("TARGET", "/var/lib/postgresql/data").replace(
        '"it\'s $$ecret"', json.dumps(password) + f", POSTGRES_INITDB_ARGS: '{arguments}'"), name="thirteen")
    deployment("up", "-d", "--wait", "one")
    assert login(deployment, "one", password).stdout == "1\n"
    assert "password authentication failed" in login(deployment, "one", password[:99] + "y").stderr
