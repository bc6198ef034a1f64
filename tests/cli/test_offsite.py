"""Copies elsewhere that the keeper keeps up to date by itself, and what happens where the place fails."""
import json
import os
import pathlib
import shutil

import pytest

from support import database, offsite, worker
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()


def compose(place, more="", budget=""):
    return f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/password}}
    secrets: [password]
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
secrets: {{password: {{file: secrets/password}}}}
x-berth:
  backup: {{offsite: {{{place}, schedule: 1s}}{budget}}}
  {more}
"""


@pytest.fixture
def protected(berth):
    berth.environment.pop("BERTH_BACKUP")
    return berth


def make(project, name, place, **more):
    deployment = project(compose(place, **more), name=name)
    deployment.write("secrets/password", "Xk29-fjw0-w9dk", mode=0o600)
    return deployment


def sql(deployment, text):
    return deployment("psql", "db", "-XAtqc", text).stdout.strip()


def position(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def state(berth, name):
    path = berth.data / "projects" / name / "offsite.json"
    return json.loads(path.read_text())["services"].get("db", {}) if path.exists() else {}


def copied(berth, deployment, name):
    """Waits until all that is committed now is in the copy."""
    target = position(sql(deployment, "SELECT pg_current_wal_flush_lsn()"))
    wait_until(lambda: position(state(berth, name).get("copied_lsn", "0/0")) >= target)


def lines(place, name):
    return sorted((pathlib.Path(place) / name / "db").iterdir())


def test_a_copy_comes_by_itself_and_follows_the_log(project, protected, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    deployment = make(project, "self", f"url: {place}")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    copied(protected, deployment, "self")
    wait_until(lambda: state(protected, "self")["phase"] == "copied")
    sql(deployment, "INSERT INTO t SELECT generate_series(2, 1000)")
    copied(protected, deployment, "self")
    folder, = lines(place, "self")
    location = {"url": str(place)}
    found = worker.run(protected, "repository-verify", copy=location, folder=f"self/db/{folder.name}").result
    assert found["faults"] == [] and found["backups"] >= 1
    listed = deployment("backup", "ls")
    assert str(place) in listed.stderr + listed.stdout
    # Not encrypted: what is secret stays here, and that is said.
    assert state(protected, "self")["bundle"] == "open"
    assert any("secrets/password" in text for text in state(protected, "self")["left_out"])
    assert b"Xk29" not in b"".join(path.read_bytes() for path in folder.rglob("*.tar.zst"))
    sql(deployment, "INSERT INTO t SELECT generate_series(1001, 2000)")
    end = position(sql(deployment, "SELECT pg_current_wal_flush_lsn()"))
    deployment("down")  # the end of the log is copied all the same
    wait_until(lambda: position(state(protected, "self")["copied_lsn"]) >= end)
