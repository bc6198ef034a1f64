"""The targets of a guide's Makefile as command names, and seeds."""
import json
import re

import pytest

from support import program
from support.backups import listed
from support.entrypoint import MAJORS
from support.program import wait_until
from support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")]
MAJOR = max(MAJORS, default=0)
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_USER: owner, POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_DB: shop}}
    secrets: [password]
    volumes: ["data:/var/lib/postgresql{'/data' if MAJOR < 18 else ''}"]
    x-berth: {{images: host}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
SEED
secrets: {{password: {{file: ./password}}}}
volumes: {{data: {{}}}}
"""


def make(project, name, seed="", **files):
    return project(COMPOSE.replace("SEED", seed), name=name, files={"password": "p@ss/w:rd%42", **files})


def query(deployment, sql):
    return deployment("psql", "db", "-XAtc", sql).stdout.strip()


def volumes(deployment):
    return "data" in deployment.berth("volume", "ls").stdout


@pytest.mark.slow
def test_story_of_the_makefile(project):
    deployment = make(project, "words")
    assert "000001_add_users.up.sql" in deployment("db:migrate:create", "name=add_users").stderr
    assert "000002_add_posts.up.sql" in deployment("db:migrate:create", "add_posts").stderr
    for number, table in ((1, "users"), (2, "posts")):
        deployment.write(f"migrations/00000{number}_add_{table}.up.sql", f"CREATE TABLE {table} (n int PRIMARY KEY);")
        deployment.write(f"migrations/00000{number}_add_{table}.down.sql", f"DROP TABLE {table};")
    deployment.write("database/seeds/1_users.sql", "INSERT INTO users SELECT generate_series(1, 3) ON CONFLICT DO NOTHING;")
    deployment("up", "-d", "--wait")
    assert "1/u add_users (" in deployment("db:migrate", "1").stderr
    assert "2/u add_posts (" in deployment("db:migrate").stderr
    for _ in range(2):
        assert "1_users.sql (" in deployment("db:seed").stderr
    assert query(deployment, "SELECT count(*) FROM users") == "3"
    assert "2/d add_posts (" in deployment("db:rollback").stderr
    deployment("db:migrate:force", "version=2")
    assert deployment("migrate", "version").stderr == "2\n"
    assert "db:migrate:force needs version=VALUE" in deployment.fails("db:migrate:force")
    assert "db:migrate:create needs name=VALUE" in deployment.fails("db:migrate:create", "name=")
    assert deployment("db:bash", input="echo I am $0; exit 7\n", check=False).stdout == "I am bash\n"
    follower = deployment.start("db:logs")
    try:
        while "ready to accept connections" not in follower.stdout.readline():
            assert follower.poll() is None
    finally:
        follower.terminate()
        follower.communicate()

    # What deletes asks; where nobody can answer it does nothing.
    for verb in ("db:delete", "db:fresh"):
        assert "not without a yes" in deployment.fails(verb) and volumes(deployment)
    fresh = deployment("db:fresh", "--yes", "--backup")
    path = re.search(r"wrote (\S+\.sql)", fresh.stderr)[1]
    text = open(path).read()
    assert path.startswith(f"{deployment.folder}/words-db-") and "CREATE TABLE public.users" in text and "CREATE ROLE owner" in text
    assert (deployment.folder / path).stat().st_mode & 0o777 == 0o600
    wait_until(lambda: deployment("psql", "db", "-XAtc", "SELECT to_regclass('users')", check=False).stdout == "\n")
    deployment("db:delete", "--yes")
    assert not volumes(deployment) and deployment.ps("-a") == {}
    deployment("db:up")
    deployment("db:down")
    assert deployment.ps("-a") == {} and volumes(deployment)


def test_certificates(project):
    deployment = make(project, "certain")
    assert "it is new" in deployment("db:secure").stdout and list(deployment.folder.glob("tls/*.crt"))


def test_a_dump_is_offered_at_a_terminal(project):
    deployment = make(project, "asked")
    deployment("up", "-d", "--wait")
    argv = [str(program.BUILD / "berth"), "db:delete"]
    terminal = Terminal(argv, deployment.folder, deployment.berth.environment)
    terminal.expect(r"Write a dump of db first\? \[y/N\]").type("y\n")
    terminal.expect(r"wrote \S+asked-db-").expect(r"Remove 1 volume of project \"asked\"").type("n\n")
    assert terminal.end() == 1
    assert len(list(deployment.folder.glob("asked-db-*.sql"))) == 1 and volumes(deployment)
    terminal = Terminal(argv, deployment.folder, deployment.berth.environment)
    terminal.expect("first").type("n\n").expect("Remove 1 volume").type("y\n")
    assert terminal.end() == 0
    assert len(list(deployment.folder.glob("asked-db-*"))) == 1 and not volumes(deployment)


def test_a_restore_point_instead_of_a_dump(project, protected):
    """Where the log is received and there is a base backup, a point in it is the way back, though the volume is gone."""
    deployment = make(project, "point")
    deployment("up", "-d", "--wait")
    query(deployment, "CREATE TABLE kept AS SELECT 41 AS n")
    state = protected.run / "projects/point/receivers/db.json"
    wait_until(lambda: state.exists() and json.loads(state.read_text()).get("phase") == "streaming" and listed(deployment))
    query(deployment, "UPDATE kept SET n = 42")
    told = deployment("db:fresh", "--backup", "--yes").stderr
    words = re.search(r'restore point (before-\S+) is in the backups: "berth (restore db --backup \S+ --to \1)"', told).group(2).split()
    deployment("up", "-d", "--wait")
    assert not list(deployment.folder.glob("*.sql")) and query(deployment, "SELECT to_regclass('kept') IS NULL") == "t"
    deployment(*words, "--yes")
    assert query(deployment, "SELECT n FROM kept") == "42"


def test_shell_without_bash(project, images):
    images("busybox:latest")
    deployment = project("services:\n  small:\n    image: busybox\n    command: [sleep, '1000']\n    init: true\n", name="small")
    deployment("up", "-d")
    assert deployment("db:bash", "small", input="echo I am $0\n").stdout == "I am sh\n"


PROGRAM = """
  api:
    image: postgres:MAJOR
    x-berth: {images: host, postgres: false}
    entrypoint: []
    command: [sleep, "1000"]
    init: true
    environment: {PGPASSWORD: "p@ss/w:rd%42"}
    depends_on: {db: {condition: service_healthy}}
x-berth: {seed: SEED}
""".replace("MAJOR", str(MAJOR))


@pytest.mark.parametrize("seed", [
    '{service: api, command: [psql, -h, db, -U, owner, shop, -c, "CREATE TABLE seeded ()"]}',
    '{command: [psql, -c, "CREATE TABLE seeded ()"]}',
], ids=["one-off", "in the database"])
def test_seed_by_a_program(project, seed):
    deployment = make(project, "programs", PROGRAM.replace("SEED", seed))
    deployment("up", "-d")
    deployment("seed")
    assert query(deployment, "SELECT to_regclass('seeded')") == "seeded"
    again = deployment("seed", check=False)
    assert again.returncode == 1 and "already exists" in again.stderr
    assert len(deployment.ps("-a")) == 2


def test_seeds_that_fail(project):
    deployment = make(project, "bad", "x-berth: {seed: data}", **{"data/1.sql": "CREATE TABLE a ();", "data/2.sql": "CREATE TABLE b ();\nSELECT nope;"})
    deployment("up", "-d", "--wait")
    failed = deployment("seed", "db", check=False)
    assert failed.returncode == 1 and f"{deployment.folder}/data/2.sql:2:8" in failed.stderr
    assert query(deployment, "SELECT to_regclass('a'), to_regclass('b')") == "a|"
    deployment.write("compose.yaml", COMPOSE.replace("SEED", ""))
    assert "no seeds: x-berth names none" in deployment.fails("seed")
    deployment.write("compose.yaml", COMPOSE.replace("SEED", "x-berth: {seed: nowhere}"))
    assert "nowhere" in deployment.fails("seed")
