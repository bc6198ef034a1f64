"""A database with a bit of everything, to be brought to a newer major."""
import contextlib


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


def make_both(project, images, **how):
    """15 in an image that has the programs of 17, too."""
    images("postgres:15-both", "postgres:17-both")
    deployment = project(compose("15-both", **how), name="from15", files={"password": "s3cret-of-db\n", "init/1.sql": INIT})
    deployment("up", "-d", "--wait")
    query(deployment, "SELECT pg_reload_conf()")
    return deployment


def system_identifier(deployment):
    return query(deployment, "SELECT system_identifier FROM pg_control_system()")
