"""Backups that are cut off, that run out of room, or whose database changes under them: nothing counts that is not whole, and what was done
is not done again."""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading
import time

import pytest

from support import backups, database, disk, worker
from support.backups import sql
from support.program import wait_until

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
ROUNDS = int(os.environ.get("BERTH_SOAK_ROUNDS", "200")) if os.environ.get("BERTH_SOAK") else 6
PASSWORD = "Xk29-fjw0-w9dk"


def start(project, protected, name, **how):
    deployment = project(backups.compose(database.major(), **how), name=name)
    deployment("up", "-d", "--wait")
    deployment.first = backups.first_backup(protected, deployment)
    return deployment


def target(deployment):
    """As the keeper names the server to a worker."""
    container = json.loads(deployment("inspect", f"{deployment.name}-db-1").stdout)[0]
    return {"pid": container["State"]["Pid"], "password": PASSWORD}


def faults(deployment):
    result = deployment("backup", "verify", "--format", "json", check=False)
    return json.loads(result.stdout.splitlines()[0])["faults"]


def forget_copies(deployment):
    for name in backups.volumes(deployment):
        if ".before-" in name:
            deployment("volume", "rm", "--yes", "--purge", name, check=False)


@pytest.mark.slow
@pytest.mark.soak
def test_a_worker_killed_at_random_points(project, protected):
    """What counts as a backup is whole, at any moment; in the end everything that was committed is there."""
    seed = int(os.environ.get("BERTH_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    deployment = start(project, protected, "killed")
    sql(deployment, "CREATE TABLE ledger(i int)")
    under_way = 0
    for number in range(ROUNDS):
        sql(deployment, f"INSERT INTO ledger VALUES ({number})")
        listed = {row["id"] for row in backups.listed(deployment)}
        job = worker.Job(protected, "backup", project="killed", service="db", target=target(deployment), wait=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.process.wait(chance.random() * 0.6)
        job.process.kill()
        job.process.wait()
        finished = '"result"' in job.process.stdout.read()
        under_way += not finished
        new = {row["id"] for row in backups.listed(deployment)} - listed
        assert len(new) <= 1 and (new or not finished), "a backup that was said to be there is not"
    assert faults(deployment) == []
    begun = time.monotonic()
    deployment("backup", "db")
    seconds = time.monotonic() - begun
    deployment("restore", "db", "--to", "latest", "--yes")
    assert sql(deployment, "SELECT count(*) FROM ledger") == str(ROUNDS)
    print(f"{ROUNDS} rounds, {under_way} killed under way")
    if os.environ.get("BERTH_SOAK_REPORT"):
        with open(os.environ["BERTH_SOAK_REPORT"], "a") as file:
            file.write(json.dumps({"verb": "backup worker", "rounds": ROUNDS, "hit": under_way, "seconds": seconds}) + "\n")
    forget_copies(deployment)


@pytest.mark.slow
def test_work_of_a_killed_backup_is_reused(project, protected):
    deployment = start(project, protected, "reused")
    sql(deployment, "CREATE TABLE large AS SELECT md5(i::text) || md5((i + 1)::text) || md5((-i)::text) AS w FROM generate_series(1, 1500000) AS i")
    packs = pathlib.Path(deployment.first["repository"]) / "packs"
    before = set(packs.glob("*.index"))
    job = worker.Job(protected, "backup", project="reused", service="db", target=target(deployment), max_rate_kib=60000, wait=True)
    wait_until(lambda: set(packs.glob("*.index")) - before)
    job.process.kill()
    job.process.wait()
    stored = sum(path.with_suffix(".pack").stat().st_size for path in set(packs.glob("*.index")) - before)
    assert stored > 50 << 20
    backup = json.loads(deployment("backup", "db", "--format", "json").stdout)
    again = json.loads(deployment("backup", "db", "--full", "--format", "json").stdout)
    assert backup["new_bytes"] < backup["size_bytes"] and again["new_bytes"] < 1 << 20
    total = sum(path.stat().st_size for path in packs.glob("*.pack"))
    assert total < stored + backup["new_bytes"] + deployment.first["new_bytes"] + (2 << 20), "stored twice"
    assert faults(deployment) == []


@pytest.mark.slow
def test_no_room_in_the_repository(project, protected):
    """A backup that finds no room says so and is none; the log waits in the server, and goes on without a gap when there is room."""
    with disk.small(protected.data / "backups", "120m") as backups_disk:
        deployment = start(project, protected, "full")
        sql(deployment, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 50000) AS i")
        backups.filed(protected, deployment)  # a segment that is still to be compressed would make room
        disk.fill(backups_disk, leave=300 << 10)
        said = deployment.fails("backup", "db")
        assert "No space left" in said or "no room" in said or "full" in said, said
        assert [row["id"] for row in backups.listed(deployment)] == [deployment.first["id"]]
        filler = disk.fill(backups_disk)  # also what the failed backup has left
        for number in range(3):
            sql(deployment, "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 50000) AS i; SELECT pg_switch_wal()")
        wait_until(lambda: (state := backups.receiver(protected, "full"))["phase"] == "failed" and "No space left" in state["message"])
        assert disk.free(backups_disk) < 1 << 20
        filler.unlink()
        backups.received(protected, deployment)
        deployment("backup", "db")
        assert faults(deployment) == [], "a gap"
        deployment("restore", "db", "--yes")
        assert sql(deployment, "SELECT count(*) FROM t") == "200000"
        forget_copies(deployment)
        deployment("down", "-v", "--yes", "--purge")


@pytest.mark.slow
def test_heavy_changes_meanwhile(project, protected):
    """Tables and databases come and go while backups are taken: each restores to what was committed."""
    deployment = start(project, protected, "busy")
    sql(deployment, "CREATE TABLE ledger(i int)")
    sql(deployment, "CREATE TABLE steady AS SELECT i, md5(i::text) AS w FROM generate_series(1, 30000) AS i; CREATE INDEX ON steady(w)")
    ending, done = threading.Event(), []

    def change():
        number = 3
        while not ending.is_set():
            number += 1
            script = (f"CREATE TABLE x{number} AS SELECT g FROM generate_series(1, 2000) AS g;\n"
                      f"DROP TABLE IF EXISTS x{number - 3};\nTRUNCATE steady_copy;\nINSERT INTO steady_copy SELECT * FROM steady LIMIT 500;\n"
                      f"REINDEX TABLE steady;\nCREATE DATABASE d{number};\nDROP DATABASE IF EXISTS d{number - 2};\n"
                      f"INSERT INTO ledger VALUES ({number});\n")
            result = deployment("psql", "db", "-XAtq", "-v", "ON_ERROR_STOP=1", input=script, check=False)
            if result.returncode == 0:
                done.append(number)
            else:
                done.append(result.stderr)
                return

    sql(deployment, "CREATE TABLE steady_copy AS SELECT * FROM steady LIMIT 1")
    thread = threading.Thread(target=change)
    thread.start()
    taken = []
    try:
        wait_until(lambda: done)
        for _ in range(3):
            taken.append(json.loads(deployment("backup", "db", "--format", "json").stdout)["id"])
    finally:
        ending.set()
        thread.join()
    assert all(isinstance(number, int) for number in done), done
    backups.received(protected, deployment)
    assert faults(deployment) == []
    facts = "SELECT count(*), (SELECT count(*) FROM steady), (SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database) FROM ledger"
    then = sql(deployment, facts)
    sql(deployment, "CREATE EXTENSION amcheck")
    deployment("restore", "db", "--backup", taken[0], "--yes")
    assert sql(deployment, facts) == then
    assert sql(deployment, "SELECT count(*) FROM pg_class c, verify_heapam(c.oid) WHERE relkind = 'r' AND relpersistence = 'p'") == "0"
    sql(deployment, "SELECT bt_index_parent_check(c.oid, true) FROM pg_class c WHERE relkind = 'i' AND relname LIKE 'steady%'")
    forget_copies(deployment)


@pytest.mark.slow
def test_down_while_a_backup_runs(project, protected):
    deployment = start(project, protected, "gone")
    slow = deployment.start("backup", "db", "--max-rate", "32k", "--full")
    wait_until(lambda: backups.being_read(deployment))
    deployment("down", "-v", "--yes", "--purge")
    said = slow.communicate(timeout=60)[1]
    assert slow.returncode == 1 and "error: " in said
    assert [row["id"] for row in backups.listed(deployment)] == [deployment.first["id"]]
    deployment("up", "-d", "--wait")
    wait_until(lambda: len(backups.listed(deployment)) == 2), "a new cluster has its own first backup"
    assert faults(deployment) == []


def test_a_damaged_backup_stands_for_none(project, protected):
    """Two are kept: the good one that is older than a damaged one stays, and what is damaged is not built upon."""
    deployment = start(project, protected, "good")
    packs = pathlib.Path(deployment.first["repository"]) / "packs"
    before = set(packs.glob("*.pack"))
    sql(deployment, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 50000) AS i")
    second = json.loads(deployment("backup", "db", "--format", "json").stdout)["id"]
    pack = max(set(packs.glob("*.pack")) - before, key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    assert any(fault["object"].endswith(second) for fault in faults(deployment))
    # The next one stores anew what is damaged, though nothing of it has changed: it is whole, and so are those that need the same.
    third = worker.run(protected, "backup", project="good", service="db", target=target(deployment), keep={"last": 2}).result["id"]
    kept = [row["id"] for row in backups.listed(deployment)]
    assert deployment.first["id"] in kept and third in kept and second not in kept
    assert [fault["object"] for fault in faults(deployment)] in ([], [f"packs/{pack.name}"])
    for backup, table in ((third, "t"), (deployment.first["id"], "")):
        deployment("restore", "db", "--backup", backup, "--to", "immediate", "--yes")
        assert sql(deployment, "SELECT string_agg(relname, ' ') FROM pg_class WHERE relname = 't'") == table
    forget_copies(deployment)
