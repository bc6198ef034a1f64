"""berth upgrade: a database to a newer major beside the old one, compared, switched, returned, forgotten; killed anywhere."""
import contextlib
import os
import random
import signal
import time

import pytest

from support.program import wait_until

SEED = int(os.environ.get("BERTH_SEED", "0")) or random.randrange(1 << 30)


def compose(major, extra="", volume="data:/var/lib/postgresql/data"):
    return f"""# a comment that stays
services:
  db:
    image: "postgres:{major}"   # and another
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_USER: keeper, POSTGRES_DB: shop}}
    secrets: [password]
    volumes: ["{volume}", "./init:/docker-entrypoint-initdb.d:ro"]
    x-berth: {{images: registry}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -h 127.0.0.1 -U keeper -d shop"], interval: 1s, retries: 120}}
{extra}
volumes: {{data: {{}}}}
secrets: {{password: {{file: ./password}}}}
"""


INIT = r"""
CREATE ROLE app LOGIN PASSWORD 'app''s "word"' CONNECTION LIMIT 5;
CREATE ROLE readers; GRANT readers TO app;
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE NOT NULL, price numeric);
INSERT INTO item (name, price) SELECT 'n' || n, n / 7.0 FROM generate_series(1, 500) n;
CREATE TABLE "Odd ""name"" 'x'" (id int PRIMARY KEY, item bigint REFERENCES item, part text) ;
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO parts VALUES (1, '2024-05-05');
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 3;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM item;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE COLLATION special (provider = icu, locale = 'de-u-co-phonebk');
CREATE EXTENSION pg_stat_statements;
GRANT SELECT ON item TO readers;
SELECT lo_from_bytea(0, 'large');
CREATE DATABASE "second 'odd' one" OWNER app;
\c "second 'odd' one"
CREATE TABLE t AS SELECT generate_series(1, 10) AS n;
ALTER DATABASE shop SET work_mem = '7MB';
ALTER SYSTEM SET log_min_duration_statement = '777ms';
"""


def query(deployment, sql, name="shop"):
    return deployment.exec("db", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", name, "-c", sql)


def server_major(deployment):
    return int(query(deployment, "SHOW server_version_num")) // 10000


def make(project, images, old, new, **how):
    images(f"postgres:{old}", f"postgres:{new}")
    deployment = project(compose(old, **how), name=f"from{old}", files={"password": "s3cret-of-db\n", "init/1.sql": INIT})
    deployment("up", "-d", "--wait")
    query(deployment, "SELECT pg_reload_conf()")
    return deployment


def everything(deployment):
    return (query(deployment, "SELECT count(*), sum(price)::int, max(name) FROM item"),
            query(deployment, "SELECT count(*) FROM parts"), query(deployment, "SELECT twice(4)"),
            query(deployment, "SELECT convert_from(lo_get(loid), 'UTF8') FROM (SELECT oid AS loid FROM pg_largeobject_metadata) x"),
            query(deployment, "SELECT count(*) FROM t", "second 'odd' one"),
            query(deployment, "SELECT extname FROM pg_extension ORDER BY 1"),
            query(deployment, "SHOW work_mem"), query(deployment, "SHOW log_min_duration_statement"),
            query(deployment, "SELECT rolpassword, rolconnlimit FROM pg_authid WHERE rolname = 'app'"),
            query(deployment, "SELECT pg_has_role('app', 'readers', 'member'), has_table_privilege('readers', 'item', 'SELECT')"))


WRITER = r"""
psql -XAtq -U keeper shop -c 'CREATE TABLE log (n int)'
n=0
while n=$((n + 1)); do
    psql -XAtq -v ON_ERROR_STOP=1 -U keeper shop -c "INSERT INTO log VALUES ($n)" 2>/dev/null && echo $n || exit 0
done
"""


@contextlib.contextmanager
def writing(deployment):
    """Somebody writes all the time; the last number that was acknowledged is the list's only item afterwards."""
    last = []
    writer = deployment.start("exec", "-T", "db", "sh", "-c", WRITER)
    try:
        for _ in range(3):
            assert writer.stdout.readline()
        yield last
        last.append(int((writer.communicate(timeout=60)[0].split() or ["3"])[-1]))
    finally:
        writer.kill()
        writer.wait()


@pytest.mark.parametrize("old, new", [(13, 15), (15, 17)])
def test_all_arrives_and_the_way_back_is_open(project, images, berth, old, new):
    deployment = make(project, images, old, new)
    before = everything(deployment)
    dry = deployment("upgrade", "db", "--to", new, "--dry-run").stdout
    assert f"from PostgreSQL {old} to {new}" in dry and "compose.yaml:4" in dry
    with writing(deployment) as last:
        done = deployment("upgrade", "db", "--to", new, "--yes")
    assert "tables with" in done.stderr and "--rollback" in done.stdout
    assert server_major(deployment) == new
    assert everything(deployment) == before
    assert query(deployment, f"SELECT max(n) >= {last[0]} AND count(*) = max(n) FROM log") == "t"
    assert query(deployment, "SELECT count(*) FROM pg_stats WHERE tablename = 'item'") != "0"
    text = (deployment.folder / "compose.yaml").read_text()
    assert text == compose(old).replace(f'"postgres:{old}"', f'"postgres:{new}"')
    # The old password still opens the door, over TCP and with the rules of before.
    assert deployment.exec("db", "sh", "-c", "PGPASSWORD=$(cat /run/secrets/password) psql -XAtc 'SELECT 1' -U keeper -h "
                           "$(hostname) shop") == "1"
    assert "Nothing to do" in deployment("up", "--dry-run").stdout
    assert deployment("upgrade", "db", "--to", new, check=False).returncode != 0
    query(deployment, "INSERT INTO item (name) VALUES ('after')")
    deployment("upgrade", "db", "--rollback", "--yes")
    assert server_major(deployment) == old and everything(deployment) == before
    assert (deployment.folder / "compose.yaml").read_text() == compose(old)
    kept = f"from{old}_data-upgrade-{old}-{new}"
    assert kept in deployment("volume", "ls").stdout
    assert deployment("upgrade", "db", "--forget", "--yes").stdout.strip() == kept
    assert kept not in deployment("volume", "ls").stdout
    assert kept in deployment("volume", "ls", "--trash").stdout
    assert "no upgrade" in deployment.fails("upgrade", "db", "--rollback", "--yes")


def test_what_cannot_go_is_told_and_nothing_changed(project, images, berth):
    deployment = make(project, images, 15, 17)
    assert "of PostgreSQL 15 already" in deployment.fails("upgrade", "db", "--to", "15", "--yes")
    assert "no way here" in deployment.fails("upgrade", "db", "--to", "14", "--yes")
    assert "images from 18 on keep their data elsewhere" in deployment.fails("upgrade", "db", "--to", "18", "--yes")
    assert "not without a yes" in deployment.fails("upgrade", "db", "--to", "17")
    query(deployment, "CREATE DATABASE closed")
    query(deployment, "ALTER DATABASE closed ALLOW_CONNECTIONS false")
    assert "database closed accepts no connections" in deployment.fails("upgrade", "db", "--to", "17", "--yes")
    query(deployment, "DROP DATABASE closed")
    # What the new server refuses to restore: a function that only works under the path of before.
    query(deployment, "CREATE FUNCTION plain(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS "
          "$$BEGIN RETURN (SELECT $1 FROM parts LIMIT 1); END$$")
    query(deployment, "CREATE INDEX fragile ON item (plain(name))")
    said = deployment.fails("upgrade", "db", "--to", "17", "--yes")
    assert "copy" in said and "parts" in said
    assert server_major(deployment) == 15
    query(deployment, "INSERT INTO item (name) VALUES ('goes on')")
    assert (deployment.folder / "compose.yaml").read_text() == compose(15)
    assert "upgrade-15-17" not in deployment("volume", "ls").stdout
    assert [name for name in deployment.ps("-a")] == ["from15-db-1"]
    # A file that names the new major already is told the way; and a value that comes from elsewhere is not touched.
    deployment.write("compose.yaml", compose(17))
    refused = deployment.fails("up", "-d")
    assert "[major-version]" in refused and "berth upgrade db --to 17" in refused
    deployment.write("compose.yaml", compose("${MAJOR:-15}"))
    assert "comes from a variable" in deployment.fails("upgrade", "db", "--to", "17", "--yes")
    assert server_major(deployment) == 15


@pytest.mark.soak
def test_killed_anywhere_one_whole_server_is_there(project, images, berth):
    """Whatever is killed, and when: what `up` brings up afterwards has all data; the same command then gets through."""
    rounds = int(os.environ.get("BERTH_SOAK_ROUNDS", "0")) or 2
    chance = random.Random(SEED)
    deployment = make(project, images, 15, 17)
    before, major, spent = everything(deployment), 15, 10.0
    for i in range(rounds):
        words = ["upgrade", "db", "--to", "17", "--yes"] if major == 15 else ["upgrade", "db", "--rollback", "--yes"]
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
        deployment("upgrade", "db", "--to", "17", "--yes")
    assert everything(deployment) == before, f"seed {SEED}"
