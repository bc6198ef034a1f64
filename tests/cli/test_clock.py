"""Clocks that are set while a database is protected: nothing expires before its time, the newest stays the newest, and a time that came
twice leads to a state that was there."""
import datetime
import json
import time

import pytest

from support import backups, clock, database
from support.backups import sql
from support.program import wait_until

pytestmark = [pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed"), pytest.mark.slow]
HOUR, YEAR = 3600, 365 * 86400


def rows(deployment):
    return sql(deployment, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger")


def add(deployment, number):
    sql(deployment, f"INSERT INTO ledger VALUES ({number}, clock_timestamp())")


def at(offset):
    """How a clock that is so many seconds off says now, for --to."""
    return datetime.datetime.fromtimestamp(time.time() + offset, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00")


def ids(deployment):
    return [row["id"] for row in backups.listed(deployment)]


def results(deployment):
    return [job["Result"] for job in json.loads(deployment("schedule", "--format", "json").stdout)]


def restore(deployment, *arguments):
    deployment("restore", "db", "--yes", *arguments)
    deployment("volume", "rm", "--yes", "--purge", *(name for name in backups.volumes(deployment) if ".before-" in name))
    wait_until(lambda: backups.receiver(deployment.berth, deployment.name).get("phase") == "streaming")


@pytest.mark.slow
def test_a_clock_that_is_set(project, protected):
    times = clock.Clock(protected)
    deployment = project(name="steps")
    text = backups.compose(database.major()).replace("environment: {", "environment: {" + times.environment + ", ")
    deployment.write("compose.yaml", text.replace('volumes: ["data:', f'volumes: ["{times.folder}:/clock:ro", "data:'))
    times.set(-2 * HOUR)
    deployment("up", "-d", "--wait")
    first = backups.first_backup(protected, deployment)["id"]
    assert abs(int(sql(deployment, "SELECT extract(epoch FROM now())::bigint")) - time.time() + 2 * HOUR) < 60, "the clock is not set"
    sql(deployment, "CREATE TABLE ledger(n int, at timestamptz)")
    # Forth in steps, an hour back, and forth again: two rows of each half hour of the hour that comes twice.
    for number, offset in enumerate((-2 * HOUR, -HOUR / 2, 0, -HOUR, -HOUR / 2), 1):
        times.set(offset)
        add(deployment, number)
    backups.received(protected, deployment)
    times.set(-HOUR / 4)
    second = json.loads(deployment("backup", "db", "--format", "json").stdout)["id"]
    add(deployment, 6)
    backups.received(protected, deployment)
    assert ids(deployment) == [first, second]
    # An hour back, right behind a backup: the next one is the newest all the same, and no id comes twice.
    times.set(-HOUR / 4 - HOUR)
    third = json.loads(deployment("backup", "db", "--format", "json").stdout)["id"]
    assert third < second and ids(deployment) == [first, second, third]
    add(deployment, 7)
    backups.received(protected, deployment)
    status = json.loads(deployment("status", "--format", "json").stdout)[0]
    assert status["last_backup"]["id"] == third and status["problems"] == []
    assert rows(deployment) == "1 2 3 4 5 6 7"
    # A time that came twice: the first moment at which it was passed, from the newest backup that was there by then.
    restore(deployment, "--timeline", "1", "--backup", first, "--to", at(-HOUR * 3 / 4))
    assert rows(deployment) == "1"
    add(deployment, 8)
    # A year ahead: the backup that is due then makes no other one expire, nor a point in time.
    kept = ids(deployment)
    times.set(YEAR)
    deployment("up", "-d")
    wait_until(lambda: len(ids(deployment)) == len(kept) + 1)
    wait_until(lambda: results(deployment) == ["succeeded"])  # it prunes behind its record, and nobody else may meanwhile
    wait_until(lambda: backups.receiver(protected, "steps").get("phase") == "streaming")
    assert ids(deployment)[:-1] == kept
    deployment("backup", "prune", "--keep", "7d", "--yes")
    assert ids(deployment)[:-1] == kept
    add(deployment, 9)
    # Set right: all of it is there, and the next backup is not a year away.
    times.set(0)
    deployment("up", "-d")
    add(deployment, 10)
    backups.received(protected, deployment)
    jobs = json.loads(deployment("schedule", "--format", "json").stdout)
    soon = datetime.datetime.now() + datetime.timedelta(days=2)
    assert jobs and all(datetime.datetime.strptime(job["Next"], "%Y-%m-%d %H:%M") < soon for job in jobs), jobs
    deployment("backup", "db")
    assert set(kept) < set(ids(deployment))
    assert deployment("backup", "verify").returncode == 0
    restore(deployment)
    assert rows(deployment) == "1 8 9 10"
    deployment("down", "-v", "--yes", "--purge")
