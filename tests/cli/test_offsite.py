"""Copies elsewhere that the keeper keeps up to date by itself, and what happens where the place fails."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from support import clock, database, offsite, program, worker
from support.backups import copied, listed, offsite_state as state, place as position, sql
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


def make(project, name, place, **more):
    deployment = project(compose(place, **more), name=name)
    deployment.write("secrets/password", "Xk29-fjw0-w9dk", mode=0o600)
    return deployment


def lines(place, name):
    return sorted((pathlib.Path(place) / name / "db").iterdir())


def test_a_copy_comes_by_itself_and_follows_the_log(project, protected, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    deployment = make(project, "self", f"url: {place}")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    copied(protected, deployment)
    wait_until(lambda: state(protected, "self").get("phase") == "copied")
    sql(deployment, "INSERT INTO t SELECT generate_series(2, 1000)")
    copied(protected, deployment)

    def grows():
        sql(deployment, "INSERT INTO t VALUES (0)")
        copied(protected, deployment)
        return list(place.glob("self/db/*/wal/*/*.partial-*"))

    wait_until(grows)  # what is new of the segment goes by itself
    assert "would be lost with this machine" in deployment("status").stdout
    folder, = lines(place, "self")
    location = {"url": str(place)}
    found = worker.run(protected, "repository-verify", copy=location, folder=f"self/db/{folder.name}").result
    assert found["faults"] == [] and found["backups"] >= 1
    listed = deployment("backup", "ls")
    assert str(place) in listed.stderr + listed.stdout
    row, = [row for row in json.loads(deployment("schedule", "--format", "json").stdout) if row["Job"] == "copy"]
    assert row["Service"] == "db" and row["Schedule"] == "every 1s" and row["Next"] and row["Last"], row
    assert row["Result"] in ("succeeded", "running") and row["Message"].endswith("s behind"), row
    # Not encrypted: what is secret stays here, and that is said.
    assert state(protected, "self")["bundle"] == "open"
    assert any("secrets/password" in text for text in state(protected, "self")["left_out"])
    assert b"Xk29" not in b"".join(path.read_bytes() for path in folder.rglob("*.tar.zst"))
    sql(deployment, "INSERT INTO t SELECT generate_series(1001, 2000)")
    end = position(sql(deployment, "SELECT pg_current_wal_flush_lsn()"))
    deployment("down")  # the end of the log is copied all the same
    wait_until(lambda: position(state(protected, "self")["copied_lsn"]) >= end)


@pytest.mark.slow  # and no program with sanitizers has another one's clock loaded before it
def test_a_clock_that_was_a_year_ahead_keeps_no_copy_from_coming(project, protected, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    times = clock.Clock(protected)
    times.set(365 * 86400)
    deployment = make(project, "ahead", f"url: {place}")
    deployment("up", "-d", "--wait")
    copied(protected, deployment)
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    copied(protected, deployment)
    remembered, = protected.data.glob("backups/ahead/db/*/copies.json")
    assert json.loads(remembered.read_text())["full_ns"] > (time.time() + 300 * 86400) * 1e9
    times.set(0)
    deployment.write("notes.txt", "the project's files have changed")
    end = position(sql(deployment, "INSERT INTO t VALUES (2); SELECT pg_current_wal_flush_lsn()"))
    wait_until(lambda: position(state(protected, "ahead")["copied_lsn"]) >= end)
    # It was looked through once, which is dated by the clock that is right, and not again with each second.
    looked = wait_until(lambda: (ns := json.loads(remembered.read_text())["full_ns"]) < (time.time() + 60) * 1e9 and ns)
    copied(protected, deployment)
    assert json.loads(remembered.read_text())["full_ns"] == looked
    # The newest of the project's files is the last by its name, though the earlier ones are of next year.
    folder, = lines(place, "ahead")
    newest = max(folder.glob("project/*.tar.zst"))
    assert b"have changed" in subprocess.run(["zstd", "-dc", newest], check=True, stdout=subprocess.PIPE).stdout


@pytest.mark.slow
def test_the_log_is_there_while_a_backup_still_goes(project, protected, tmp_path):
    """The first copy takes long: how far behind it is is known, and the log goes on meanwhile."""
    place = tmp_path / "mount"
    place.mkdir()
    deployment = make(project, "long", f"url: {place}, max_rate: 100k")
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    first = wait_until(lambda: state(protected, "long").get("copied_lsn"))
    sql(deployment, "INSERT INTO t SELECT generate_series(2, 100)")
    wait_until(lambda: position(state(protected, "long")["copied_lsn"]) > position(first))
    assert "finished_ns" not in state(protected, "long") and state(protected, "long")["running"] is True
    assert "would be lost with this machine" in deployment("status").stdout
    row, = [row for row in json.loads(deployment("schedule", "--format", "json").stdout) if row["Job"] == "copy"]
    assert row["Result"] == "running" and row["Message"].endswith("s behind")


@pytest.mark.slow
def test_a_restore_takes_from_the_copy_what_is_not_here_any_more(project, protected, s3):
    place = f"url: 's3://backups/gone', endpoint: '{s3.endpoint}', credentials: '{s3.credentials}', key: shop.key"
    deployment = make(project, "gone", place)
    assert json.loads(deployment("backup", "key", "--format", "json").stdout)["made"] is True
    assert json.loads(deployment("backup", "key", "--format", "json").stdout)["made"] is False
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 42 AS i")
    copied(protected, deployment)
    deployment("down", "-v", "--purge", "--yes")
    remove(protected.data / "backups" / "gone")
    told = deployment("restore", "db", "--yes")
    assert "fetched from s3://backups/gone" in told.stderr
    assert sql(deployment, "SELECT i FROM t") == "42"
    # Only what leads there: with two backups in the copy the later one, and for the earlier point then the other.
    deployment("backup", "db")
    sql(deployment, "INSERT INTO t VALUES (43)")
    first, second = listed(deployment)
    copied(protected, deployment)
    remembered = next((protected.data / "backups/gone/db").glob("*/copies.json"))
    wait_until(lambda: second["id"] in json.loads(remembered.read_text())["have"])
    deployment("down")
    wait_until(lambda: state(protected, "gone").get("phase") == "copied" and "running" not in state(protected, "gone"))
    remove(protected.data / "backups" / "gone")
    deployment("backup", "export", "db", "-o", "late", "--to", "latest")
    assert [row["id"] for row in listed(deployment)] == [second["id"]]
    assert position(listed(deployment)[0]["until_lsn"]) >= position(second["until_lsn"])
    assert not list(protected.data.glob("backups/gone/db/*/wal/00000001/*"))
    deployment("backup", "export", "db", "-o", "early", "--backup", first["id"], "--to", "immediate")
    assert [row["id"] for row in listed(deployment)] == [first["id"], second["id"]]
    deployment("up", "-d", "--wait")
    # It goes on with the same copy.
    sql(deployment, "INSERT INTO t VALUES (44)")
    copied(protected, deployment)
    # A point that neither has is refused, and a place that cannot be reached is told beside it.
    assert "no way to that point" in deployment.fails("restore", "db", "--to", "2001-02-03", "--yes")
    deployment("down", "-v", "--purge", "--yes")
    remove(protected.data / "backups" / "gone")
    deployment.write("compose.yaml", compose(place.replace(str(s3.port), "1")))
    refused = deployment.fails("restore", "db", "--yes")
    assert "has no backup" in refused and "127.0.0.1:1" in refused


def remove(folder):
    """Somebody may still be writing there."""
    wait_until(lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists())


class Switch:
    """In front of the S3 server: fault is what the next requests meet."""

    def __init__(self, s3):
        self.fault = None
        self.front = offsite.Faulty(s3, lambda method, path, before: self.fault(method, path) if callable(self.fault) else self.fault)
        self.endpoint, self.stop = self.front.endpoint, self.front.stop


@pytest.fixture
def switch(s3):
    made = Switch(s3)
    yield made
    made.stop()


def listing(deployment):
    return deployment("backup", "ls").stdout


@pytest.mark.slow
def test_while_the_place_fails_backups_go_on_here_and_catch_up(project, protected, s3, switch):
    told = protected.root / "told"
    alert = program.Project(protected, protected.root / "bin").write("tell", f'#!/bin/sh\necho "$BERTH_ALERT_WHAT $BERTH_ALERT_STATE" >>{told}\n', mode=0o755)
    place = f"url: 's3://backups/outage', endpoint: '{switch.endpoint}', credentials: secrets/s3"
    deployment = make(project, "outage", place, more=f"alerts: {{command: [{alert}]}}")
    deployment.write("secrets/s3", s3.credentials.read_text(), mode=0o600)
    deployment("up", "-d", "--wait")
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    copied(protected, deployment)

    def fails_with(text):
        wait_until(lambda: state(protected, "outage")["phase"] == "failed" and text in state(protected, "outage")["message"])

    switch.fault = "refuse"  # cut before an answer
    fails_with("reach")
    before, count = state(protected, "outage")["copied_lsn"], state(protected, "outage")["failures"]
    sql(deployment, "INSERT INTO t SELECT generate_series(2, 1000)")
    wait_until(lambda: state(protected, "outage")["failures"] > count)
    row, = [row for row in json.loads(deployment("schedule", "--format", "json").stdout) if row["Job"] == "copy"]
    assert "failed" in row["Result"] and "behind: " in row["Message"] and "reach" in row["Message"], row
    assert "FAILS" in listing(deployment) and state(protected, "outage")["copied_lsn"] == before
    first = len(listed(deployment))
    assert json.loads(deployment("backup", "db", "--format", "json").stdout)["id"] and len(listed(deployment)) == first + 1
    switch.fault = 403  # told apart from a place that is away
    wait_until(lambda: state(protected, "outage")["failures"] >= 4)
    wait_until(lambda: told.exists() and "off-site copy failed" in told.read_text())
    with pytest.raises(AssertionError, match="is refused|InternalError"):
        deployment("backup", "copy")
    switch.fault = None
    deployment.write("secrets/s3", "aws_access_key_id = S3RVER\naws_secret_access_key = wrong\n", mode=0o600)
    assert "The secret key is wrong" in deployment.fails("backup", "copy")
    deployment.write("secrets/s3", s3.credentials.read_text(), mode=0o600)
    copied(protected, deployment)
    wait_until(lambda: "off-site copy resolved" in told.read_text())
    assert told.read_text().count("failed") == 1
    line, = (s3.files() / "outage" / "outage" / "db").iterdir()
    found = worker.run(protected, "repository-verify", copy=s3.location("outage"), folder=f"outage/db/{line.name}").result
    wait_until(lambda: deployment("backup", "copy").returncode == 0)
    found = worker.run(protected, "repository-verify", copy=s3.location("outage"), folder=f"outage/db/{line.name}").result
    assert found["faults"] == [] and found["backups"] == first + 1


def test_a_vanished_bucket_a_wrong_key_and_what_was_begun_without_one(project, protected, tmp_path):
    place = tmp_path / "mount"
    place.mkdir()
    deployment = make(project, "odd", f"url: {place}")
    deployment("up", "-d", "--wait")
    copied(protected, deployment)
    deployment.write("compose.yaml", compose(f"url: {place}, key: other.key"))
    deployment("backup", "key")
    assert "is not encrypted" in deployment.fails("backup", "copy") and "another URL" in deployment.fails("backup", "copy")
    remove(place)
    wait_until(lambda: "is not there" in state(protected, "odd").get("message", ""))
    place.mkdir()  # what a missing mount leaves
    wait_until(lambda: "not at" in state(protected, "odd").get("message", ""))
    assert not [path for path in place.rglob("*") if path.is_file()]
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    deployment.write("compose.yaml", compose(f"url: {sealed}, key: other.key"))
    deployment("backup", "copy")
    (deployment.folder / "other.key").unlink()
    missing = deployment.fails("backup", "copy")
    assert "is not there" in missing and "bring that file back" in missing
    deployment("backup", "key")
    wrong = deployment.fails("backup", "copy")
    assert "is encrypted with the key" in wrong and "this is the key" in wrong


def test_past_the_budget_is_told_and_nothing_stops(project, protected, tmp_path):
    told = protected.root / "told"
    alert = program.Project(protected, protected.root / "bin").write("tell", f'#!/bin/sh\necho "$BERTH_ALERT_WHAT $BERTH_ALERT_STATE" >>{told}\n', mode=0o755)
    place = tmp_path / "mount"
    place.mkdir()
    deployment = make(project, "room", f"url: {place}", budget=", budget: 1m", more=f"alerts: {{command: [{alert}]}}")
    deployment("up", "-d", "--wait")
    path = protected.data / "projects" / "room" / "budget.json"
    facts = wait_until(lambda: path.exists() and json.loads(path.read_text())["services"].get("db"))
    assert facts["over"] and facts["budget_bytes"] == 1 << 20 and facts["rule"] == "1m" and facts["used_bytes"] > 1 << 20
    wait_until(lambda: told.exists() and "backup budget failed" in told.read_text())
    assert "past their budget" in listing(deployment)
    assert "past their budget" in deployment("up", "-d").stderr
    sql(deployment, "CREATE TABLE t AS SELECT 1 AS i")
    copied(protected, deployment)  # the log goes on
    deployment.write("compose.yaml", compose(f"url: {place}", more=f"alerts: {{command: [{alert}]}}"))
    deployment("up", "-d", "--wait")
    wait_until(lambda: not json.loads(path.read_text())["services"]["db"]["over"])
    wait_until(lambda: "backup budget resolved" in told.read_text())
    assert "past their budget" not in listing(deployment)
