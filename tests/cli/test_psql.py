"""berth psql: the database's own client inside, with no password asked."""
import pytest

from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment:
      POSTGRES_USER: dbadmin
      POSTGRES_PASSWORD_FILE: /run/secrets/password
      POSTGRES_DB: shop
    secrets: [password]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U dbadmin"], interval: 1s, retries: 60}}
  also:
    image: postgres:{MAJOR}
    command: [sleep, "1000"]
    x-berth: {{images: host}}
secrets: {{password: {{file: ./password}}}}
"""


def test_psql(project):
    deployment = project(COMPOSE, name="shell", files={"password": "Xk29-fjw0-w9dk"})
    missing = deployment("psql", "--", "-c", "SELECT 1", check=False)
    assert missing.returncode == 1 and "has no database that was brought up" in missing.stderr
    deployment("up", "-d", "--wait")
    who = "SELECT current_user || ' ' || current_database()"
    assert deployment("psql", "--", "-XAtc", who).stdout == "dbadmin shop\n"
    assert deployment("psql", "db", "-XAt", input=who).stdout == "dbadmin shop\n"
    assert deployment("psql", "db", "-XAtc", who, "postgres").stdout == "dbadmin postgres\n"
    assert deployment("psql", "db", "--", "-XAtc", who).stdout == "dbadmin shop\n"
    failed = deployment("psql", "db", "-Xc", "SELECT nope", check=False)
    assert failed.returncode == 1 and 'column "nope" does not exist' in failed.stderr


def test_psql_waits_for_a_server_that_was_just_started(project):
    deployment = project(COMPOSE, name="fresh", files={"password": "Xk29-fjw0-w9dk"})
    deployment("up", "-d")
    assert deployment("psql", "db", "-XAtc", "SELECT 1").stdout == "1\n"
    for _ in range(3):
        deployment("restart", "db")
        assert deployment("psql", "db", "-XAtc", "SELECT 1").stdout == "1\n"
