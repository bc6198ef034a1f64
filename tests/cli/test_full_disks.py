"""Disks that fill up under a server and under its receiver: nothing that was acknowledged is lost, and what stands still says so."""
import subprocess
import time

import pytest

from support import backups, database, disk
from support.backups import is_synchronous, nobody_receives, sql, status, waits
from support.program import wait_until

pytestmark = pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed")


def compose(more=""):
    """The log on a disk of its own, as guides advise."""
    return f"""
services:
  db:
    image: postgres:{database.major()}
    environment: {{POSTGRES_PASSWORD: "Xk29-fjw0-w9dk", POSTGRES_INITDB_WALDIR: /wal/log}}
    command: [postgres, -c, max_wal_size=48MB, -c, min_wal_size=32MB, -c, checkpoint_timeout=1h]
    stop_grace_period: 2s
    volumes: ["data:/var/lib/postgresql/data", "./wal:/wal"]
    x-berth: {{images: host{more}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
"""


def write(deployment, number):
    """About a segment of log; the row it commits is in the ledger."""
    return deployment("psql", "db", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", f"INSERT INTO ledger VALUES ({number})", "-c",
                      "SELECT pg_logical_emit_message(false, 'test', repeat('x', 12000000))", "-c", "SELECT pg_switch_wal()", check=False)


@pytest.mark.slow
def test_a_disk_of_the_log_is_not_filled(project, protected):
    """Where nobody receives, the slot's limit is what that disk can bear: the slot is lost, the server goes on."""
    deployment = project(name="narrow")
    with disk.small(deployment.folder / "wal", "224m", mode="755") as wal:
        deployment.write("compose.yaml", compose())
        deployment("up", "-d", "--wait")
        first = backups.first_backup(protected, deployment)
        limit = int(sql(deployment, "SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"))
        assert 32 <= limit <= 112, limit
        sql(deployment, "CREATE TABLE ledger(i int)")
        mend = nobody_receives(protected, deployment, first)
        for number in range(16):
            assert write(deployment, number).returncode == 0, "the server stopped"
            if number % 3 == 2:
                sql(deployment, "CHECKPOINT")
        assert any("slot is lost" in problem for problem in status(deployment)["problems"])
        assert disk.free(wal) > 16 << 20
        mend()
        wait_until(lambda: len(backups.listed(deployment)) == 2)
        backups.received(protected, deployment)
        deployment("down", "-v", "--yes", "--purge")


@pytest.mark.slow
def test_a_full_disk_of_the_log(project, protected):
    """A limit of the user's that the disk does not bear: told before; the server falls, and comes back with all that it acknowledged."""
    deployment = project(name="brim")
    with disk.small(deployment.folder / "wal", "160m", mode="755") as wal:
        deployment.write("compose.yaml", compose())
        deployment("up", "-d", "--wait")
        first = backups.first_backup(protected, deployment)
        sql(deployment, "CREATE TABLE ledger(i int)")
        sql(deployment, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'")
        sql(deployment, "SELECT pg_reload_conf()")
        mend = nobody_receives(protected, deployment, first)
        acknowledged, warned = [], []
        while len(acknowledged) < 12 and write(deployment, len(acknowledged)).returncode == 0:
            acknowledged.append(len(acknowledged))
            warned = warned or [text for text in status(deployment)["problems"] if "the disk of the server's log has" in text]
        assert 3 < len(acknowledged) < 12 and warned and "never remove anything from pg_wal" in warned[0]
        wait_until(lambda: deployment.ps("-a")["brim-db-1"]["State"] == "exited")
        assert "No space left on device" in deployment("logs", "db").stdout
        told = status(deployment)
        assert told["state"] == "exited" and any("has ended with exit status 1" in text for text in told["problems"])
        mend()
        assert "exited (1)" in deployment.fails("up", "-d", "--wait"), "nobody says that it is up again"
        subprocess.run(["mount", "-o", "remount,size=400m", wal], check=True)
        deployment("up", "-d", "--wait")
        backups.received(protected, deployment)
        there = {int(line) for line in sql(deployment, "SELECT i FROM ledger").splitlines()}
        assert set(acknowledged) <= there
        assert status(deployment)["problems"] == []
        forget = backups.volumes(deployment)
        deployment("restore", "db", "--yes")  # no gap
        assert {int(line) for line in sql(deployment, "SELECT i FROM ledger").splitlines()} == there
        deployment("volume", "rm", "--yes", "--purge", *(name for name in backups.volumes(deployment) if name not in forget))
        deployment("down", "-v", "--yes", "--purge")


# ---- the repository's ----

def commit(deployment):
    """One more row, and a segment's worth of log: a commit that is on its way."""
    return deployment.start("psql", "db", "-XAtqc", "INSERT INTO t SELECT 1 FROM pg_logical_emit_message(true, 'test', repeat('x', 12000000))")


@pytest.mark.slow
@pytest.mark.parametrize("unavailable", ["wait", "{async_after: 3s}"], ids=["wait", "async"])
def test_a_full_repository_and_synchronous_commits(project, protected, unavailable):
    """They wait for room, or go on after the time that was asked for; either is told, and ends by itself once there is room."""
    text = backups.compose(database.major(), more=f", backup: {{synchronous: true, when_unavailable: {unavailable}}}")
    with disk.small(protected.data / "backups", "96m") as place:
        deployment = project(text, name="brim")
        deployment("up", "-d", "--wait")
        backups.first_backup(protected, deployment)
        sql(deployment, "CREATE TABLE t(i int)")
        wait_until(lambda: is_synchronous(protected, deployment))
        backups.filed(protected, deployment)
        filler = disk.fill(place)
        begun = time.monotonic()
        inserts = [commit(deployment), commit(deployment)]
        wait_until(lambda: waits(deployment) == 2)
        wait_until(lambda: "No space left" in (backups.receiver(protected, "brim").get("message") or ""))
        told = status(deployment)["problems"]
        assert any("not received" in problem and "No space left" in problem for problem in told)
        assert any("commits are not synchronous" in problem for problem in told)
        assert "\x1b[31m" in deployment("--ansi", "always", "status").stdout
        if unavailable == "wait":
            time.sleep(max(begun + 5 - time.monotonic(), 0))
            assert [insert.poll() for insert in inserts] == [None, None] and waits(deployment) == 2
        else:
            assert [insert.wait(60) for insert in inserts] == [0, 0] and time.monotonic() - begun >= 3
            assert sql(deployment, "SHOW synchronous_standby_names") == ""
            told = status(deployment)
            assert told["synchronous"]["asked"] and not told["synchronous"]["on"]
            assert told["would_be_lost"]["bytes"] > 20 << 20, "nobody says that all is well"
        filler.unlink()
        assert [insert.wait(60) for insert in inserts] == [0, 0]
        wait_until(lambda: is_synchronous(protected, deployment))
        assert sql(deployment, "SELECT count(*) FROM t") == "2"
        backups.received(protected, deployment)
        wait_until(lambda: status(deployment)["problems"] == [])
        assert deployment("backup", "verify").returncode == 0
        deployment("down", "-v", "--yes", "--purge")
