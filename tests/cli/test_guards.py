"""Guards of databases: what would put data at risk is refused before anything starts."""
import json
import os
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


def make_data(folder, major=MAJOR, control="x"):
    (folder / "global").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(f"{major}\n")
    if control:
        (folder / "global/pg_control").write_text(control)


def written_by(libc):
    def prepare(berth, folder, name):
        make_data(folder)
        record = berth.data / "volumes" / f"{name}_data" / "volume.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "written_by": f"postgres:{MAJOR}, {libc}"}))
    return prepare


def remembered(**words):
    def prepare(berth, folder, name):
        make_data(folder)
        memory = berth.data / "databases" / f"{name}_data.json"
        before = json.loads(memory.read_text())
        memory.write_text(json.dumps({**before, **words}))
    return prepare


TRAP = "/var/lib/postgresql/data" if MAJOR >= 18 else "/var/lib/postgresql"
def test_libraries_that_were_not_noted_are_once_the_server_agrees(project, berth):
    deployment = project(compose(), name="noted")
    deployment("up", "-d", "--wait")
    record = berth.data / "volumes" / "noted_data" / "volume.json"
    note = json.loads(record.read_text())["written_by"]
    before, icu, after = re.match(r"(.*, glibc [0-9.]+)(, ICU [0-9]+)(.*)", note).groups()

    def up_with(text, sql=""):
        record.write_text(json.dumps({**json.loads(record.read_text()), "written_by": text}))
        for statement in filter(None, sql.split(";")):
            deployment("psql", "db", "-qc", statement, "postgres")
        told = deployment("up", "-d").stderr
        return json.loads(record.read_text())["written_by"], "[collation-version]" in told

    assert up_with(before + after) == (note, False)
    # Data that another version has sorted, in one of the databases: told until it is sorted anew, and then noted.
    other = "UPDATE pg_collation SET collversion = '1' WHERE collname = 'de-x-icu'"
    assert up_with(before + after, other) == (before + after, False)
    assert up_with(before + ", ICU 2" + after) == (before + ", ICU 2" + after, True)
    assert up_with(before + ", ICU 2" + after, 'ALTER COLLATION "de-x-icu" REFRESH VERSION') == (note, False)
    if MAJOR >= 15:
        old = re.sub("glibc [0-9.]+", "glibc 2.2", note)
        assert up_with(old, "UPDATE pg_database SET datcollversion = '2.2' WHERE datname = 'postgres'") == (old, True)
        assert up_with(old, "ALTER DATABASE postgres REFRESH COLLATION VERSION") == (note, False)
    # Never from one kind of libc to the other.
    record.write_text(json.dumps({**json.loads(record.read_text()), "written_by": "postgres, musl 1.2.4"}))
    assert "[libc]" in deployment.fails("up", "-d")


ALL_GUARDS = [
    ("major-version", True, {}, lambda berth, folder, name: make_data(folder, MAJOR - 1)),
    ("libc", True, {}, written_by("musl 1.2.4")),
    ("collation-version", False, {}, written_by("glibc 2.2")),
    ("collation-version", False, {}, written_by(f"glibc {os.confstr('CS_GNU_LIBC_VERSION').split()[1]}, ICU 2")),
    ("half-initialised", True, {}, lambda berth, folder, name: make_data(folder, control=None)),
    ("unfinished-first-start", False, {}, lambda berth, folder, name: (make_data(folder), (folder / ".berth-init").mkdir())),
    ("user-drift", False, {}, remembered(user="somebody")),
    ("database-drift", False, {}, remembered(database="something")),
    ("password-drift", False, {}, "password"),
    ("data-layout", True, {"mount": TRAP}, None),
    ("no-volume", False, {"replace": (f'volumes: ["data:{DATA}"]', "")}, None),
    ("password-file", True, {"replace": (f'POSTGRES_PASSWORD: "{PASSWORD}"', "POSTGRES_PASSWORD_FILE: /nowhere")}, None),
    ("empty-password", True, {"replace": (f'POSTGRES_PASSWORD: "{PASSWORD}"', "POSTGRES_PASSWORD_FILE: /run/empty"),
                              "extra": "    configs: [{source: empty, target: /run/empty}]"}, None),
    ("empty-password", False, {"password": ""}, None),
    ("known-password", False, {"password": "mysecretpassword"}, None),
    ("short-password", False, {"password": "k3-x"}, None),
    ("trust-published", True, {"extra": "    ports: ['5432']",
                               "replace": (f'POSTGRES_PASSWORD: "{PASSWORD}"', "POSTGRES_HOST_AUTH_METHOD: trust")}, None),
    ("published-to-all", False, {"extra": "    ports: ['5432']"}, None),
    ("stop-grace", False, {"extra": "    stop_grace_period: 5s"}, None),
    ("shm-size", False, {"extra": "    shm_size: 64mb"}, None),
    ("listen-addresses", False, {"extra": "    command: [postgres, -c, config_file=/etc/own.conf]\n"
                                          "    configs: [{source: own, target: /etc/own.conf}]"}, None),
    ("key-owner", False, {"extra": "    command: [sh, -c, 'chown 999 /etc/server.key && exec docker-entrypoint.sh postgres']",
                          "replace": (f'"data:{DATA}"', f'"data:{DATA}", "./server.key:/etc/server.key"')}, None),
]
CONFIGS = "configs: {empty: {file: ./empty}, own: {content: 'max_connections = 10'}}\n"


@pytest.mark.parametrize("identifier,is_error,how,prepare", ALL_GUARDS, ids=[f"{row[0]}-{i}" for i, row in enumerate(ALL_GUARDS)])
def test_each_guard_speaks_and_can_be_silenced(project, berth, identifier, is_error, how, prepare):
    before, after = how.get("replace", ("", ""))
    words = {key: value for key, value in how.items() if key != "replace"}

    def text(x_berth=""):
        return compose(x_berth=x_berth, **words).replace(before, after) + CONFIGS

    deployment = project(text(), name="guard", files={"empty": "", "server.key": "key"})
    if prepare == "password":
        rewrite(deployment, text().replace(PASSWORD, "Another-1-passw"))
        deployment("up", "-d", "--no-start")
        make_data(inside(berth, "guard_data"))
        rewrite(deployment, text())
    elif prepare:
        deployment("up", "-d", "--no-start")
        prepare(berth, inside(berth, "guard_data"), "guard")
    told = deployment("up", "--dry-run", check=False)
    assert f"[{identifier}]" in told.stderr and (told.returncode != 0) is is_error, told.stderr
    rewrite(deployment, text(f", silence: [{identifier}]"))
    told = deployment("up", "--dry-run", check=False)
    assert f"[{identifier}]" not in told.stderr and told.returncode == 0, told.stderr


def test_guards_speak_at_every_up(project, berth, free_port):
    """Nothing is made anew: what was told the first time is told again, and data that were exchanged meanwhile are refused."""
    deployment = project(compose(extra=f"    ports: ['{free_port()}:5432']"), name="every")
    for _ in range(2):
        told = deployment("up", "-d", "--wait").stderr
        assert "[published-to-all]" in told and "[half-initialised]" not in told
    deployment("stop")
    version = inside(berth, "every_data") / "PG_VERSION"
    version.write_text(f"{MAJOR - 1}\n")
    refused = deployment.fails("up", "-d")
    assert "[major-version]" in refused
    assert deployment.ps("-a")["every-db-1"]["State"] == "exited"
    version.write_text(f"{MAJOR}\n")
    deployment("up", "-d", "--wait")


def test_guards_of_jobs_speak_at_every_up(project, images):
    images("busybox:latest")
    deployment = project("""
services:
  job: {image: "busybox", command: ["true"], restart: "no"}
  app: {image: "busybox", command: [sleep, "1000"], depends_on: [job], stop_signal: SIGKILL}
""", name="jobs")
    for _ in range(2):
        assert "[job-not-awaited]" in deployment("up", "-d").stderr
