"""What a project does by the clock: backups that came due, were missed, or failed; and who is told."""
import json
import os
import signal
import zoneinfo

import pytest

from support import clock, database
from support.program import wait_until

pytestmark = pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed")
HOUR = 3600 * 10**9
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
COMPOSE = """
services:
  db:
    image: postgres:MAJOR
    environment: {POSTGRES_PASSWORD: secret-enough}
    volumes: ["data:/var/lib/postgresql/data"]
    x-berth: {images: host, backup: {EXTRA}}
volumes: {data: {}}
x-berth: {alerts: {command: ["./tell"]}}
"""


def make(project, berth, name, extra=None):
    extra = extra or f"schedule: '{clock.far(ZONE)}', timezone: {ZONE}, jitter: 0s"
    berth.environment.pop("BERTH_BACKUP")
    return project(COMPOSE.replace("MAJOR", str(database.major())).replace("EXTRA", extra), name=name)


def kept(berth, name):
    return berth.data / "projects" / name / "schedule.json"


def listed(deployment):
    return json.loads(deployment("schedule", "--format", "json").stdout)


def backups(berth, name):
    return sorted((berth.data / "backups" / name).glob("db/*/backups/*/backup.json"))


def without_keeper(berth, name, change):
    """Changes what the keeper remembers while there is none; the next command starts another."""
    pid = berth.keeper_pid(name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    document = json.loads(kept(berth, name).read_text())
    change(document["jobs"][0])
    kept(berth, name).write_text(json.dumps(document))


def test_due_missed_and_listed(project, berth):
    line = clock.far(ZONE)
    deployment = make(project, berth, "clock", f"schedule: '{line}', timezone: {ZONE}")
    assert "has no schedule" in deployment("schedule", check=False).stderr
    deployment("up", "-d", "--wait")
    wait_until(lambda: backups(berth, "clock"), timeout=120)  # the first one does not wait for the clock
    wait_until(lambda: kept(berth, "clock").exists())
    row = listed(deployment)[0]
    assert (row["Service"], row["Job"], row["Schedule"]) == ("db", "backup", f"{line} (Europe/Berlin)")
    assert row["Result"] == "never" and row["Next"]
    table = deployment("schedule").stdout
    assert table.splitlines()[0].split()[:4] == ["SERVICE", "JOB", "SCHEDULE", "NEXT"] and line in table

    # The machine was off for a week: once, at once.
    without_keeper(berth, "clock", lambda job: job.update(covered_ns=job["covered_ns"] - 7 * 24 * HOUR))
    deployment("up", "-d")
    wait_until(lambda: listed(deployment)[0]["Result"] == "succeeded", timeout=120)
    assert len(backups(berth, "clock")) == 2
    row = listed(deployment)[0]
    assert row["Message"] == backups(berth, "clock")[-1].parent.name and row["Last"]

    # A damaged file is kept aside; nothing is done twice.
    pid = berth.keeper_pid("clock")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
    kept(berth, "clock").write_text("{torn")
    deployment("up", "-d")
    wait_until(lambda: kept(berth, "clock").exists() and listed(deployment)[0]["Result"] == "never")
    assert list(kept(berth, "clock").parent.glob("schedule.json.corrupt-*"))
    assert len(backups(berth, "clock")) == 2
    deployment("down", "-v", "--yes", "--purge")


@pytest.mark.slow
def test_failure_is_tried_again_and_told(project, berth):
    deployment = make(project, berth, "sad")
    tell = deployment.folder / "tell"
    told = deployment.folder / "told"
    deployment.write("compose.yaml", (deployment.folder / "compose.yaml").read_text().replace('"./tell"', json.dumps(str(tell))))
    tell.write_text(f'#!/bin/sh\necho "$BERTH_ALERT_WHAT $BERTH_ALERT_STATE" >>{told}\n')
    tell.chmod(0o755)
    deployment("up", "-d", "--wait")
    wait_until(lambda: backups(berth, "sad"), timeout=120)
    wait_until(lambda: kept(berth, "sad").exists())
    line = backups(berth, "sad")[0].parent.parent.parent
    # A repository of another time: nothing can be stored.
    (line / "repository.json").rename(line / "repository.json.away")
    (line / "repository.json").write_text('{"format": 99}')
    for failures in range(1, 5):
        without_keeper(berth, "sad", lambda job: job.update(retry_ns=0, covered_ns=job["covered_ns"] - 48 * HOUR))
        deployment("up", "-d")
        wait_until(lambda: listed(deployment)[0]["Result"] == (f"failed {failures} times" if failures < 4 else "failed"), timeout=120)
        assert listed(deployment)[0]["Message"]
        assert told.exists() == (failures == 4) or wait_until(told.exists)
        if failures == 1:  # it is due before it would be tried again: that counts on
            without_keeper(berth, "sad", lambda job: job.update(retry_ns=0))
            deployment("up", "-d")
            assert wait_until(lambda: listed(deployment))[0]["Result"] == "failed 1 times"
    (line / "repository.json.away").rename(line / "repository.json")
    without_keeper(berth, "sad", lambda job: job.update(covered_ns=job["covered_ns"] - 48 * HOUR))
    deployment("up", "-d")
    wait_until(lambda: told.read_text() == "backup failed\nbackup resolved\n", timeout=120)
    deployment("down", "-v", "--yes", "--purge")


@pytest.mark.parametrize("extra, reason", [("schedule: at noon", "services.db.x-berth.backup.schedule"),
                                           ("schedule: '0 0 30 2 *'", "services.db.x-berth.backup.schedule"),
                                           ("timezone: Mars", "services.db.x-berth.backup.timezone"),
                                           ("shedule: '@daily'", 'Did you mean "schedule"?')])
def test_bad_words(project, berth, extra, reason):
    deployment = make(project, berth, "bad", extra)
    assert reason in deployment("config", check=False).stderr
