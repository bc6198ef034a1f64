"""Commits that wait for a receiver, and all that could keep them from being let go: it is what a user of synchronous commits fears most."""
import os
import pathlib
import signal

import pytest

from support import database
from support.backups import first_backup, is_synchronous, kill, nobody_receives, receiver, sql, status, streams, waits
from support.program import wait_until

pytestmark = pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed")
ASYNC = "{synchronous: true, when_unavailable: {async_after: 1s}}"


def compose(backup, more=""):
    return f"""
services:
  db:
    image: postgres:{database.major()}
    command: [postgres, -c, max_connections=6, -c, superuser_reserved_connections=2]
    environment: {{POSTGRES_PASSWORD: "Xk29-fjw0-w9dk"{more}}}
    stop_grace_period: 5s
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {{images: host, backup: {backup}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
"""


def begin(project, protected, name, backup):
    deployment = project(compose(backup), name=name)
    deployment("up", "-d", "--wait")
    first = first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE t(i int)")
    wait_until(lambda: is_synchronous(protected, deployment))
    return deployment, first


def insert(deployment):
    return deployment.start("psql", "db", "-XAtqc", "INSERT INTO t VALUES (1)")


def ends(process):
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors


def has_lived(pid):
    """So long that another one is started at once when it dies: that one is there then when somebody counts on nobody."""
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(pathlib.Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK") > 6


def setting(berth, deployment):
    """What postgresql.auto.conf says."""
    text = (berth.data / "volumes" / f"{deployment.name}_data" / "_data" / "postgresql.auto.conf").read_text()
    return [line for line in text.splitlines() if line.startswith("synchronous_standby_names")]


@pytest.mark.slow
def test_a_receiver_that_lives_and_cannot_receive(project, protected):
    """It has no repository: what is remembered is not needed to let commits go; and it takes its place again once it can."""
    deployment, first = begin(project, protected, "alive", ASYNC)
    wait_until(lambda: has_lived(receiver(protected, "alive")["pid"]))
    mend = nobody_receives(protected, deployment, first)
    waiting = insert(deployment)
    ends(waiting)
    assert setting(protected, deployment) == []
    mend()
    wait_until(lambda: is_synchronous(protected, deployment))
    # The whole repository is away, as a disk that is not mounted: another one is begun, and nobody waits for the old one.
    folder = pathlib.Path(first["repository"])
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_text("")
    kill(receiver(protected, "alive")["pid"])
    ends(insert(deployment))
    wait_until(lambda: receiver(protected, "alive").get("phase") == "failed")
    folder.unlink()
    away.rename(folder)
    wait_until(lambda: is_synchronous(protected, deployment))


@pytest.mark.slow
def test_words_that_change_while_commits_wait(project, protected):
    """The receiver cannot come back: what the file says now counts all the same."""
    deployment, first = begin(project, protected, "words", "{synchronous: true}")
    mend = nobody_receives(protected, deployment, first)
    waiting = insert(deployment)
    wait_until(lambda: waits(deployment))
    deployment.write("compose.yaml", compose(ASYNC))
    deployment("up", "-d", "--no-recreate")
    ends(waiting)
    deployment.write("compose.yaml", compose("{synchronous: true}"))
    deployment("up", "-d", "--no-recreate")
    mend()
    wait_until(lambda: is_synchronous(protected, deployment))
    mend = nobody_receives(protected, deployment, first)
    waiting = insert(deployment)
    wait_until(lambda: waits(deployment))
    deployment.write("compose.yaml", compose("on"))
    deployment("up", "-d", "--no-recreate")
    ends(waiting)
    assert setting(protected, deployment) == []
    mend()


def test_a_server_that_lets_nobody_in(project, protected):
    """Its file is changed, and it is told to read it."""
    deployment, first = begin(project, protected, "closed", ASYNC)
    sql(deployment, "CREATE ROLE app SUPERUSER LOGIN")
    rules = protected.data / "volumes" / "closed_data" / "_data" / "pg_hba.conf"
    rules.write_text("local all app trust\nlocal all all reject\nhost all all all reject\n")
    sql(deployment, "SELECT pg_reload_conf()")
    wait_until(lambda: deployment("psql", "db", "-c", "SELECT 1", check=False).returncode)
    kill(receiver(protected, "closed")["pid"])
    waiting = deployment.start("exec", "-T", "db", "psql", "-U", "app", "-d", "postgres", "-c", "INSERT INTO t VALUES (1)")
    ends(waiting)
    assert setting(protected, deployment) == []


@pytest.mark.slow
def test_a_receiver_that_hangs(project, protected):
    """It says that it streams, and does nothing."""
    deployment, _ = begin(project, protected, "hangs", ASYNC)
    pid = receiver(protected, "hangs")["pid"]
    os.kill(pid, signal.SIGSTOP)
    ends(insert(deployment))
    assert setting(protected, deployment) == []
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: is_synchronous(protected, deployment))
    assert receiver(protected, "hangs")["pid"] == pid


# ---- every connection is taken ----

def is_full(deployment):
    return "too many clients" in deployment("psql", "db", "-c", "SELECT 1", check=False).stderr


def fill(deployment):
    """Commits that wait, as a superuser, until nobody else gets in."""
    waiting = []
    for _ in range(30):
        waiting.append(insert(deployment))
        if len(waiting) > 5 and is_full(deployment):
            break
    wait_until(lambda: is_full(deployment))
    return [process for process in waiting if process.poll() is None]


@pytest.mark.slow
def test_commits_that_take_every_connection(project, protected):
    """The receiver comes back all the same; where it cannot, release lets them go."""
    deployment, first = begin(project, protected, "taken", "{synchronous: true}")
    kill(protected.keeper_pid("taken"))
    kill(receiver(protected, "taken")["pid"])
    waiting = fill(deployment)
    assert status(deployment)["slot"]["active"] is False
    deployment("up", "-d")
    for process in waiting:
        ends(process)
    wait_until(lambda: is_synchronous(protected, deployment))
    nobody_receives(protected, deployment, first)
    waiting = fill(deployment)
    # Who took the setting out of the file fell before he could tell the server.
    (protected.data / "volumes" / "taken_data" / "_data" / "postgresql.auto.conf").write_text("max_slot_wal_keep_size = '1GB'\n")
    # That it was released cannot be written down: that keeps nobody waiting.
    (protected.data / "projects" / "taken" / "released.json").mkdir()
    assert "cannot be written down" in deployment("release", "db").stderr
    for process in waiting:
        ends(process)
    assert setting(protected, deployment) == [] and sql(deployment, "SELECT count(*) FROM pg_replication_slots") == "0"
    assert not streams(protected, "taken")


@pytest.mark.slow
def test_a_stop_while_commits_take_every_connection(project, protected):
    """However the server ends, it does not come back with somebody to wait for."""
    deployment, first = begin(project, protected, "ended", "{synchronous: true}")
    mend = nobody_receives(protected, deployment, first)
    for number, command in enumerate((("restart",), ("up", "-d", "--wait"), ("stop",), ("up", "-d", "--wait"), ("down",))):
        if number == 1:
            deployment.write("compose.yaml", compose("{synchronous: true}", ', NEW: "1"'))
        waiting = fill(deployment) if command != ("up", "-d", "--wait") or number == 1 else []
        deployment(*command)
        for process in waiting:
            process.communicate(timeout=60)
        assert setting(protected, deployment) == [], command
        if command[0] in ("restart", "up"):
            wait_until(lambda: "1" in deployment("psql", "db", "-XAtc", "SELECT 1", check=False).stdout)
            mend()
            wait_until(lambda: is_synchronous(protected, deployment))
            mend = nobody_receives(protected, deployment, first)
