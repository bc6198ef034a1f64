"""berth migrate: migrations of a project without an address or a password."""
import json
import re

import pytest

from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
COMPOSE = f"""
services:
  db:
    image: postgres:{max(MAJORS, default=0)}
    environment:
      POSTGRES_USER: "app owner"
      POSTGRES_PASSWORD_FILE: /run/secrets/password
      POSTGRES_DB: shop
    secrets: [password]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
secrets: {{password: {{file: ./password}}}}
EXTRA
"""


def test_story(project):
    deployment = project(COMPOSE.replace("EXTRA", ""), name="moves", files={"password": "p@ss/w:rd%42"})
    early = deployment("migrate", "up", check=False)
    assert early.returncode == 1 and "has no database that was brought up" in early.stderr
    created = deployment("migrate", "create", "add_users")
    assert f"{deployment.folder}/migrations/000001_add_users.up.sql" in created.stderr
    deployment.write("migrations/000001_add_users.up.sql", "CREATE TABLE users (n int);")
    deployment.write("migrations/000001_add_users.down.sql", "DROP TABLE users;")
    deployment("up", "-d", "--wait")
    assert deployment("migrate", "version", check=False).stderr == "error: no migration\n"
    assert "would run 1/u add_users" in deployment("migrate", "up", "-dry-run").stderr
    assert "1/u add_users (" in deployment("migrate", "up").stderr
    assert deployment("migrate", "up").stderr == "no change\n"
    assert deployment("psql", "db", "-XAtc", "SELECT tableowner FROM pg_tables WHERE tablename = 'users'").stdout == "app owner\n"
    assert "1/d add_users (" in deployment("migrate", "down", "1").stderr
    assert "1/u add_users (" in deployment("migrate", "up").stderr
    deployment.write("migrations/000002_wrong.up.sql", "SELECT 1;\nSELECT nope;")
    failed = deployment("migrate", "up", check=False)
    assert failed.returncode == 1 and "000002_wrong.up.sql:2:8" in failed.stderr
    assert "Dirty database version 2. Fix and force version." in deployment("migrate", "up", check=False).stderr
    deployment("migrate", "force", "1")
    assert deployment("migrate", "version").stderr == "1\n"
    rows = [json.loads(line) for line in deployment("migrate", "--format", "json", "status").stdout.splitlines()]
    assert [(row["version"], row["name"], row["state"]) for row in rows] == [(1, "add_users", "applied"), (2, "wrong", "pending")]
    deployment.write("migrations/000001_add_users.up.sql", "CREATE TABLE users (n bigint);")
    table = deployment("migrate", "status").stdout
    assert re.search(r"VERSION +NAME +STATE +APPLIED\n1 +add_users +changed +20", table), table
    assert '"event": "plan", "version": 2' in deployment("migrate", "--format", "json", "up", "--dry-run").stdout


def test_place_and_table_of_x_berth(project):
    deployment = project(COMPOSE.replace("EXTRA", "x-berth: {migrations: {path: sql, table: moves, lock_timeout: 2s}}"), name="named",
                         files={"password": "Xk29-fjw0-w9dk", "sql/1_a.up.sql": "CREATE TABLE a ();"})
    deployment("up", "-d", "--wait")
    assert "1/u a (" in deployment("migrate", "up").stderr
    assert deployment("psql", "db", "-XAtc", "SELECT version FROM moves").stdout == "1\n"
