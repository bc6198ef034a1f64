"""The keeper may be killed at any instruction: containers go on, the next command takes over, nothing is lost."""
import json
import os
import random
import signal
import time

import pytest

from support import database
from support.program import wait_until

ROUNDS = int(os.environ.get("BERTH_SOAK_ROUNDS", "200")) if os.environ.get("BERTH_SOAK") else 20


def kill_keeper(berth, project):
    try:
        os.kill(berth.keeper_pid(project), signal.SIGKILL)
        return True
    except (OSError, ValueError):
        return False


def test_containers_go_on_and_the_next_command_takes_over(project, images, berth):
    images("busybox")
    made = project("""
        services:
          box: {image: busybox, command: ["sh", "-c", "while :; do date +%s%N; sleep 0.05; done"], stop_signal: SIGKILL, restart: always}
    """)
    made("up", "-d")
    before = made.ps()["demo-box-1"]["ID"]
    assert kill_keeper(berth, "demo")
    said = len(made("logs", "--no-log-prefix").stdout.splitlines())
    wait_until(lambda: len(made("logs", "--no-log-prefix").stdout.splitlines()) > said)
    assert made.ps()["demo-box-1"]["State"] == "running"
    said = made("ps").stderr
    assert "nobody looks after project \"demo\"" in said and "berth up -d" in said
    made("up", "-d")
    assert made("ps").stderr == ""
    assert made.ps()["demo-box-1"]["ID"] == before
    # It took over what runs: the restart policy works.
    made.exec("box", "kill", "-9", "1", check=False)
    os.kill(int(made.inspect("demo-box-1")["State"]["Pid"]), signal.SIGKILL)
    wait_until(lambda: made.ps().get("demo-box-1", {}).get("State") == "running")


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("verb", ["up", "down", "restart"])
def test_killed_at_random_points(verb, project, berth):
    """Then the project converges, and what was committed is there."""
    seed = int(os.environ.get("BERTH_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    made = project(f"""
        services:
          db:
            image: postgres:{database.major()}
            environment: {{POSTGRES_PASSWORD: secret}}
            ports: ["127.0.0.1:5499:5432"]
            volumes: ["data:/var/lib/postgresql/data"]
            restart: unless-stopped
          after:
            image: postgres:{database.major()}
            command: [sleep, "1000000"]
            stop_signal: SIGKILL
            depends_on: [db]
        volumes: {{data: }}
    """)
    login = dict(port=5499, user="postgres", password="secret", name="postgres")
    made("up", "-d")
    wait_until(lambda: answers(login))
    database.query("create table rounds (n int)", **login)
    arguments = {"up": ["up", "-d", "--force-recreate"], "down": ["down", "-t", "5"], "restart": ["restart", "-t", "5"]}[verb]
    for n in range(-(-ROUNDS // 3)):
        database.query(f"insert into rounds values ({n})", **login)
        process = made.start(*arguments)
        delay = chance.uniform(0, 0.6)
        time.sleep(delay)
        under_way = process.poll() is None
        killed = kill_keeper(berth, "demo")
        process.communicate(timeout=120)
        start = time.monotonic()
        made("up", "-d")
        wait_until(lambda: answers(login))
        seconds = time.monotonic() - start
        rows = database.query("select count(*), max(n) from rounds", **login)
        states = {row["Name"]: row["State"] for row in made.ps("-a").values()}
        tell(verb=verb, seed=seed, round=n, delay=delay, hit=under_way and killed, command_failed=process.returncode != 0,
             lost=n + 1 - rows[0][0], seconds=seconds)
        assert rows == [(n + 1, n)], f"seed {seed}"
        assert states == {"demo-db-1": "running", "demo-after-1": "running"}, f"seed {seed}"


def tell(**round_):
    """A line for the table that `make soak` writes."""
    if os.environ.get("BERTH_SOAK_REPORT"):
        with open(os.environ["BERTH_SOAK_REPORT"], "a") as report:
            report.write(json.dumps(round_) + "\n")


def answers(login):
    try:
        return database.query("select 1", **login) == [(1,)]
    except database.psycopg2.OperationalError:
        return False
