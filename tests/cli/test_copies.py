"""Copies beside a running database (restore --as, clone), what restores set aside, and recoveries that hang or are cut off."""
import json
import os
import re
import signal

import pytest

from support import backups, database
from support.backups import containers, first_backup, received, sql, volumes
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()


def make(project, protected, name, **options):
    deployment = project(backups.compose(MAJOR, **options), name=name)
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    return deployment


def clones(deployment):
    return {row["Name"]: row for row in map(json.loads, deployment("clone", "ls", "--format", "json").stdout.splitlines())}


def test_a_copy_is_a_service_of_its_own(project, protected, free_port):
    port = free_port()
    deployment = make(project, protected, "beside", ports=f'ports: ["127.0.0.1:{port}:5432"]')
    received(protected, deployment)
    when = sql(deployment, "SELECT clock_timestamp()")
    sql(deployment, "INSERT INTO t VALUES (2)")
    received(protected, deployment)
    made = json.loads(deployment("restore", "db", "--as", "before", "--to", when, "--format", "json").stdout)
    assert sql(deployment, "SELECT count(*) FROM t", "before") == "1" and sql(deployment, "SELECT count(*) FROM t") == "2"
    # The same password over its own port, and its own name on the project's network.
    assert made["port"] != port
    running = deployment.ps()
    assert f"127.0.0.1:{made['port']}->5432/tcp" in json.dumps(running["beside-before-1"])
    reach = ["env", "PGPASSWORD=Xk29-fjw0-w9dk", "psql", "-XAtqU", "postgres", "-c", "SELECT count(*) FROM t", "-h"]
    assert deployment.exec("db", *reach, "before") == "1"
    assert sql(deployment, "SELECT count(*) FROM pg_replication_slots", "before") == "0", "a slot that nobody serves"
    assert not (protected.run / "projects/beside/receivers/before.json").exists()
    assert sql(deployment, "SHOW archive_mode", "before") == "off"
    deployment("clone", "db", "staging", "--port", str(free_port()))
    assert sql(deployment, "SELECT count(*) FROM t", "staging") == "2"
    assert set(clones(deployment)) == {"before", "staging"}
    assert "already" in deployment.fails("clone", "db", "staging") and "already" in deployment.fails("clone", "db", "db")
    assert "no name" in deployment.fails("clone", "db", "../x")
    # It is no second database to be asked about, or to be protected, unless it is named.
    assert deployment("psql", "--", "-XAtqc", "SELECT count(*) FROM t").stdout.strip() == "2"
    assert not any(line.startswith("before") for line in deployment("status").stdout.splitlines())
    # As others: down and up again with its data, rm for good.
    sql(deployment, "INSERT INTO t VALUES (3)", "before")
    deployment("down")
    assert clones(deployment)["before"]["State"] == "down"
    again = deployment("up", "-d", "--wait")
    assert "orphan" not in again.stderr
    assert sql(deployment, "SELECT count(*) FROM t", "before") == "2"
    assert "not without a yes" in deployment.fails("clone", "rm", "before")
    assert "berth clone rm" in deployment.fails("clone", "rm")
    deployment("clone", "db", "third")
    assert deployment("clone", "rm", "before", "third", "--yes").stdout.split() == ["before", "third"]
    assert set(clones(deployment)) == {"staging"} and "beside_before-data" not in volumes(deployment)
    assert "beside-before-1" not in containers(deployment)
    deployment("down", "-v", "--purge", "--yes")
    assert not clones(deployment) and not volumes(deployment)
    deployment("up", "-d", "--wait")
    assert containers(deployment) == ["beside-db-1"], "a copy came back without its data"


@pytest.mark.slow
def test_restored_means_that_it_answers(project, protected):
    """No health check says when a server is there, and this one takes its time."""
    slow = 'entrypoint: [sh, -c, "[ ! -e /var/lib/postgresql/data/slow ] || sleep 2; exec docker-entrypoint.sh postgres"]'
    text = re.sub("healthcheck: .*", slow, backups.compose(MAJOR))
    deployment = project(text, name="slow")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    deployment.exec("db", "touch", "/var/lib/postgresql/data/slow")
    assert "full" in deployment("backup", "--full").stdout
    received(protected, deployment)
    deployment("restore", "db", "--yes")
    assert sql(deployment, "SELECT count(*) FROM t") == "1"
    deployment("clone", "db", "second", "--to", "latest")
    assert sql(deployment, "SELECT count(*) FROM t", "second") == "1"
    deployment("restart", "db")
    assert "full" in deployment("backup", "--full").stdout


@pytest.mark.slow
def test_a_time_is_the_callers(project, protected):
    """The keeper was started in another zone than the command that restores."""
    protected.environment["TZ"] = "Asia/Tokyo"
    deployment = make(project, protected, "zones")
    received(protected, deployment)
    there = {"TZ": "America/New_York"}
    when = sql(deployment, "SELECT to_char(clock_timestamp() AT TIME ZONE 'America/New_York', 'YYYY-MM-DD HH24:MI:SS.US')")
    sql(deployment, "INSERT INTO t VALUES (2)")
    received(protected, deployment)
    said = deployment("restore", "db", "--as", "then", "--to", when, env=there).stdout
    assert f"to {when[:19]} -0" in said and sql(deployment, "SELECT count(*) FROM t", "then") == "1"
    assert "-05" in deployment.fails("restore", "db", "--to", "2001-02-03", "--yes", env=there)


@pytest.mark.slow
def test_a_point_that_the_log_does_not_have(project, protected):
    deployment = make(project, protected, "unsaid")
    received(protected, deployment)
    said = deployment.fails("restore", "db", "--to", "before_lunch", "--yes")
    assert 'no restore point of that name' in said and "can be restored" in said and "minutes ago" in said, said
    assert "starting up" not in said and "last words" not in said
    # Nor does it matter where the server's own log goes.
    sql(deployment, "ALTER SYSTEM SET logging_collector = on")
    sql(deployment, "ALTER SYSTEM SET log_destination = 'csvlog'")
    deployment("restart", "db")
    deployment("backup", "--full")
    assert 'no restore point of that name' in deployment.fails("restore", "db", "--to", "before_lunch", "--yes")
    assert "no way to that point" in deployment.fails("restore", "db", "--to", "1000 days ago", "--yes")
    assert "no way to that point" in deployment.fails("restore", "db", "--to", "tomorrow 14:29", "--yes")
    assert volumes(deployment) == ["unsaid_data"] and sql(deployment, "SELECT count(*) FROM t") == "1"


@pytest.mark.slow
def test_forget_names_what_it_removes(project, protected):
    deployment = make(project, protected, "aside")
    assert "set data aside" in deployment.fails("restore", "db", "--forget", "--yes")
    deployment("restore", "db", "--yes")
    kept = [name for name in volumes(deployment) if ".before-" in name]
    said = deployment.fails("restore", "db", "--forget")
    assert kept[0] in said and "MB" in said and kept[0] in volumes(deployment)
    assert deployment("restore", "db", "--forget", "--yes").stdout.split() == kept
    assert volumes(deployment) == ["aside_data"] and sql(deployment, "SELECT count(*) FROM t") == "1"


def startup_processes(protected):
    """Startup processes of servers below the test's folder."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            title = open(f"/proc/{entry}/cmdline", "rb").read()
            mounts = open(f"/proc/{entry}/mountinfo").read() if b"startup" in title and b"postgres" in title else ""
        except (OSError, ValueError):
            continue
        if str(protected.root) in mounts:
            found.append(int(entry))
    return found


@pytest.mark.slow
def test_a_recovery_that_hangs_is_told_with_its_place(project, protected):
    protected.environment["BERTH_RECOVERY_STALL_SECONDS"] = "5"
    deployment = make(project, protected, "hang")
    # Recovery waits at the first commit behind the backup, long enough to be stopped there for good.
    sql(deployment, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    deployment("backup", "db")
    sql(deployment, "INSERT INTO t VALUES (2)")
    received(protected, deployment)
    slow = deployment.start("restore", "db", "--to", "latest", "--as", "stuck")
    server = protected.data / "volumes/hang_stuck-data/_data/postmaster.pid"
    wait_until(lambda: server.exists() and "ready" in server.read_text())
    os.kill(wait_until(lambda: startup_processes(protected))[0], signal.SIGSTOP)
    said = slow.communicate(timeout=120)[1]
    assert slow.returncode == 1 and "does not get on: it has been at 0/" in said and "for 5 seconds" in said, said
    assert volumes(deployment) == ["hang_data"] and containers(deployment) == ["hang-db-1"]
    assert not clones(deployment) and sql(deployment, "SELECT count(*) FROM t") == "2"


@pytest.mark.slow
@pytest.mark.soak
def test_a_restore_that_is_cut_off_is_begun_again(project, protected):
    """kill -9 of the keeper while it restores, at a point that moves with each round; in place and beside."""
    rounds = max(int(os.environ.get("BERTH_SOAK_ROUNDS", "0")) // 10, 2)
    deployment = make(project, protected, "again")
    sql(deployment, "INSERT INTO t SELECT generate_series(2, 20000)")
    deployment("backup", "db")
    for i in range(rounds):
        cut = deployment.start("restore", "db", "--to", "immediate" if i % 2 else "latest", "--yes", *(["--as", "cut"] if i % 3 == 2 else []))
        mark = wait_until(lambda: next((path for path in (protected.data / "volumes").glob("*/_data/.berth-restoring")), None)
                          or cut.poll() is not None)
        if mark is not True:
            files = lambda: sum(1 for _ in mark.parent.rglob("*")) if mark.exists() else 10**9
            wait_until(lambda: files() >= 300 * i)
        os.kill(protected.keeper_pid("again"), signal.SIGKILL)
        cut.communicate(timeout=120)
        deployment("up", "-d", "--wait")
        assert sql(deployment, "SELECT count(*) FROM t") == "20000"
        if "cut" in clones(deployment):
            deployment("clone", "rm", "cut", "--yes")
        deployment("restore", "db", "--as", "cut", "--to", "immediate")
        assert sql(deployment, "SELECT count(*) FROM t", "cut") == "20000"
        deployment("clone", "rm", "cut", "--yes")
    deployment("stop")
    deployment("restore", "db", "--to", "latest", "--timeline", "1", "--yes")
    assert sql(deployment, "SELECT count(*) FROM t") == "20000"
    assert not list((protected.data / "volumes").glob("*/_data/.berth-restoring"))
    assert not [name for name in containers(deployment) if name.endswith("-restore")]
    deployment("restore", "db", "--forget", "--yes")
    deployment("down", "-v", "--purge", "--yes")
    deployment("restore", "db", "--to", "latest", "--timeline", "1", "--yes")
    assert sql(deployment, "SELECT count(*) FROM t") == "20000"
