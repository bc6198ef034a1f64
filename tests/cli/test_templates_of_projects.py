"""Template clusters in real projects: made at the first fresh start, used from then on, and what switches them off."""
import os

import pytest

from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not [m for m in MAJORS if m >= 14], reason="no PostgreSQL from 14 on is installed")
MAJOR = max([m for m in MAJORS if m >= 14], default=0)
TARGET = "/var/lib/postgresql" if MAJOR >= 18 else "/var/lib/postgresql/data"
MARK = "copy of the template"
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment:
      POSTGRES_PASSWORD: secret
      POSTGRES_USER_FILE: /run/secrets/user
      POSTGRES_DB: shop
    secrets: [user]
    volumes: ["data:{TARGET}"]
    x-berth: {{images: host, EXTRA}}
    healthcheck: {{test: [CMD, pg_isready, -U, keeper], interval: 1s, retries: 60}}
volumes: {{data: {{}}}}
secrets: {{user: {{file: ./user}}}}
"""


def query(deployment, sql):
    return deployment("exec", "-T", "db", "psql", "-XAtc", sql, "-U", "keeper", "shop").stdout.strip()


def make(project, name, extra="template: on"):
    return project(COMPOSE.replace("EXTRA", extra), name=name, files={"user": "keeper\n"})


def test_projects_share_a_template_and_nothing_else(project, berth):
    numbers = set()
    for name in ("one", "two"):
        deployment = make(project, name)
        deployment("up", "-d", "--wait")
        assert MARK in deployment("logs", "--no-log-prefix").stdout
        assert query(deployment, "SELECT current_user || ' ' || current_database()") == "keeper shop"
        numbers.add(query(deployment, "SELECT system_identifier FROM pg_control_system()"))
        deployment("down")
    assert len(numbers) == 2
    templates = [name for folder in (berth.data / "templates").iterdir() for name in os.listdir(folder)
                 if not name.startswith(".")]
    assert len(templates) == 1


def test_existing_volume_is_kept(project):
    deployment = make(project, "again")
    deployment("up", "-d", "--wait")
    query(deployment, "CREATE TABLE kept ()")
    number = query(deployment, "SELECT system_identifier FROM pg_control_system()")
    deployment("down")
    deployment("up", "-d", "--wait")
    assert query(deployment, "SELECT count(*) FROM kept") == "0"
    assert query(deployment, "SELECT system_identifier FROM pg_control_system()") == number


def test_template_off(project, berth):
    deployment = make(project, "off", "template: off")
    deployment("up", "-d", "--wait")
    assert MARK not in deployment("logs", "--no-log-prefix").stdout
    assert not (berth.data / "templates").exists() or not list((berth.data / "templates").glob("*/[0-9a-f]*"))
