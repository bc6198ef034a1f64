"""Guards of databases: what would put data at risk is refused before anything starts."""
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
