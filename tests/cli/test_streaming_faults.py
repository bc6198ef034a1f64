"""A ledger: clients note each row that was acknowledged, processes are killed at random, and the repository alone gives the
database back. Synchronous commits lose nothing; without, what is lost is no older than the last acknowledgement."""
import json
import os
import random
import signal
import threading
import time

import pytest

from support import backups, database, kernel
from support.program import wait_until

pytestmark = pytest.mark.skipif(database.major() is None, reason="no PostgreSQL is installed")
ROUNDS = int(os.environ.get("BERTH_SOAK_ROUNDS", "200")) if os.environ.get("BERTH_SOAK") else 5
VICTIMS = ("keeper", "receiver", "postgres", "all")
PORT = 5498
LOGIN = dict(port=PORT, user="postgres", password="Xk29-fjw0-w9dk", name="postgres")


class Ledger:
    """Commits numbered rows one after the other, and knows when each was acknowledged; goes on after a server's fall."""

    def __init__(self, first):
        self.acknowledged = {}
        self.next = first
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ending.is_set():
            try:
                connection = database.connect(**LOGIN, options="-c statement_timeout=0")
                with connection.cursor() as cursor:
                    while not self.ending.is_set():
                        number, self.next = self.next, self.next + 1
                        cursor.execute("INSERT INTO ledger VALUES (%s)", (number,))
                        self.acknowledged[number] = time.time()
            except database.psycopg2.Error:
                time.sleep(0.02)


def pids(berth, deployment):
    state = backups.receiver(berth, deployment.name)
    return {"keeper": [berth.keeper_pid(deployment.name)], "receiver": [state["pid"]], "postgres": [state["server_pid"]],
            "all": [berth.keeper_pid(deployment.name), state["pid"], state["server_pid"]]}


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_ready(berth, deployment, synchronous):
    try:
        state = backups.receiver(berth, deployment.name)
        if state.get("phase") != "streaming" or not os.path.exists(f"/proc/{state['pid']}"):
            return False
        return database.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = %r"
                              % ("sync" if synchronous else "async"), **LOGIN) == [(1,)]
    except (database.psycopg2.Error, ValueError):
        return False


def tell(**round_):
    if os.environ.get("BERTH_SOAK_REPORT"):
        with open(os.environ["BERTH_SOAK_REPORT"], "a") as report:
            report.write(json.dumps(round_) + "\n")


def acknowledged_by_receiver(deployment):
    """The newest row of which the receiver has said that it is on disk."""
    place, row = database.query("SELECT pg_current_wal_flush_lsn(), (SELECT max(n) FROM ledger)", **LOGIN)[0]
    wait_until(lambda: database.query(f"SELECT 1 FROM pg_stat_replication WHERE flush_lsn >= '{place}'", **LOGIN))
    return row


def play(berth, deployment, chance, first_row):
    """Clients commit, processes fall, in the end all of them. → who fell first, the ledger, when all was over, and the newest row that
    the receiver had acknowledged some time before."""
    ledger = Ledger(first_row)
    wait_until(lambda: len(ledger.acknowledged) > 20)
    certain = acknowledged_by_receiver(deployment)
    victim = chance.choice(VICTIMS)
    time.sleep(chance.uniform(0, 0.5))  # the moment is random: nothing is waited for
    if victim != "all":
        kill(pids(berth, deployment)[victim])
        time.sleep(chance.uniform(0, 0.5))
    everybody = pids(berth, deployment)["all"]
    kill(everybody)
    killed = time.time()
    ledger.ending.set()
    wait_until(lambda: not any(backups.is_alive(pid) for pid in everybody))
    wait_until(lambda: deployment.ps("-a")[f"{deployment.name}-db-1"]["State"] == "exited")
    return victim, ledger, killed, certain


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_ledger(project, protected, synchronous):
    seed = int(os.environ.get("BERTH_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    deployment = project(backups.compose(database.major(), more=", backup: {synchronous: true}" if synchronous else "",
                                         ports=f'ports: ["127.0.0.1:{PORT}:5432"]'), name="sync" if synchronous else "async")
    deployment("up", "-d", "--wait")
    backups.first_backup(protected, deployment)
    database.query("CREATE TABLE ledger (n int)", **LOGIN)
    for number in range((ROUNDS + synchronous) // 2):
        wait_until(lambda: is_ready(protected, deployment, synchronous))
        victim, ledger, killed, certain = play(protected, deployment, chance, 1000000 * number)
        # The server's own log is out of the game: nothing but the repository.
        for path in (protected.data / "volumes" / f"{deployment.name}_data" / "_data" / "pg_wal").glob("0*"):
            path.unlink()
        begun = time.monotonic()
        deployment("restore", "db", "--yes", timeout=300)
        seconds = time.monotonic() - begun
        wait_until(answers)
        there = {row[0] for row in database.query("SELECT n FROM ledger", **LOGIN)}
        lost = sorted(set(ledger.acknowledged) - there)
        age = max(killed - ledger.acknowledged[lost[0]], 0.0) if lost else 0.0
        tell(verb=f"ledger {deployment.name}", seed=seed, round=number, victim=victim, lost=len(lost), age=age,
             rows=len(ledger.acknowledged), seconds=seconds)
        if synchronous:
            assert not lost, f"seed {seed}, {victim}: lost {lost[:5]} of {len(ledger.acknowledged)}"
        assert not [row for row in lost if row <= certain], f"seed {seed}, {victim}: lost {lost[:5]}, acknowledged up to {certain}"
        kept = [volume for volume in backups.volumes(deployment) if ".before-" in volume]
        deployment("volume", "rm", "--yes", "--purge", *kept)


def answers():
    try:
        return database.query("SELECT 1", **LOGIN) == [(1,)]
    except database.psycopg2.Error:
        return False


@pytest.mark.slow
def test_all_of_it_killed_at_once(project, protected):
    """Keeper, receiver, monitor and every process of the server, as when a machine stops: what its repository gives back is at most a
    second older, and all that the receiver had acknowledged."""
    deployment = project(backups.compose(database.major(), ports=f'ports: ["127.0.0.1:{PORT}:5432"]'), name="machine")
    deployment("up", "-d", "--wait")
    backups.first_backup(protected, deployment)
    database.query("CREATE TABLE ledger (n int)", **LOGIN)
    ledger = Ledger(0)
    wait_until(lambda: len(ledger.acknowledged) > 100)
    certain = acknowledged_by_receiver(deployment)
    time.sleep(0.3)
    ours = kernel.processes(protected.root)
    assert any("conmon" in command for command in ours.values()) and any("berth-keeper" in command for command in ours.values())
    everybody = {*ours, *pids(protected, deployment)["all"]}  # with the first process of a container all of it ends
    kill(everybody)
    killed = time.time()
    ledger.ending.set()
    wait_until(lambda: not any(backups.is_alive(pid) for pid in everybody))
    for path in (protected.data / "volumes" / "machine_data" / "_data" / "pg_wal").glob("0*"):
        path.unlink()
    print(deployment("ps", "-a").stdout, deployment("status", check=False).stdout)
    deployment("restore", "db", "--yes", timeout=300)
    wait_until(answers)
    there = {row[0] for row in database.query("SELECT n FROM ledger", **LOGIN)}
    lost = sorted(set(ledger.acknowledged) - there)
    assert not [row for row in lost if row <= certain]
    assert not lost or killed - ledger.acknowledged[lost[0]] < 1, f"lost {len(lost)} of {len(ledger.acknowledged)}"
    print(len(lost), len(ledger.acknowledged), killed - ledger.acknowledged[lost[0]] if lost else 0)
    deployment("volume", "rm", "--yes", "--purge", *[volume for volume in backups.volumes(deployment) if ".before-" in volume])
