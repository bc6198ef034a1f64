"""Guards of databases: what would put data at risk is refused before anything starts."""
import re

import pytest

from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
DATA = "/var/lib/postgresql" if MAJOR >= 18 else "/var/lib/postgresql/data"
PASSWORD = "Xk29-fjw0-w9dk"


def compose(mount=DATA, extra="", password=PASSWORD, user="postgres", x_berth=""):
    return f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD: "{password}", POSTGRES_USER: "{user}"}}
    volumes: ["data:{mount}"]
    x-berth: {{images: host{x_berth}}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U $$POSTGRES_USER"], interval: 1s, retries: 60}}
{extra}
volumes: {{data: {{}}}}
"""


def rewrite(deployment, text):
    (deployment.folder / "compose.yaml").write_text(text)


def volume_folder(berth, name):
    return berth.data / "volumes" / name / "_data"


def inside(berth, name):
    folder = volume_folder(berth, name)
    return folder / f"{MAJOR}/docker" if MAJOR >= 18 else folder


def test_data_of_another_major_is_refused_and_untouched(project, berth):
    deployment = project(compose(), name="major")
    deployment("up", "-d", "--no-start")
    folder = inside(berth, "major_data")
    (folder / "global").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(f"{MAJOR - 1}\n")
    (folder / "global/pg_control").write_text("x")
    refused = deployment("up", "-d", "--force-recreate", check=False)
    assert refused.returncode == 1
    assert f"written by PostgreSQL {MAJOR - 1}" in refused.stderr and "[major-version]" in refused.stderr
    assert f"postgres:{MAJOR - 1}" in refused.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["PG_VERSION", "global"]


def test_half_of_somebody_elses_is_refused(project, berth):
    deployment = project(compose(), name="half")
    deployment("up", "-d", "--no-start")
    folder = inside(berth, "half_data")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "PG_VERSION").write_text(f"{MAJOR}\n")
    refused = deployment("up", "-d", "--force-recreate", check=False)
    assert refused.returncode == 1 and "[half-initialised]" in refused.stderr


@pytest.mark.skipif(MAJOR >= 18, reason="the trap of images before 18")
def test_volume_at_the_wrong_place_is_refused(project):
    deployment = project(compose(mount="/var/lib/postgresql"), name="trap")
    refused = deployment("up", "-d", check=False)
    assert refused.returncode == 1
    assert "[data-layout]" in refused.stderr and "Mount the volume at /var/lib/postgresql/data" in refused.stderr


def test_changed_variables_are_told(project):
    deployment = project(compose(user="first"), name="drift")
    first = deployment("up", "-d", "--wait")
    assert "drift" not in first.stderr.replace("drift-db", "").replace("drift_", "")
    rewrite(deployment, compose(user="second", password="Another-1-passw"))
    again = deployment("up", "-d", check=False)
    assert "[user-drift]" in again.stderr and "initialised with first" in again.stderr
    assert "[password-drift]" in again.stderr and "Another-1" not in again.stderr


def test_warnings_and_silence(project, free_port):
    ports = f"    ports: ['{free_port()}:5432']"
    loud = project(compose(extra=ports, password="secret"), name="loud")("up", "-d", "--no-start")
    assert "[published-to-all]" in loud.stderr and "[known-password]" in loud.stderr
    quiet = project(compose(extra=ports, password="secret", x_berth=", silence: [published-to-all]"), name="quiet")
    told = quiet("up", "-d", "--no-start")
    assert "[published-to-all]" not in told.stderr and "[known-password]" in told.stderr


def warned(project, text, name="warned"):
    """Identifiers in the warnings of a plan."""
    told = project(text, name=name)("up", "--dry-run", check=False)
    return set(re.findall(r" \[([a-z-]+)\]$", told.stderr, re.M)), told.stderr


@pytest.mark.parametrize("extra,password,expected", [
    ("    stop_grace_period: 10s", PASSWORD, {"stop-grace"}),
    ("    shm_size: 64mb", PASSWORD, {"shm-size"}),
    ("    ports: ['127.0.0.1::5432']", "short1", {"short-password"}),
    ("", "AutoDeploy123", {"known-password"}),
    ("", "your_strong_password", {"known-password"}),
    ("", PASSWORD, set()),
])
def test_findings_of_a_service(project, extra, password, expected):
    assert warned(project, compose(extra=extra, password=password))[0] == expected


def test_key_that_a_start_command_gives_away(project):
    text = compose(extra="    command: sh -c \"chown postgres:postgres /etc/ssl/server.key && exec docker-entrypoint.sh postgres\"")
    text = text.replace(f'"data:{DATA}"', f'"data:{DATA}", "./server.key:/etc/ssl/server.key"')
    deployment = project(text, name="key", files={"server.key": "key"})
    assert "[key-owner]" in deployment("up", "--dry-run").stderr


JOBS = """
services:
  migrations:
    image: migrate/migrate:v4.18.3
    restart: "no"
    COMMAND
  app:
    image: IMAGE
    entrypoint: [sleep, "1"]
    depends_on: DEPENDS
    x-berth: {images: host, postgres: false, silence: [SILENCE]}
""".replace("IMAGE", f"postgres:{MAJOR}")


@pytest.mark.parametrize("command,depends,silence,expected", [
    ('command: ""', "[migrations]", "", {"job-not-awaited", "job-without-verb"}),
    ('entrypoint: /run.sh\n    command: ""', "{migrations: {condition: service_started}}", "", {"job-not-awaited", "job-without-verb"}),
    ("command: [-path, /m, -database, 'postgres://h/d', up]", "[migrations]", "job-not-awaited", set()),
    ("entrypoint: [sh, -c, migrate -path /m up]", "{migrations: {condition: service_completed_successfully}}", "", set()),
    ("entrypoint: /run.sh\n    command: [production]", "{migrations: {condition: service_completed_successfully}}", "", set()),
])
def test_jobs(project, command, depends, silence, expected):
    text = JOBS.replace("COMMAND", command).replace("DEPENDS", depends).replace("SILENCE", silence)
    found, told = warned(project, text, "jobs")
    assert found == expected, told
    if "job-not-awaited" in expected:
        assert 'service "app": it does not wait for the end of "migrations"' in told
        assert "depends_on: {migrations: {condition: service_completed_successfully}}" in told
