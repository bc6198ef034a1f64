"""Incremental backups of PostgreSQL 17 and later: only what changed is sent, and each backup is whole."""
import hashlib
import json
import pathlib
import subprocess

import pytest

from support import backups, worker
from support.backups import sql
from support.program import wait_until

COMPOSE = """
services:
  db:
    image: postgres:17
    environment: {POSTGRES_PASSWORD: "Xk29-fjw0-w9dk", POSTGRES_INITDB_ARGS: "-k"}
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {images: registry}
    healthcheck: {test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}
volumes: {data: {}}
"""


@pytest.fixture
def shop(project, protected, images):
    images("postgres:17")
    made = project(COMPOSE, name="inc")
    made("up", "-d", "--wait")
    made.berth = protected
    made.first = backups.first_backup(protected, made)
    return made


def take(shop, *arguments):
    return json.loads(shop("backup", "db", "--format", "json", *arguments).stdout)


def checked(shop, backup):
    """Lays the backup out, and has the server's own programs look at it: files by its manifest, then pages by their checksums."""
    folder = shop.folder / f"laid-{backup['id']}"
    folder.mkdir()
    worker.run(shop.berth, "restore", repository=shop.first["repository"], directory=str(folder), to="immediate", backup=backup["id"])
    container = json.loads(shop("inspect", "inc-db-1").stdout)[0]
    root = pathlib.Path(f"/proc/{container['State']['Pid']}/root")
    inside = root / "tmp" / folder.name
    subprocess.run(["cp", "-a", folder, inside], check=True)
    # What a restore adds to the settings is none of the backup's.
    said = shop.exec("db", "sh", "-c", f"cd /tmp/{folder.name} && bin=$(dirname $(ls /usr/lib/postgresql/*/bin/postgres)) && "
                     "$bin/pg_verifybackup -n -i postgresql.auto.conf -i recovery.signal -i backup_label . 2>&1 && rm -r ../" + folder.name)
    assert "successfully verified" in said
    return folder


@pytest.mark.slow
def test_changes_alone_are_sent_and_each_backup_is_whole(shop):
    assert sql(shop, "SHOW summarize_wal") == "on", "switched on by the receiver"
    sql(shop, "CREATE TABLE t AS SELECT i, repeat('x', 300) AS w FROM generate_series(1, 30000) AS i")
    sql(shop, "CREATE TABLE cut AS SELECT i FROM generate_series(1, 50000) AS i")
    base = take(shop, "--full")
    assert base["kind"] == "full"
    sql(shop, "UPDATE t SET w = 'changed' WHERE i % 5000 = 0")
    sql(shop, "DELETE FROM cut WHERE i > 100")
    sql(shop, "VACUUM cut")  # shorter
    sql(shop, "INSERT INTO cut SELECT i FROM generate_series(1, 20000) AS i")  # and longer again, though not as it was
    sql(shop, "CREATE DATABASE second")
    second = take(shop)
    assert second["kind"] == "incremental"
    facts = "SELECT md5(string_agg(t::text, ',' ORDER BY i)), (SELECT md5(string_agg(i::text, ',' ORDER BY ctid)) FROM cut) FROM t"
    then = sql(shop, facts)
    sql(shop, "TRUNCATE cut")
    third = take(shop)
    assert third["kind"] == "incremental", "on top of an incremental one"
    for backup in (base, second, third):
        label = (checked(shop, backup) / "backup_label").read_text()
        assert "INCREMENTAL FROM" not in label
    # The ones it was built upon go, and it is as whole as before.
    for gone in (shop.first, base):
        shop("backup", "rm", gone["id"], "--yes")
    shop("backup", "prune", "--keep", "last=2", "--yes")
    assert json.loads(shop("backup", "verify", "--format", "json").stdout)["faults"] == []
    shop("restore", "db", "--backup", second["id"], "--to", "immediate", "--yes")
    assert sql(shop, facts) == then
    sql(shop, "CREATE EXTENSION amcheck")
    assert sql(shop, "SELECT count(*) FROM pg_class c, verify_heapam(c.oid) WHERE relkind = 'r'") == "0"
    assert "full" in shop("backup", "db").stdout, "none of that timeline is there"
    wait_until(lambda: backups.receiver(shop.berth, "inc").get("phase") == "streaming")
    for name in backups.volumes(shop):
        if ".before-" in name:
            shop("volume", "rm", "--yes", "--purge", name, check=False)


@pytest.mark.slow
def test_without_summaries_all_is_sent(shop):
    assert take(shop)["kind"] == "incremental"
    place = sql(shop, "SELECT pg_switch_wal()")
    sql(shop, "CHECKPOINT")
    wait_until(lambda: sql(shop, f"SELECT summarized_lsn > '{place}' FROM pg_get_wal_summarizer_state()") == "t")
    shop.exec("db", "sh", "-c", "rm /var/lib/postgresql/data/pg_wal/summaries/*")
    said = shop("backup", "db")
    assert "full" in said.stdout and "summaries" in said.stderr, said.stderr
    assert len(backups.listed(shop)) == 3


def test_damage_in_the_newest_backup_is_no_obstacle(shop):
    """What a chunk of it has lost is sent again, all of it."""
    sql(shop, "CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) AS i")
    for pack in pathlib.Path(shop.first["repository"]).glob("packs/*.pack"):
        pack.write_bytes(pack.read_bytes()[:-2000])
    backup = take(shop)
    assert backup["kind"] == "full"
    checked(shop, backup)


def digests(folder, names):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("number", [17, 18])
def test_what_is_restored_is_what_the_servers_own_tools_put_together(project, protected, images, number):
    """A server at rest, backed up by us and by pg_basebackup, full and incremental: the oracle is pg_combinebackup, file by file."""
    images(f"postgres:{number}")
    folder = "/var/lib/postgresql" if number >= 18 else "/var/lib/postgresql/data"
    text = COMPOSE.replace("postgres:17", f"postgres:{number}").replace("/var/lib/postgresql/data", folder)
    deployment = project(text, name=f"oracle{number}")
    deployment("up", "-d", "--wait")
    first = backups.first_backup(protected, deployment)
    own = lambda *words: deployment("exec", "-T", "-u", "postgres", "-e", "PGPASSWORD=Xk29-fjw0-w9dk", "db", *words)
    client = ["-h", "127.0.0.1", "-U", "postgres"]

    def settle():
        """Nothing is left to be written: no hint, no statistics, nobody at work."""
        own("vacuumdb", *client, "-a", "-q", "--freeze")
        sql(deployment, "CHECKPOINT")

    sql(deployment, "ALTER SYSTEM SET autovacuum = off")
    sql(deployment, "SELECT pg_reload_conf()")
    for statement in ("CREATE TABLE t AS SELECT i, repeat('x', 300) AS w FROM generate_series(1, 30000) AS i", "CREATE INDEX ON t(i)",
                      "CREATE TABLE cut AS SELECT i FROM generate_series(1, 50000) AS i", "CREATE TABLE gone AS SELECT 1 AS i"):
        sql(deployment, statement)
    settle()
    assert take(deployment, "--full")["kind"] == "full"
    own("pg_basebackup", *client, "-D", "/tmp/full", "-c", "fast")
    for statement in ("UPDATE t SET w = 'changed' WHERE i % 5000 = 0", "DELETE FROM cut WHERE i > 100", "DROP TABLE gone",
                      "CREATE TABLE made AS SELECT i FROM generate_series(1, 3000) AS i"):
        sql(deployment, statement)
    settle()
    sql(deployment, "INSERT INTO cut SELECT i FROM generate_series(1, 20000) AS i")
    settle()
    ours = take(deployment)
    assert ours["kind"] == "incremental"
    own("pg_basebackup", *client, "-D", "/tmp/more", "-c", "fast", "--incremental=/tmp/full/backup_manifest")
    assert own("sh", "-c", "find /tmp/more -name 'INCREMENTAL.*' | wc -l").stdout.strip() != "0"
    own("pg_combinebackup", "/tmp/full", "/tmp/more", "-o", "/tmp/combined")
    theirs = pathlib.Path(f"/proc/{json.loads(deployment('inspect', f'oracle{number}-db-1').stdout)[0]['State']['Pid']}/root/tmp/combined")
    restored = deployment.folder / "restored"
    restored.mkdir()
    worker.run(protected, "restore", repository=first["repository"], directory=str(restored), to="immediate", backup=ours["id"])
    # Each backup has a label, a checkpoint and a log of its own; the recovery's settings are a restore's; the manifest names all of these.
    differ = {"backup_label", "backup_manifest", "global/pg_control", "postgresql.auto.conf", "recovery.signal"}
    listed = lambda root: {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
                           and path.relative_to(root).parts[0] != "pg_wal"} - differ
    assert listed(restored) == listed(theirs) and len(listed(theirs)) > 900
    assert digests(restored, listed(restored)) == digests(theirs, listed(theirs))
