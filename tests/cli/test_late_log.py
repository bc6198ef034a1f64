"""Log that came late: the receiver was away, commits went on, and all of it came hours after it was written. What can be restored is
decided by what the log says, never by when its files were written: damage, a gap and a copy of the files lead to a refusal that names the
newest certain point, never to a state that is too early."""
import os
import pathlib
import re
import shutil
import time

import pytest

from support import backups, database, worker
from support.backups import sql

pytestmark = [pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed"), pytest.mark.slow]


def moment(deployment):
    """Between two commits, by the server's clock."""
    time.sleep(0.05)
    text = sql(deployment, "SELECT clock_timestamp()")
    time.sleep(0.05)
    return text


@pytest.fixture
def late(project, protected):
    """Six rows, each in a segment of its own, with a moment behind each: written while nobody received, and then received at once."""
    deployment = project(backups.compose(database.major()), name="late")
    deployment("up", "-d", "--wait")
    first = backups.first_backup(protected, deployment)
    sql(deployment, "CREATE TABLE ledger(n int)")
    backups.received(protected, deployment)
    back = backups.nobody_receives(protected, deployment, first)
    moments, segments = [], []
    for number in range(6):
        segments.append(sql(deployment, f"INSERT INTO ledger VALUES ({number}); SELECT pg_walfile_name(pg_current_wal_insert_lsn())"))
        sql(deployment, "SELECT pg_switch_wal()")
        moments.append(moment(deployment))
    sql(deployment, "INSERT INTO ledger VALUES (99)")
    came = time.time()
    back()
    backups.filed(protected, deployment)
    repository = pathlib.Path(first["repository"])
    files = [repository / "wal" / name[:8] / f"{name}.zst" for name in segments]
    assert all(path.stat().st_mtime >= came - 0.1 for path in files), "they did not come late"
    return deployment, repository, moments, files


def rows_at(deployment, when):
    """What a copy of that time has."""
    deployment("restore", "db", "--as", "then", "--to", when)
    found = sql(deployment, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM ledger", service="then")
    deployment("clone", "rm", "then", "--yes")
    return found


def laid(berth, repository, when):
    """The error of laying it out, with its hint, or None."""
    folder = berth.root / "laid"
    folder.mkdir()
    job = worker.Job(berth, "restore", repository=str(repository), directory=str(folder), to=when).end()
    shutil.rmtree(folder)
    return job.error


def offered(text):
    return re.search(r"--to '([^']+)'", text)[1]


def test_what_came_late(late, protected):
    deployment, repository, moments, files = late
    assert laid(protected, repository, moments[3]) is None, "whole"
    good = files[3].read_bytes()
    # Damaged: a commit before it, and behind the time, is certain; from the last one before it on nothing is.
    files[3].write_bytes(good[:len(good) // 2])
    assert rows_at(deployment, moments[1]) == "0 1"
    for when in moments[2:5]:
        error = laid(protected, repository, when)
        assert error is not None, f"{when}: laid out without what the damaged segment has"
        assert files[3].name[:24] in error["message"]
        assert moments[1] < offered(error["hint"]) < moments[2]
    assert laid(protected, repository, offered(error["hint"])) is None
    # Missing: the log before it came late too, and says nothing of the times between.
    files[3].unlink()
    for when in moments[2:5]:
        error = laid(protected, repository, when)
        assert error is not None and "no way to that point" in error["message"], f"{when}: {error}"
    error = laid(protected, repository, "latest")
    assert "gap" in error["message"] and moments[1] < offered(error["hint"]) < moments[2]
    assert rows_at(deployment, offered(error["hint"])) == "0 1"
    # A copy of the files that is as old as the copying: neither newer nor older times change what can be restored.
    for stamp in (time.time() + 3600, 86400):
        for path in repository.rglob("wal/*/*"):
            os.utime(path, (stamp, stamp))
        assert laid(protected, repository, moments[1]) is None
        assert laid(protected, repository, moments[2]) is not None
    files[3].write_bytes(good)
    for path in repository.rglob("wal/*/*"):
        os.utime(path, (86400, 86400))
    assert laid(protected, repository, moments[3]) is None
    a_copy_that_ends_early(late, protected)


def a_copy_that_ends_early(late, protected):
    """A repository that ends in the middle of what came late, as a machine leaves it that is lost while its receiver catches up, and a copy
    of it that was fetched later."""
    deployment, repository, moments, files = late
    deployment("stop")
    place = protected.root / "fetched" / repository.name
    shutil.copytree(repository, place, copy_function=shutil.copyfile)
    for path in place.glob("wal/*/*"):
        if path.name[:24] > files[2].name[:24]:
            path.unlink()
    assert laid(protected, place, moments[1]) is None
    for when in moments[2:]:
        error = laid(protected, place, when)
        assert error is not None and "no way to that point" in error["message"], f"{when}: {error}"
