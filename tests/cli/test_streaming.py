"""The log is received as it is written: what is known of moments of rest, synchronous commits, settings and the slot."""
import json
import pathlib
import socket
import subprocess

import pytest

from support import database
from support.backups import first_backup, is_synchronous, kill, listed, nobody_receives, received, receiver, sql, status, streams, waits
from support.program import wait_until

pytestmark = pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed")


def compose(backup="on", more="", environment=""):
    return f"""
services:
  db:
    image: postgres:{database.major()}
    environment: {{POSTGRES_PASSWORD: "Xk29-fjw0-w9dk"{environment}}}
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {{images: host, backup: {backup}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
    {more}
volumes: {{data: {{}}}}
"""


@pytest.mark.slow
def test_a_moment_of_rest_can_be_restored(project, protected):
    """Nothing was written at that time, nor since: the log ends before it."""
    deployment = project(compose(), name="rest")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT clock_timestamp() AS at")
    sql(deployment, "SELECT pg_sleep(0.3)")  # the point shall lie behind the last byte, not in it
    when = sql(deployment, "SELECT clock_timestamp()")
    deployment("restore", "db", "--to", when, "--yes")  # it waits until that moment is known
    assert sql(deployment, "SELECT count(*) FROM t") == "1"
    assert "2" in sql(deployment, "SELECT timeline_id FROM pg_control_checkpoint()")
    assert "ended before configured recovery target" not in protected.keeper_logs()
    wait_until(lambda: receiver(protected, "rest").get("timeline") == 2)
    moved = wait_until(lambda: receiver(protected, "rest").get("caught_up_ns"))
    wait_until(lambda: receiver(protected, "rest")["caught_up_ns"] > moved)  # it rests, and still leads further
    until = listed(deployment)[-1]["until_ns"]
    wait_until(lambda: listed(deployment)[-1]["until_ns"] > until)
    assert "no way to that point" in deployment.fails("restore", "db", "--to", "2999-01-01", "--yes")
    kept = deployment("volume", "ls", "--format", "{{.Name}}").stdout.split()
    deployment("volume", "rm", "--yes", "--purge", *[name for name in kept if ".before-" in name])


# ---- commits that wait for the receiver ----

def names(deployment):
    return sql(deployment, "SHOW synchronous_standby_names")


def written(berth, name):
    return (berth.data / "volumes" / f"{name}_data" / "_data" / "postgresql.auto.conf").read_text()


@pytest.mark.slow
def test_a_moment_within_a_long_transaction(project, protected):
    """It writes all the time, so that the log neither rests nor has a commit: that nothing is missing is known all the same."""
    deployment = project(compose(), name="loads")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t(i int)")
    loading = deployment.start("psql", "db", "-XAtqc", "DO $$ BEGIN LOOP INSERT INTO t SELECT generate_series(1, 300); "
                               "PERFORM pg_sleep(0.02); END LOOP; END $$")
    wait_until(lambda: sql(deployment, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND backend_xid IS NOT NULL") == "1")
    until = listed(deployment)[-1]["until_ns"]
    wait_until(lambda: listed(deployment)[-1]["until_ns"] > until + 3 * 10 ** 9)
    assert sql(deployment, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'") == "t"
    loading.wait()


def test_commits_wait_for_the_receiver(project, protected):
    deployment = project(compose("{synchronous: true}"), name="wait")
    deployment("up", "-d", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    assert sql(deployment, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
    sql(deployment, "CREATE TABLE t(i int)")
    # Nobody is there: the commit waits. The next command brings both back.
    kill(protected.keeper_pid("wait"))
    kill(receiver(protected, "wait")["pid"])
    insert = deployment.start("psql", "db", "-XAtqc", "INSERT INTO t VALUES (1)")
    wait_until(lambda: waits(deployment))
    assert insert.poll() is None
    deployment("up", "-d")
    assert insert.communicate(timeout=60)[1] is not None and insert.returncode == 0
    wait_until(lambda: is_synchronous(protected, deployment))
    # A shutdown does not wait, and leaves no setting behind; nor does a kill of the container.
    deployment("stop")
    assert "synchronous_standby_names" not in written(protected, "wait")
    deployment("start", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    deployment("kill", "db")
    wait_until(lambda: deployment.ps("-a")["wait-db-1"]["State"] == "exited")
    assert "synchronous_standby_names" not in written(protected, "wait")
    deployment("start", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    # The server falls with its setting: it is taken out of the file.
    kill(protected.keeper_pid("wait"))
    kill(int(deployment.inspect("wait-db-1")["State"]["Pid"]))
    wait_until(lambda: not streams(protected, "wait"))
    assert "synchronous_standby_names" in written(protected, "wait")
    wait_until(lambda: deployment.ps("-a")["wait-db-1"]["State"] == "exited")
    deployment("rm", "-f")
    assert "synchronous_standby_names" not in written(protected, "wait")
    # Off again, without a restart of the database.
    deployment("up", "-d", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    before = deployment.ps()["wait-db-1"]["ID"]
    first_backup(protected, deployment)
    deployment("restore", "db", "--yes")  # from a backup that may hold the setting
    assert sql(deployment, "SELECT i FROM t") == "1"
    wait_until(lambda: is_synchronous(protected, deployment))
    assert deployment.ps()["wait-db-1"]["ID"] == before


def test_another_keeper_takes_the_receiver_over(project, protected):
    """Until it has, commits wait for nobody."""
    deployment = project(compose("{synchronous: true}"), name="hand")
    deployment("up", "-d", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    pid = receiver(protected, "hand")["pid"]
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(protected.run / "projects" / "hand" / "keeper.sock"))
        line.sendall(b'{"method": "reexec"}\n')
        while line.recv(4096):
            pass
    wait_until(lambda: "in place of this keeper" in protected.keeper_logs())
    wait_until(lambda: is_synchronous(protected, deployment))
    assert receiver(protected, "hand")["pid"] == pid
    sql(deployment, "CREATE TABLE t AS SELECT 1")


def test_a_full_disk_keeps_nobody_from_stopping(project, protected):
    """The receiver cannot write and lets go of the server: commits wait, and a shutdown does not."""
    deployment = project(compose("{synchronous: true}"), name="full")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    wait_until(lambda: is_synchronous(protected, deployment))
    place = pathlib.Path(first["repository"]) / "wal" / "00000001"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        sql(deployment, "SELECT pg_switch_wal()")
        insert = deployment.start("psql", "db", "-XAtqc", "SELECT pg_logical_emit_message(true, 'test', repeat('x', 9000000)) IS NULL")
        wait_until(lambda: receiver(protected, "full").get("phase") == "failed")
        wait_until(lambda: waits(deployment))
        assert any("not received" in problem and "No space" in problem for problem in status(deployment)["problems"])
        deployment("stop")
        insert.communicate(timeout=60)
        assert "synchronous_standby_names" not in written(protected, "full")
        wait_until(lambda: not streams(protected, "full") and receiver(protected, "full")["phase"] == "ended")
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
def test_commits_go_on_after_a_time(project, protected):
    deployment = project(compose("{synchronous: true, when_unavailable: {async_after: 1s}}"), name="late")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    wait_until(lambda: is_synchronous(protected, deployment))
    sql(deployment, "CREATE TABLE t(i int)")
    mend = nobody_receives(protected, deployment, first)
    sql(deployment, "INSERT INTO t VALUES (1)")  # goes through, in the end
    wait_until(lambda: names(deployment) == "")
    mend()
    wait_until(lambda: is_synchronous(protected, deployment))


def test_a_setting_of_somebody_else_stays(project, protected):
    deployment = project(compose(), name="other")
    deployment("up", "-d", "--wait")
    wait_until(lambda: streams(protected, "other"))
    sql(deployment, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (elsewhere)'")
    sql(deployment, "SELECT pg_reload_conf()")
    deployment.write("compose.yaml", compose("{synchronous: true}"))
    deployment("up", "-d", "--wait", "--no-recreate")
    state = wait_until(lambda: (s := receiver(protected, "other")).get("synchronous") == "refused" and s)
    assert "ANY 1 (elsewhere)" in state["synchronous_message"] and "RESET" in state["synchronous_message"]
    assert names(deployment) == "ANY 1 (elsewhere)"
    said = deployment("release", "db").stdout
    assert "synchronous_standby_names" not in said and "max_slot_wal_keep_size is reset" in said
    assert names(deployment) == "ANY 1 (elsewhere)"


# ---- what is changed in a cluster, and taken back ----

def test_release(project, protected):
    deployment = project(compose("{synchronous: true}"), name="free")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    wait_until(lambda: is_synchronous(protected, deployment))
    said = deployment("release", "db").stdout
    for what in ("synchronous_standby_names is reset", "max_slot_wal_keep_size is reset", "replication slot berth_"):
        assert said.count(what) == 1, said
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert sql(deployment, "SHOW max_slot_wal_keep_size") == "-1" and names(deployment) == ""
    assert "nothing of Berth is in it" in deployment("release").stdout
    assert not streams(protected, "free")
    # Nobody begins again by himself, not even another keeper.
    kill(protected.keeper_pid("free"))
    deployment("restart", "-t", "0")
    wait_until(lambda: deployment.ps()["free-db-1"]["State"] == "running")
    assert not streams(protected, "free")
    deployment("up", "-d", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    # What somebody has changed meanwhile stays.
    sql(deployment, "ALTER SYSTEM SET max_slot_wal_keep_size = '3GB'")
    assert "max_slot_wal_keep_size stays \"3GB\"" in deployment("release").stdout
    sql(deployment, "SELECT pg_reload_conf()")
    assert sql(deployment, "SHOW max_slot_wal_keep_size") == "3GB"
    deployment("stop")
    assert "no database" in deployment.fails("release")


def test_backups_that_are_switched_off_leave_nothing(project, protected):
    deployment = project(compose(), name="out")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    assert sql(deployment, "SHOW max_slot_wal_keep_size") != "-1"
    deployment.write("compose.yaml", compose("off"))
    said = deployment("up", "-d", "--wait").stderr
    assert "replication slot berth_" in said and first["repository"] in said, said
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert sql(deployment, "SHOW max_slot_wal_keep_size") == "-1"
    assert not streams(protected, "out")
    assert [row["id"] for row in listed(deployment)] == [first["id"]]
    assert "backups are off" not in deployment("up", "-d").stderr


# ---- what is told ----

@pytest.mark.slow
def test_status(project, protected):
    deployment = project(compose("{synchronous: true, when_unavailable: {async_after: 1s}}"), name="told")
    assert "no database that was brought up" in deployment.fails("status")
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    wait_until(lambda: is_synchronous(protected, deployment))
    told = wait_until(lambda: (t := status(deployment)).get("would_be_lost") == {"bytes": 0, "seconds": 0.0} and t)
    assert (told["state"], told["backups"], told["receiver"]["phase"], told["problems"]) == ("running", "on", "streaming", [])
    assert told["last_backup"]["id"] == first["id"] and told["next_backup_ns"] > told["last_backup"]["finished_ns"]
    assert told["restorable"]["from_ns"] == first["finished_ns"] <= told["restorable"]["until_ns"]
    assert told["synchronous"] == {"asked": True, "on": True, "state": "on"}
    assert told["slot"]["active"] and told["slot"]["left_bytes"] > 2**29
    assert {row["name"]: row["before"] for row in told["settings"]} == {"max_slot_wal_keep_size": None,
                                                                        "synchronous_standby_names": None}
    # Nobody receives, and commits go on: so much would be lost.
    description = pathlib.Path(first["repository"]) / "repository.json"
    kept = description.read_text()
    description.write_text('{"format": 99}')
    kill(receiver(protected, "told")["pid"])
    sql(deployment, "CREATE TABLE t AS SELECT 1")
    wait_until(lambda: receiver(protected, "told").get("phase") == "failed")
    description.write_text(kept)  # before anything is asked of it; the receiver tries again later
    kill(protected.keeper_pid("told"))
    kill(receiver(protected, "told")["pid"])
    told = status(deployment)
    assert told["would_be_lost"]["bytes"] > 0 and told["would_be_lost"]["seconds"] > 0
    assert told["synchronous"]["asked"] and not told["synchronous"]["on"]
    assert any("not received" in problem for problem in told["problems"])
    assert any("not synchronous" in problem for problem in told["problems"])
    assert not told["keeper"] and any("nobody looks after this project" in problem for problem in told["problems"])
    red = deployment("--ansi", "always", "status").stdout
    assert "\x1b[31mOFF\x1b[" in red and "would be lost" in red, red
    # It does not run: what can be restored is known all the same.
    deployment("stop")
    told = status(deployment, "db")
    assert told["state"] == "exited" and told["restorable"]["from_ns"] == first["finished_ns"] and "slot" not in told
    assert "is no database" in deployment.fails("status", "web")


@pytest.mark.slow
def test_a_receiver_that_fails_for_long_is_told(project, protected):
    """A repository that it must not write to, and one whose description is damaged, which is no reason not to."""
    protected.environment["BERTH_RECEIVER_ALERT_SECONDS"] = "1"
    deployment = project(compose() + 'x-berth: {alerts: {command: ["TELL"]}}\n', name="fails")
    told = deployment.folder / "told"
    told.touch()
    tell = deployment.write("tell", f'#!/bin/sh\necho "$BERTH_ALERT_WHAT $BERTH_ALERT_STATE: $BERTH_ALERT_MESSAGE" >>{told}\n', mode=0o755)
    deployment.write("compose.yaml", (deployment.folder / "compose.yaml").read_text().replace("TELL", str(tell)))
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    mend = nobody_receives(protected, deployment, first)
    wait_until(lambda: "receiver failed: the log is not received" in told.read_text())
    assert "format 99" in told.read_text()
    mend()
    wait_until(lambda: "receiver resolved: the log is received again" in told.read_text())
    assert told.read_text().count("receiver failed") == 1
    pathlib.Path(first["repository"], "repository.json").write_text("")
    kill(receiver(protected, "fails")["pid"])
    wait_until(lambda: streams(protected, "fails"))
    sql(deployment, "CREATE TABLE t AS SELECT 1")
    received(protected, deployment)
    assert "repository.json: " in deployment("backup", "verify", check=False).stdout
    deployment("backup", "verify", "--repair")


@pytest.mark.slow
def test_a_slot_near_its_limit_and_a_lost_one(project, protected):
    """Nobody receives, and the server writes: told before the log is lost, when it is, and that a new base backup is taken."""
    deployment = project(compose() + 'x-berth: {alerts: {command: ["TELL"]}}\n', name="slot")
    told = deployment.folder / "told"
    told.touch()
    tell = deployment.write("tell", f'#!/bin/sh\necho "$BERTH_ALERT_WHAT $BERTH_ALERT_STATE" >>{told}\n', mode=0o755)
    deployment.write("compose.yaml", (deployment.folder / "compose.yaml").read_text().replace("TELL", str(tell)))
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    sql(deployment, "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'")  # a user's own: it stays
    sql(deployment, "SELECT pg_reload_conf()")
    mend = nobody_receives(protected, deployment, first)

    def write():
        sql(deployment, "SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'test', repeat('x', 100000))")
        return status(deployment)

    near = wait_until(lambda: [text for text in write()["problems"] if "near max_slot_wal_keep_size (64MB)" in text])
    assert near
    wait_until(lambda: "replication slot failed" in told.read_text())
    assert "near max_slot_wal_keep_size" in protected.keeper_logs()

    def lose():
        sql(deployment, "CHECKPOINT")
        return [text for text in write()["problems"] if "slot is lost" in text]

    wait_until(lose)
    wait_until(lambda: "the replication slot is lost" in protected.keeper_logs())
    wait_until(lambda: told.read_text().count("replication slot failed") == 2)
    sql(deployment, "CREATE TABLE t AS SELECT 42 AS i")
    mend()
    wait_until(lambda: len(listed(deployment)) == 2)
    wait_until(lambda: "a part of the log is lost" in protected.keeper_logs() and "log failed" in told.read_text())
    wait_until(lambda: {"log resolved", "replication slot resolved"} <= set(told.read_text().splitlines()), timeout=120)
    assert status(deployment)["problems"] == [] and status(deployment)["gap_ns"]
    assert sql(deployment, "SHOW max_slot_wal_keep_size") == "64MB"
    # What was lost is a gap, and is told as one; behind it all is well.
    assert "does not lead to that point" in deployment.fails("restore", "db", "--backup", first["id"], "--to", "2999-01-01", "--yes")
    assert listed(deployment)[0]["until_lsn"] != listed(deployment)[1]["until_lsn"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [13, 16, 17, 18])
def test_synchronous_commits_on_other_majors(project, protected, images, number):
    """Both words for a receiver that is away: commits wait, or go on after a time."""
    images(f"postgres:{number}")

    def text(backup):
        made = compose(backup).replace(f"postgres:{database.major()}", f"postgres:{number}").replace("images: host", "images: registry")
        return made.replace("/var/lib/postgresql/data", "/var/lib/postgresql") if number >= 18 else made

    name = f"sync{number}"
    deployment = project(text("{synchronous: true}"), name=name)
    deployment("up", "-d", "--wait")
    wait_until(lambda: is_synchronous(protected, deployment))
    wait_until(lambda: sql(deployment, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1")
    sql(deployment, "CREATE TABLE t(i int)")
    kill(protected.keeper_pid(name))
    kill(receiver(protected, name)["pid"])
    insert = deployment.start("psql", "db", "-XAtqc", "INSERT INTO t VALUES (1)")
    wait_until(lambda: waits(deployment))
    assert insert.poll() is None
    # The other word, given while it waits: the receiver comes back, and the commit ends.
    deployment.write("compose.yaml", text("{synchronous: true, when_unavailable: {async_after: 1s}}"))
    deployment("up", "-d", "--no-recreate")
    insert.communicate(timeout=60)
    assert insert.returncode == 0
    wait_until(lambda: is_synchronous(protected, deployment))
    description = pathlib.Path(first_backup(protected, deployment)["repository"]) / "repository.json"
    kept = description.read_text()
    description.write_text('{"format": 99}')
    kill(receiver(protected, name)["pid"])
    wait_until(lambda: receiver(protected, name).get("phase") == "failed")
    sql(deployment, "INSERT INTO t VALUES (2)")
    wait_until(lambda: names(deployment) == "")
    description.write_text(kept)
    wait_until(lambda: is_synchronous(protected, deployment))
    deployment("stop")
    deployment("start", "--wait")
    assert sql(deployment, "SELECT count(*) FROM t") == "2"
