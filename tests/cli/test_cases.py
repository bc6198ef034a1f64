"""Whole deployments: those of other people, unmodified (BERTH_CASES), and equivalents of our own, which never skip."""
import shutil
import subprocess

import pytest

from support import database
from support.program import ROOT, Project, wait_until

DATA = ROOT / "tests" / "data"


@pytest.fixture
def own_case(berth):
    def copy(name):
        folder = berth.root / name
        if (DATA / name / "prepare.sh").exists():
            subprocess.run(["sh", str(DATA / name / "prepare.sh"), str(folder)], check=True, stdin=subprocess.DEVNULL)
        else:
            shutil.copytree(DATA / name, folder)
        return Project(berth, folder)

    return copy


def persistence(project, container, volume, login):
    """The three experiments of the guides: stop and start; remove and up; volume removed and up."""
    project("up", "-d", "--wait")
    assert project.ps()[container]["Health"] == "healthy"
    database.query("create table notes (id int primary key, body text)", **login)
    database.query("insert into notes values (1, 'kept')", **login)

    # From any folder, by the container's name.
    project.berth("stop", container)
    assert project.ps("-a")[container]["State"] == "exited"
    project.berth("start", container)
    wait_until(lambda: project.ps()[container]["Health"] == "healthy")
    assert database.query("select body from notes", **login) == [("kept",)]

    project("rm", "--stop", "--force")
    assert project.ps("-a") == {}
    project("up", "-d", "--wait")
    assert database.query("select body from notes", **login) == [("kept",)]

    project("down")
    assert volume in project.berth("volume", "ls").stdout
    project.berth("volume", "rm", "--yes", volume)
    project("up", "-d", "--wait")
    out = project("exec", "-T", container, "psql", "-U", login["user"], "-d", login["name"], "-c", r"\dt")
    assert "Did not find any relations." in out.stdout + out.stderr


def test_own_single_database(own_case):
    project = own_case("single")
    project.berth.environment.update(MAJOR=str(database.major()))
    persistence(project, "single_database", "single_books",
                dict(port=5432, user="keeper", password="Plain-Password1", name="books"))


def test_own_secured_deployment(own_case):
    project = own_case("secured")
    project.berth.environment.update(MAJOR=str(database.major()))
    secured(project, "secured_db", "shop", "customers,orders", dict(port=5432, user="shop", password="S3cret_Password", name="shopdb"))
    assert "applied 0002_orders.sql" in project("logs", "migrations").stdout


def secured(project, server, application, tables, login):
    project("up", "-d")
    wait_until(lambda: tables in project("logs", "--no-log-prefix", application).stdout)
    states = project("ps", "-a", "--format", "json").stdout
    assert '"ExitCode":0' in states.replace(" ", "")
    assert project.ps()[server]["Health"] == "healthy"
    # TLS is served, and the password travels in files only.
    rows = database.query("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()", sslmode="require", **login)
    assert rows[0][0] is True
    assert login["password"] not in project.berth("inspect", server).stdout


def test_own_database_of_an_application_that_is_not_built(own_case):
    project = own_case("waiting")
    project.berth.environment.update(MAJOR=str(database.major()))
    project("up", "-d", "--wait", "database")
    assert [row["Service"] for row in project.ps().values()] == ["database"]
    assert database.query("select 1", port=5432, user="portal", password="portal_password", name="portal") == [(1,)]


@pytest.mark.slow
def test_autodeploy(case, images):
    project = case("autodeploy")
    images("postgres:16-alpine")
    persistence(project, "autodeploy_postgres", "autodeploy_postgres_data",
                dict(port=5432, user="dbadmin", password="AutoDeploy123", name="autodeploy"))


def test_autodeploy_runs_the_major_it_names(case, images):
    project = case("autodeploy")
    images("postgres:16-alpine")
    project("up", "-d", "--wait")
    login = dict(port=5432, user="dbadmin", password="AutoDeploy123", name="autodeploy")
    assert database.query("show server_version_num", **login)[0][0].startswith("16")


OULLIN = ("-f", "docker-compose.yml", "-f", "docker-compose.app.yml")


def test_oullin_alone_is_a_clear_error(case):
    project = case("oullin")
    error = project.fails("up", "-d")
    assert "api" in error and "image" in error and "build" in error
    assert project.berth("ls", "-a", "-q").stdout == ""


def test_oullin(case, images):
    project = case("oullin")
    images("postgres:16-alpine", "migrate/migrate:v4.18.3")
    project.options = OULLIN
    login = dict(port=5432, user="oullin", password="Str0ng_Password-1", name="oullin_db")
    secured(project, "oullin_db", "api", "posts,schema_migrations,users", login)
    assert database.query("select version, dirty from schema_migrations", **login) == [(3, False)]


def test_oullin_on_another_port(case, images, free_port):
    project = case("oullin")
    images("postgres:16-alpine")
    port = free_port()
    project.options = OULLIN
    project.berth.environment["ENV_DB_PORT"] = str(port)
    project("up", "-d", "--wait", "api-db")
    assert database.query("select 1", port=port, user="oullin", password="Str0ng_Password-1", name="oullin_db") == [(1,)]


def test_oullin_password_that_is_no_url(case, images):
    """The guide's script puts it into a URL as it is: its job fails and says why, and the application does not start."""
    project = case("oullin", {"CASE_PASSWORD": "p@ss/w:rd%42"})
    images("postgres:16-alpine", "migrate/migrate:v4.18.3")
    project.options = OULLIN
    result = project("up", "-d", check=False)
    wait_until(lambda: project.ps("-a").get("oullin_db_migrate", {}).get("State") == "exited")
    assert project.ps("-a")["oullin_db_migrate"]["ExitCode"] != 0
    assert not any(row["Service"] == "api" and row["State"] == "running" for row in project.ps("-a").values())
    assert result.returncode != 0
    assert "the password in the database URL holds characters that must be percent-encoded there" in project("logs", "db-migrate").stdout


def test_oullin_by_x_berth(case, images):
    """The same files, without the guide's job and its script: `up` migrates, whatever the password holds."""
    project = case("oullin", {"CASE_PASSWORD": "p@ss/w:rd%42"})
    images("postgres:16-alpine")
    project.write("berth.yml", """
        services:
          api-db:
            x-berth: {migrations: {path: database/migrations, on_up: true}}
          db-migrate:
            profiles: [by-hand]
          api:
            depends_on: !override {api-db: {condition: service_healthy}}
        """)
    project.options = (*OULLIN, "-f", "berth.yml")
    login = dict(port=5432, user="oullin", password="p@ss/w:rd%42", name="oullin_db")
    secured(project, "oullin_db", "api", "posts,schema_migrations,users", login)
    assert database.query("select version, dirty from schema_migrations", **login) == [(3, False)]
    assert "\n3/d add_slug (" in project("db:rollback").stderr
    assert "Migration api-db/3_add_slug  Applied" in project("up", "-d").stderr


def test_what_oullin_gets_wrong_is_told(case, images):
    project = case("oullin")
    images("postgres:16-alpine", "migrate/migrate:v4.18.3")
    project.write("api.yml", "services: {api: {image: 'postgres:16-alpine', entrypoint: [sleep, '1']}}")
    project.options = ("-f", "docker-compose.yml", "-f", "api.yml")
    told = project("up", "--dry-run").stderr
    assert "[job-without-verb]" in told and "[job-not-awaited]" in told and "[key-owner]" in told


def test_backstage_database(case, images):
    project = case("backstage")
    images("postgres:13")
    project("up", "-d", "--wait", "postgres")
    assert [(row["Service"], row["Health"]) for row in project.ps().values()] == [("postgres", "healthy")]
    login = dict(port=5432, user="backstage", password="backstage_secret", name="backstage")
    assert database.query("show server_version_num", **login)[0][0].startswith("13")
