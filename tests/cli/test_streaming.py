"""The log is received as it is written: what is known of moments of rest, synchronous commits, settings and the slot."""
import json
import os

import pytest

from support import database
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


def sql(deployment, text):
    return deployment("psql", "db", "-XAtqc", text).stdout.strip()


def backups(deployment):
    return [json.loads(line) for line in deployment("backup", "ls", "--format", "json").stdout.splitlines()]


def receiver(berth, name):
    try:
        return json.loads((berth.run / "projects" / name / "receivers" / "db.json").read_text())
    except FileNotFoundError:
        return {}


def streams(berth, name):
    state = receiver(berth, name)
    return state.get("phase") == "streaming" and os.path.exists(f"/proc/{state['pid']}") and state


def first_backup(berth, deployment, name):
    wait_until(lambda: streams(berth, name))
    return wait_until(lambda: backups(deployment))[0]


def test_a_moment_of_rest_can_be_restored(project, protected):
    """Nothing was written at that time, nor since: the log ends before it."""
    deployment = project(compose(), name="rest")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment, "rest")
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
    until = backups(deployment)[-1]["until_ns"]
    wait_until(lambda: backups(deployment)[-1]["until_ns"] > until)
    assert "no way to that point" in deployment.fails("restore", "db", "--to", "2999-01-01", "--yes")
    kept = deployment("volume", "ls", "--format", "{{.Name}}").stdout.split()
    deployment("volume", "rm", "--yes", "--purge", *[name for name in kept if ".before-" in name])
