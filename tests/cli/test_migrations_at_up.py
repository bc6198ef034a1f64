"""x-berth: {migrations: {on_up: true}}: migrations run when the database is healthy and before its dependents start."""
import os
import signal

import pytest

from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
HEALTH = "    healthcheck: {test: [CMD-SHELL, \"pg_isready -U postgres\"], interval: 1s, retries: 60}"
COMPOSE = f"""
services:
  db:
    image: postgres:{max(MAJORS, default=0)}
    environment: {{POSTGRES_USER: owner, POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_DB: shop}}
    secrets: [password]
    x-berth: {{images: host, migrations: {{path: sql, on_up: true, lock_timeout: 20s}}}}
HEALTH
  app:
    image: postgres:{max(MAJORS, default=0)}
    x-berth: {{images: host, postgres: false}}
    environment: {{PGPASSWORD: "p@ss/w:rd%42"}}
    entrypoint: []
    command: [sh, -c, "psql -h db -U owner shop -Atc 'SELECT count(*) FROM users' && exec sleep 1000"]
    init: true
    depends_on: [db]
secrets: {{password: {{file: ./password}}}}
"""
FILES = {"password": "p@ss/w:rd%42", "sql/1_users.up.sql": "CREATE TABLE users (n int);", "sql/1_users.down.sql": "DROP TABLE users;"}


def plan(deployment):
    rows = [line.split(None, 3) for line in deployment("up", "--dry-run").stdout.splitlines()]
    return [row[3] for row in rows if row[:3] == ["migrate", "database", "db"]]


@pytest.mark.parametrize("health", [HEALTH, ""], ids=["with a health check", "without"])
def test_before_dependents(project, health):
    deployment = project(COMPOSE.replace("HEALTH", health), name="early", files=FILES)
    assert plan(deployment) == ["what it lacks of: 1_users (it does not run now)"]
    first = deployment("up", "-d")
    assert "Migration db/1_users  Applied" in first.stderr
    # The application found its table at its first start, although it depends on the database in list form.
    wait_until(lambda: deployment("logs", "--no-log-prefix", "app").stdout == "0\n")
    assert plan(deployment) == ["no migration is pending"]
    assert "Migration" not in deployment("up", "-d").stderr
    deployment.write("sql/2_more.up.sql", "ALTER TABLE users ADD name text;")
    assert plan(deployment) == ["pending: 2_more"]
    assert "Migration db/2_more  Applied" in deployment("up", "-d").stderr
    assert deployment("psql", "db", "-XAtc", "SELECT version, dirty FROM schema_migrations").stdout == "2|f\n"
    # Nothing of ours stands among the user's tables, and the password in no record.
    assert deployment("psql", "db", "-XAtc", r"\dt").stdout.count("public|") == 2
    # A file that comes too late is told, and passed over.
    deployment.write("sql/2_more.down.sql", "")
    deployment.write("sql/1_users.up.sql", "CREATE TABLE users (n bigint);")
    assert "warning: service \"db\": 1_users.up.sql has changed since it was applied" in deployment("up", "-d").stderr


def test_failure_keeps_dependents_down(project):
    deployment = project(COMPOSE.replace("HEALTH", HEALTH), name="fails",
                         files={**FILES, "sql/2_bad.up.sql": "CREATE TABLE half ();\n\nALTER TABLE nowhere\n  ADD x int;\n"})
    failed = deployment("up", "-d", check=False)
    assert failed.returncode == 1
    assert f"{deployment.folder}/sql/2_bad.up.sql:3:1: service \"db\": migration failed: relation \"nowhere\" does not exist" in failed.stderr
    assert "ALTER TABLE nowhere ADD x int" in failed.stderr and "Migration db/1_users  Applied" in failed.stderr
    states = {row["Service"]: row["State"] for row in deployment.ps("-a").values()}
    assert states == {"db": "running", "app": "created"}
    assert deployment("psql", "db", "-XAtc", "SELECT version, dirty, to_regclass('half') FROM schema_migrations").stdout == "2|t|\n"
    again = deployment("up", "-d", check=False)
    assert again.returncode == 1 and "Dirty database version 2. Fix and force version." in again.stderr
    deployment.write("sql/2_bad.up.sql", "CREATE TABLE half ();")
    deployment("migrate", "force", "1")
    deployment("up", "-d")
    assert {row["State"] for row in deployment.ps().values()} == {"running"}


def test_missing_folder_is_told_before_anything_starts(project):
    deployment = project(COMPOSE.replace("HEALTH", HEALTH), name="nowhere", files={"password": "Xk29-fjw0-w9dk"})
    error = deployment.fails("up", "-d")
    assert 'service "db": migrations in ' in error and "no such file or directory" in error
    assert deployment.ps("-a") == {}


def test_interrupted_after_the_running_migration(project):
    deployment = project(COMPOSE.replace("HEALTH", HEALTH), name="stopped",
                         files={**FILES, "sql/2_slow.up.sql": "SELECT pg_sleep(3); CREATE TABLE slow ();",
                                "sql/3_next.up.sql": "CREATE TABLE next ();"})
    process = deployment.start("up", "-d")
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    wait_until(lambda: deployment("psql", "db", "-XAtc", query, check=False).stdout == "1\n")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert deployment("psql", "db", "-XAtc", "SELECT version, dirty, to_regclass('slow') FROM schema_migrations").stdout == "2|f|slow\n"
    deployment("up", "-d")
    assert deployment("psql", "db", "-XAtc", "SELECT version FROM schema_migrations").stdout == "3\n"


@pytest.mark.slow
def test_keeper_killed_while_a_migration_runs(project):
    """The migration goes on by itself; the command asks a new keeper, which waits for it and goes on behind it."""
    deployment = project(COMPOSE.replace("HEALTH", HEALTH), name="killed",
                         files={**FILES, "sql/2_slow.up.sql": "SELECT pg_sleep(2); CREATE TABLE slow ();",
                                "sql/3_next.up.sql": "CREATE TABLE next ();"})
    process = deployment.start("up", "-d")
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    wait_until(lambda: deployment("psql", "db", "-XAtc", query, check=False).stdout == "1\n")
    os.kill(deployment.berth.keeper_pid("killed"), signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert deployment("psql", "db", "-XAtc", "SELECT version, dirty, to_regclass('slow'), to_regclass('next') FROM schema_migrations"
                      ).stdout == "3|f|slow|next\n"
    assert {row["State"] for row in deployment.ps().values()} == {"running"}
