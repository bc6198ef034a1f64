"""berth upgrade by pg_upgrade, to the other layout of 18, back by itself; backups across it; killed anywhere."""
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from support.backups import first_backup, listed, receiver, received
from support.program import wait_until
from support.upgrade import compose, everything, make, make_both, query, server_major, system_identifier, writing

SEED = int(os.environ.get("BERTH_SEED", "0")) or random.randrange(1 << 30)


@pytest.mark.slow
def test_pg_upgrade_where_the_image_has_both_majors(project, images, berth):
    deployment = make_both(project, images)
    before, identifier = everything(deployment), system_identifier(deployment)
    checksums = query(deployment, "SHOW data_checksums")
    with writing(deployment) as last:
        done = deployment("upgrade", "db", "--yes", "--to", 17)
    assert "pg_upgrade" in done.stderr and "by dump and restore" not in done.stderr, done.stderr
    assert "tables with" in done.stderr
    assert server_major(deployment) == 17 and everything(deployment) == before
    assert query(deployment, f"SELECT max(n) >= {last[0]} AND count(*) = max(n) FROM log") == "t"
    assert query(deployment, "SELECT count(*) FROM pg_stats WHERE tablename = 'item'") != "0"
    assert query(deployment, "SHOW data_checksums") == checksums
    assert system_identifier(deployment) != identifier
    assert not deployment.exec("db", "sh", "-c", "ls -A $PGDATA | grep berth || true")
    deployment("upgrade", "db", "--rollback", "--yes")
    assert server_major(deployment) == 15 and everything(deployment) == before
    assert system_identifier(deployment) == identifier
    deployment("upgrade", "db", "--forget", "--yes")


@pytest.mark.slow
def test_pg_upgrade_says_why_it_cannot(project, images, berth):
    deployment = make_both(project, images)
    query(deployment, "CREATE UNLOGGED TABLE scratch AS SELECT 1 AS n")
    said = deployment.fails("upgrade", "db", "--to", "17", "--method", "pg_upgrade", "--yes")
    assert "table scratch in database shop is unlogged" in said
    # What pg_upgrade itself refuses: its words, and nothing has changed.
    query(deployment, "DROP TABLE scratch")
    query(deployment, "CREATE TABLE odd (r regrole, p regproc)")
    said = deployment.fails("upgrade", "db", "--to", "17", "--method", "pg_upgrade", "--yes")
    assert "reg*" in said and "public.odd.p" in said
    assert "upgrade-15-17" not in deployment("volume", "ls").stdout
    query(deployment, "INSERT INTO item (name) VALUES ('goes on')")
    # Left to itself it takes the other way.
    done = deployment("upgrade", "db", "--to", "17", "--yes").stderr
    assert "by dump and restore" in done and "reg*" in done
    assert server_major(deployment) == 17
    assert query(deployment, "SELECT count(*) FROM item") == "501"


@pytest.mark.slow
def test_images_of_one_major_each(project, images, berth):
    deployment = make(project, images, 15, 17)
    said = deployment.fails("upgrade", "db", "--to", "17", "--method", "pg_upgrade", "--yes")
    assert "has no programs of 15" in said and server_major(deployment) == 15
    assert "upgrade-15-17" not in deployment("volume", "ls").stdout
    # A server that does not become healthy: everything is put back, by itself.
    text = compose(15).replace("pg_isready -h", "test $$PG_MAJOR != 17 && pg_isready -h").replace("retries: 120", "retries: 2")
    deployment.write("compose.yaml", text)
    deployment("up", "-d", "--wait")
    before = everything(deployment)
    said = deployment.fails("upgrade", "db", "--to", "17", "--yes")
    assert "PostgreSQL 17 did not come up, everything is as before" in said
    assert server_major(deployment) == 15 and everything(deployment) == before
    assert (deployment.folder / "compose.yaml").read_text() == text


@pytest.mark.slow
def test_to_18_and_its_layout(project, images, berth):
    deployment = make(project, images, 17, 18)
    before, text = everything(deployment), compose(18, volume="data:/var/lib/postgresql")
    deployment.write("compose.yaml", text)
    assert "[major-version]" in deployment.fails("up", "-d")
    deployment("upgrade", "db", "--to", "18", "--yes")
    assert server_major(deployment) == 18 and everything(deployment) == before
    assert (deployment.folder / "compose.yaml").read_text() == text
    assert "Nothing to do" in deployment("up", "--dry-run").stdout
    told = deployment("upgrade", "db", "--rollback", "--yes").stderr
    assert "write `image: postgres:17` and the volume at /var/lib/postgresql/data" in told
    assert server_major(deployment) == 17 and everything(deployment) == before
    assert "[major-version]" in deployment.fails("up", "-d")
    deployment.write("compose.yaml", compose(17))
    deployment("up", "-d", "--wait")
    assert server_major(deployment) == 17


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("method", ["dump", "pg_upgrade"])
def test_killed_anywhere_one_whole_server_is_there(project, images, berth, method):
    """Whatever is killed, and when: what `up` brings up afterwards has all data; the same command then gets through."""
    rounds = int(os.environ.get("BERTH_SOAK_ROUNDS", "0")) or 2
    chance = random.Random(SEED)
    deployment = make_both(project, images) if method == "pg_upgrade" else make(project, images, 15, 17)
    forth = ["upgrade", "db", "--to", "17", "--method", method, "--yes"]
    before, major, spent = everything(deployment), 15, 10.0
    for i in range(rounds):
        words = forth if major == 15 else ["upgrade", "db", "--rollback", "--yes"]
        process = deployment.start(*words)
        begun = time.monotonic()
        try:
            process.wait(chance.uniform(0, spent * 1.1))
        except Exception:
            pass
        else:
            spent = time.monotonic() - begun
        where = f"seed {SEED}, round {i}"
        if chance.random() < 0.3:
            try:
                os.kill(berth.keeper_pid(deployment.name), signal.SIGKILL)
            except (OSError, FileNotFoundError):
                pass
        process.kill()
        process.communicate()
        up = deployment("up", "-d", "--wait", check=False)
        if up.returncode != 0:
            assert "[major-version]" in up.stderr, where + up.stderr
            deployment(*words)
        assert everything(deployment) == before, where
        major = server_major(deployment)
        wait_until(lambda: list(deployment.ps()) == ["from15-db-1"])
    if major == 15:
        deployment(*forth)
    assert everything(deployment) == before, f"seed {SEED}"


@pytest.mark.slow
def test_backups_go_on_with_a_line_of_their_own(project, images, protected):
    deployment = make_both(project, images)
    first, identifier = first_backup(protected, deployment), system_identifier(deployment)
    deployment("upgrade", "db", "--to", "17", "--yes")
    new = system_identifier(deployment)
    assert new != identifier
    # A first base backup of the new one comes by itself; those of the old one stay listed.
    wait_until(lambda: {pathlib.Path(row["repository"]).name for row in listed(deployment)} == {identifier, new}, 120)
    rows = {pathlib.Path(row["repository"]).name: row for row in listed(deployment)}
    assert rows[identifier]["id"] == first["id"]
    received(protected, deployment)
    assert deployment("backup", "verify", "db").returncode == 0
    # And after the way back the old line goes on.
    deployment("upgrade", "db", "--rollback", "--yes")
    wait_until(lambda: receiver(protected, deployment.name).get("phase") == "streaming")
    query(deployment, "INSERT INTO item (name) VALUES ('after')")
    received(protected, deployment)
    assert {pathlib.Path(row["repository"]).name for row in listed(deployment)} == {identifier, new}


@pytest.mark.slow
def test_a_transaction_that_stays_open_ends_the_wait(project, images, berth):
    """It is named while it is waited for and at the end, and nothing is left waiting behind it."""
    deployment = make(project, images, 15, 17)
    holder = deployment.start("exec", "-T", "db", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", "shop",
                              stdin=subprocess.PIPE)
    try:
        holder.stdin.write("SELECT pg_backend_pid(); BEGIN; UPDATE item SET name = name;\n\\echo begun\n")
        holder.stdin.flush()
        pid = holder.stdout.readline().strip()
        assert holder.stdout.readline() == "begun\n"
        told = deployment.fails("upgrade", "db", "--to", "17", "--lock-timeout", "4", "--yes")
        named = f"session {pid} (user keeper, database shop, psql), idle in transaction, in a transaction for 00:0"
        assert f"waiting for {named}" in told and f"not within 4 seconds; what holds it up: {named}" in told, told
        assert "--lock-timeout" in told and told.count("from here on writers wait") == 1
        wait_until(lambda: query(deployment, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'berth-upgrade'") == "0")
        query(deployment, "SET lock_timeout = '2s'; INSERT INTO item (name) VALUES ('others go on')")
        assert query(deployment, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "1", "the server has started over"
    finally:
        holder.kill()
        holder.wait()
    assert server_major(deployment) == 15
    assert "upgrade-15-17" not in deployment("volume", "ls").stdout


@pytest.mark.slow
def test_locks_that_others_want_meanwhile(project, images, berth):
    """Whoever changes roles all the time waits for what the first database's session holds, and keeps no other session from its
    locks; a transaction that holds a table gets what it needs of the catalogs and ends; autovacuum is at work."""
    deployment = make(project, images, 15, 17)
    for setting in ("naptime = '1s'", "vacuum_threshold = 1", "analyze_threshold = 1", "vacuum_scale_factor = 0"):
        query(deployment, f"ALTER SYSTEM SET autovacuum_{setting}")
    query(deployment, "SELECT pg_reload_conf()")

    def client(text):
        return deployment.start("exec", "-T", "db", "psql", "-XAtq", "-U", "keeper", "-d", "shop", "-c", text)

    def active(condition):
        return query(deployment, f"SELECT count(*) > 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}") == "t"

    forever = "DO $$ BEGIN LOOP {} COMMIT; PERFORM pg_sleep(0.01); END LOOP; END $$"
    others = [client(forever.format("ALTER ROLE app CONNECTION LIMIT 5;")), client(forever.format("UPDATE parts SET id = id + 1;"))]
    holder = deployment.start("exec", "-T", "db", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", "shop",
                              stdin=subprocess.PIPE)
    try:
        holder.stdin.write("BEGIN; INSERT INTO item (name) VALUES ('early');\n\\echo begun\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "begun\n"
        others.append(deployment.start("upgrade", "db", "--to", "17", "--method", "dump", "--yes"))
        wait_until(lambda: active("application_name = 'berth-upgrade' AND wait_event_type = 'Lock' AND query LIKE '%item%'"))
        holder.stdin.write("CREATE TABLE made (); CREATE TYPE kind AS ENUM ('a'); COMMIT;\n")
        assert holder.communicate(timeout=60)[1] == "" and holder.returncode == 0
        told = others[-1].communicate(timeout=120)[1]
        assert others[-1].returncode == 0, told
    finally:
        for process in (holder, *others):
            process.kill()
            process.wait()
    assert server_major(deployment) == 17
    assert query(deployment, "SELECT count(*) FROM item WHERE name = 'early'") == "1" and query(deployment, "SELECT * FROM made") == ""
