"""Clones that share their blocks with the database they are of: consistent under load, on file systems made for the test."""
import json
import pathlib
import shutil
import subprocess

import pytest

from support import backups, database
from support.backups import first_backup, received, sql, volumes

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()
MAKE = {"btrfs": ["mkfs.btrfs", "-q"], "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "plain": ["mkfs.xfs", "-q", "-m", "reflink=0"]}


@pytest.fixture
def on_file_system(protected):
    """Puts the program's data folder on a file system of its own."""
    def make(kind):
        if not shutil.which(MAKE[kind][0]):
            pytest.skip(f"{MAKE[kind][0]} is not installed")
        image, data = protected.root / f"{kind}.img", protected.data
        with open(image, "wb") as file:
            file.truncate(1 << 30)
        subprocess.run([*MAKE[kind], image], check=True, capture_output=True)
        store = (data / "images").resolve()
        (data / "images").unlink()
        if subprocess.run(["mount", "-o", "loop", image, data], capture_output=True).returncode != 0:
            (data / "images").symlink_to(store)
            pytest.skip(f"{kind} cannot be mounted here")
        (data / "images").symlink_to(store)
        own = protected._own_mounts()
        protected._own_mounts = lambda: {*own, str(data)}  # gone with the folder
        return protected

    return make


def compose(number, folder="/var/lib/postgresql/data"):
    text = backups.compose(number).replace("/var/lib/postgresql/data", folder)
    return text.replace(f'"data:{folder}"', f'"data:{folder}", "more:/more"').replace("data: {}}", "data: {}, more: {}}")


def clone(deployment, name, *more):
    return json.loads(deployment("clone", "db", name, "--format", "json", *more).stdout)


def shares_blocks(path):
    return "shared" in subprocess.run(["filefrag", "-v", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_clone_shares_blocks_under_load(project, on_file_system):
    berth = on_file_system("btrfs")
    deployment = project(compose(MAJOR), name="shared")
    deployment("up", "-d", "--wait")
    deployment("exec", "-T", "-u", "0", "db", "install", "-d", "-o", "postgres", "/more/ts", "/var/lib/postgresql/data/inner")
    sql(deployment, "CREATE TABLESPACE outer_ LOCATION '/more/ts'")
    sql(deployment, "CREATE TABLESPACE inner_ LOCATION '/var/lib/postgresql/data/inner'")
    sql(deployment, "CREATE TABLE o TABLESPACE outer_ AS SELECT generate_series(1, 500) AS i")
    sql(deployment, "CREATE TABLE n TABLESPACE inner_ AS SELECT generate_series(1, 600) AS i")
    sql(deployment, "CREATE UNLOGGED TABLE u AS SELECT 1 AS i")
    # What the container can put there leads nowhere.
    data = berth.data / "volumes/shared_data/_data"
    (data / "evil").symlink_to("/etc")
    (data / "base/evil").symlink_to("/etc/passwd")
    deployment("exec", "-T", "db", "mkfifo", "/var/lib/postgresql/data/pipe")
    reach = ["exec", "-T", "-e", "PGPASSWORD=Xk29-fjw0-w9dk", "db", "pgbench", "-U", "postgres"]
    deployment(*reach, "-i", "-q", "postgres")
    load = deployment.start(*reach, "-c", "2", "-T", "5", "postgres")
    made = clone(deployment, "second")
    assert made["way"] == "reflink" and made["backup"] == "" and "not_reflinked" not in made
    load.communicate(timeout=60)
    assert sql(deployment, "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta), (SELECT sum(bbalance) FROM pgbench_branches) "
               "= sum(delta), count(*) > 0 FROM pgbench_history", "second") == "t|t|t"
    assert sql(deployment, "SELECT (SELECT count(*) FROM o), (SELECT count(*) FROM n), (SELECT count(*) FROM u)", "second") == "500|600|0"
    there = pathlib.Path(berth.data / "volumes/shared_second-data/_data")
    assert shares_blocks(there / sql(deployment, "SELECT pg_relation_filepath('pgbench_accounts')", "second"))
    assert not [path for path in (there / "evil", there / "base/evil", there / "pipe") if path.exists()]
    # As a clone of the repository: the same cluster on a timeline of its own, without slot and archive.
    identity = "SELECT system_identifier FROM pg_control_system()"
    assert sql(deployment, identity, "second") == sql(deployment, identity)
    assert sql(deployment, "SELECT timeline_id FROM pg_control_checkpoint()", "second") == "2"
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots", "second") == "0"
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'berth_clone%'") == "0"
    assert sql(deployment, "SHOW archive_mode", "second") == "off"
    sql(deployment, "TRUNCATE o, n", "second")
    assert sql(deployment, "SELECT (SELECT count(*) FROM o), (SELECT count(*) FROM n)") == "500|600"
    listed = json.loads(deployment("clone", "ls", "--format", "json").stdout)
    assert listed["Point"] == made["point"] and listed["State"] == "running"
    deployment("clone", "rm", "second", "--yes")
    # A tablespace's link leads to what the container itself would see there, never to what this machine has.
    (data / "pg_tblspc/99999").symlink_to("/var/lib/postgresql/data/evil")
    third = clone(deployment, "third")
    assert not [path for path in (berth.data / "volumes/shared_third-data/_data/berth_tablespaces").rglob("*") if path.name == "passwd"]
    assert third["way"] == "reflink", third
    (data / "pg_tblspc/99999").unlink()
    deployment("clone", "rm", "third", "--yes")


def test_a_clone_of_the_backups_where_blocks_are_not_shared(project, on_file_system):
    berth = on_file_system("plain")
    deployment = project(backups.compose(MAJOR), name="plain")
    deployment("up", "-d", "--wait")
    first_backup(berth, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    received(berth, deployment)
    cloned = deployment("clone", "db", "second", "--format", "json")
    made = json.loads(cloned.stdout)
    assert made["way"] == "repository" and made["not_reflinked"] == 'data of "db": the file system does not share blocks between files'
    assert "Not shared" in cloned.stderr and "Failed" not in cloned.stderr, "it is none: the copy is made in another way"
    assert sql(deployment, "SELECT count(*) FROM t", "second") == "1"
    deployment("stop", "db")
    stopped = clone(deployment, "third")
    assert stopped["way"] == "repository" and "not running" in stopped["not_reflinked"]
    assert sorted(volumes(deployment)) == ["plain_data", "plain_second-data", "plain_third-data"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [13, 18])
def test_other_majors(project, on_file_system, images, number):
    """13 begins its backups by another name; 18 keeps its data below the volume's root."""
    images(f"postgres:{number}")
    berth = on_file_system("xfs")
    folder = "/var/lib/postgresql" if number >= 18 else "/var/lib/postgresql/data"
    deployment = project(compose(number, folder).replace("images: host", "images: registry"), name=f"r{number}")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT generate_series(1, 500) AS i")
    assert clone(deployment, "second")["way"] == "reflink"
    assert sql(deployment, "SELECT count(*) FROM t", "second") == "500"
    first_backup(berth, deployment)
    assert clone(deployment, "third", "--to", "latest")["way"] == "repository"
