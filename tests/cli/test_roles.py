"""Roles and access rules of x-berth: each role may do what it is for, and who may connect is what the rules say."""
import json
import os
import subprocess

import pytest

from support.database import program
from support.entrypoint import MAJORS

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
# Every printable character, what quoting trips over, more than a thousand characters that are no ASCII, and two lines.
ROLES = {"owner": "".join(map(chr, range(32, 127))), "app": "p@ss/w:rd%42 'it''s' \\n\"$x`", "readonly": "Пароль-с-кириллицей" + "ы" * 1000,
         "monitor": "e\u0301ﬁ-decomposed\nsecond line"}
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/main, POSTGRES_DB: shop}}
    secrets: [main]
    ports: ["127.0.0.1:PORT:5432"]
    networks: [back, front]
    healthcheck: {{test: [CMD-SHELL, "pg_isready -h 127.0.0.1 -U postgres"], interval: 1s, retries: 60}}
    x-berth:
      images: host
      roles:
        shop_owner: {{kind: owner, secret: owner_pw}}
        shop_app: {{kind: app, secret: app_pw}}
        shop_readonly: {{kind: readonly, secret: readonly_pw}}
        shop_monitor: {{kind: monitor, secret: monitor_pw}}
EXTRA
  back: &client
    image: postgres:{MAJOR}
    entrypoint: [sleep, "1000"]
    init: true
    networks: [back]
    depends_on: {{db: {{condition: service_healthy}}}}
    x-berth: {{images: host}}
  front:
    <<: *client
    networks: [front]
networks: {{back: {{}}, front: {{}}}}
secrets:
  main: {{file: ./main}}
  owner_pw: {{file: ./owner}}
  app_pw: {{file: ./app}}
  readonly_pw: {{file: ./readonly}}
  monitor_pw: {{file: ./monitor}}
"""
MAIN = "Xk29-fjw0-w9dk"


def make(project, free_port, name, extra=""):
    deployment = project(COMPOSE.replace("PORT", str(free_port())).replace("EXTRA", extra), name=name)
    deployment.write("main", MAIN, 0o600)
    for role, password in ROLES.items():
        deployment.write(role, (password + "\n").encode(), 0o600)
    return deployment


def run(deployment, service, user, password, sql, options="host=db dbname=shop"):
    result = deployment("exec", "-T", "-e", f"PGPASSWORD={password}", service, "psql", "-XAtc", sql,
                        f"{options} user={user}", check=False)
    return result.stdout.strip() if result.returncode == 0 else "refused: " + result.stderr.strip()


def test_each_role_may_do_what_it_is_for(project, free_port):
    deployment = make(project, free_port, "shop")
    told = deployment("up", "-d", "--wait").stderr

    def ask(role, sql):
        return run(deployment, "back", f"shop_{role}", ROLES[role], sql)

    for role in ROLES:
        assert role in told
        assert ask(role, "SELECT current_user") == f"shop_{role}"
        assert "password authentication failed" in run(deployment, "back", f"shop_{role}", "wrong", "SELECT 1")
    assert "refused" not in ask("owner", "CREATE TABLE item (id int PRIMARY KEY, note text); CREATE SCHEMA more; CREATE TABLE more.t (i serial)")
    assert ask("app", "INSERT INTO item VALUES (1, 'a') RETURNING id").startswith("1")
    assert ask("app", "INSERT INTO more.t DEFAULT VALUES RETURNING i").startswith("1")
    assert "permission denied" in ask("app", "CREATE TABLE no ()") and "must be owner" in ask("app", "DROP TABLE item")
    assert ask("readonly", "SELECT note FROM item") == "a" and "permission denied" in ask("readonly", "DELETE FROM item")
    assert ask("monitor", "SELECT pg_has_role('pg_monitor', 'member')") == "t" and "permission denied" in ask("monitor", "SELECT * FROM item")
    # Again: nothing to do, and nothing is done; passwords are in no log, whatever they are made of.
    before = deployment("psql", "db", "-XAtc", "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ 'shop_[oar]' ORDER BY 1").stdout
    again = deployment("up", "-d", "--wait").stderr
    assert "shop_app" not in again
    assert deployment("psql", "db", "-XAtc", "SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ 'shop_[oar]' ORDER BY 1").stdout == before
    # The file says another password: so does the database, after the next up.
    deployment.write("readonly", "Another-12-password", 0o600)
    assert "shop_readonly" in deployment("up", "-d", "--wait").stderr
    assert "refused" in ask("readonly", "SELECT 1")
    assert run(deployment, "back", "shop_readonly", "Another-12-password", "SELECT 1") == "1"
    rows = {row["Name"]: row for row in json.loads(deployment("role", "ls", "--format", "json").stdout)}
    assert {rows[f"shop_{role}"]["Kind"] for role in ROLES} == set(ROLES) and rows["postgres"]["Superuser"]
    assert rows["shop_app"]["Secret"] == "app_pw" and rows["shop_app"]["Password"] == "scram-sha-256"


def test_a_role_without_a_good_secret_stops_up_before_anything_starts(project, free_port):
    for change, message in ((("app", None), "secret file"), (("app", ""), "it is empty")):
        deployment = make(project, free_port, "missing")
        (deployment.folder / "app").unlink()
        if change[1] is not None:
            deployment.write("app", change[1])
        told = deployment.fails("up", "-d")
        assert message in told and "app" in told, told
        assert deployment.ps("-a") == {}


@pytest.mark.slow
def test_roles_by_hand(project, free_port):
    deployment = make(project, free_port, "hand")
    deployment("up", "-d", "--wait")
    added = deployment("role", "add", "reports", "--kind", "readonly").stdout
    file = deployment.folder / "secrets/reports_password"
    assert oct(file.stat().st_mode & 0o777) == "0o600" and "secrets/reports_password" in added and "kind: readonly" in added
    assert file.read_text() not in added
    deployment("psql", "db", "-XAtc", "CREATE TABLE public.seen (i int); INSERT INTO seen VALUES (7)", "shop")
    assert run(deployment, "back", "reports", file.read_text(), "SELECT i FROM seen") == "7"
    assert "permission denied" in run(deployment, "back", "reports", file.read_text(), "DELETE FROM seen")
    deployment("role", "grant", "reports", "app")
    assert run(deployment, "back", "reports", file.read_text(), "DELETE FROM seen").endswith("1")
    assert "superuser" in deployment.fails("role", "grant", "postgres", "app")
    assert "exists" in deployment.fails("role", "add", "reports", "--kind", "app")
    assert "no role" in deployment.fails("role", "grant", "nobody_here", "app")


RULES = """
      access:
        - {databases: [shop], roles: [shop_app], networks: [back]}
        - {roles: [shop_readonly], networks: [10.255.255.0/24], method: reject}
"""


def test_access_rules(project, free_port):
    deployment = make(project, free_port, "access", RULES)
    deployment("up", "-d", "--wait")

    def ask(service, role, options="host=db dbname=shop"):
        return run(deployment, service, f"shop_{role}", ROLES[role], "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", options)

    assert ask("back", "app") == "t"
    assert "no pg_hba.conf entry" in ask("back", "app", "host=db dbname=shop sslmode=disable")
    assert "no pg_hba.conf entry" in ask("back", "app", "host=db dbname=postgres")
    assert "no pg_hba.conf entry" in ask("front", "app") and "no pg_hba.conf entry" in ask("back", "owner")
    # A change is loaded without a restart.
    started = deployment.inspect("access-db-1")["State"]["StartedAt"]
    text = (deployment.folder / "compose.yaml").read_text()
    deployment.write("compose.yaml", text.replace("networks: [back]}\n        - ", "networks: [back, front]}\n        - "))
    deployment("up", "-d", "--wait")
    assert ask("front", "app") == "t"
    assert deployment.inspect("access-db-1")["State"]["StartedAt"] == started
    # What the server does not take is not loaded, and the former rules stay.
    deployment.write("compose.yaml", text.replace("roles: [shop_app], networks: [back]}", 'roles: ["two\\nlines"]}'))
    assert "the server does not take the rules: line " in deployment.fails("up", "-d", "--wait")
    assert ask("front", "app") == "t" and ask("back", "app") == "t"
    deployment.write("compose.yaml", text.replace("networks: [back]}\n        - ", "networks: [nowhere]}\n        - "))
    assert '"nowhere" is neither a network of the project nor an address' in deployment.fails("up", "-d", "--wait")


@pytest.mark.slow
def test_tls_required(project, free_port):
    deployment = make(project, free_port, "required", "      tls: required\n")
    deployment("up", "-d", "--wait")
    assert run(deployment, "front", "shop_app", ROLES["app"], "SELECT 1") == "1"
    assert "no pg_hba.conf entry" in run(deployment, "front", "shop_app", ROLES["app"], "SELECT 1", "host=db dbname=shop sslmode=disable")
    port = [line for line in (deployment.folder / "compose.yaml").read_text().splitlines() if "127.0.0.1:" in line and "ports" in line][0].split(":")[2]
    done = subprocess.run([program("psql"), "-XAtc", "SELECT 1", f"host=localhost port={port} user=postgres dbname=shop sslmode=verify-full "
                           f"sslrootcert={deployment.folder}/tls/ca.crt"], env={**os.environ, "PGPASSWORD": MAIN}, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.slow
def test_client_certificates(project, free_port):
    deployment = make(project, free_port, "certs", "      access: [{roles: [shop_app], method: cert}]\n")
    deployment("up", "-d", "--wait")
    deployment("secure", "db", "--client", "shop_app")
    folder = deployment.folder / "tls/clients"
    port = [line for line in (deployment.folder / "compose.yaml").read_text().splitlines() if "ports" in line][0].split(":")[2]

    def connect(user, *options):
        return subprocess.run([program("psql"), "-XAtc", "SELECT current_user", f"host=localhost port={port} user={user} dbname=shop "
                               f"sslmode=verify-full sslrootcert={deployment.folder}/tls/ca.crt {' '.join(options)}"], capture_output=True,
                              text=True, env={**os.environ, "HOME": "/nonexistent"})

    certificate = (f"sslcert={folder}/shop_app.crt", f"sslkey={folder}/shop_app.key")
    assert connect("shop_app", *certificate).stdout == "shop_app\n"
    assert connect("shop_app").returncode != 0
    assert connect("shop_owner", *certificate).returncode != 0


MIGRATIONS = """
      migrations: {path: sql, on_up: true}
"""


@pytest.mark.slow
def test_migrations_run_as_the_owner(project, free_port):
    """Roles that are declared after the superuser has migrated: told of, handed over, and from then on all is the owner's."""
    deployment = make(project, free_port, "owned", MIGRATIONS)
    # Over loopback, too, passwords are asked for.
    declared = (deployment.folder / "compose.yaml").read_text().replace("POSTGRES_DB: shop", 'POSTGRES_DB: shop, POSTGRES_INITDB_ARGS: "-A '
                                                                      'scram-sha-256"', 1)
    roles = declared[declared.index("      roles:"):declared.index("      migrations:")]
    deployment.write("compose.yaml", declared.replace(roles, "").replace("    x-berth:\n\n", "    x-berth:\n"))
    deployment.write("sql/1_first.up.sql", "CREATE TABLE first (id serial PRIMARY KEY, note text); CREATE TYPE mood AS ENUM ('a'); CREATE "
                     "VIEW seen AS SELECT 1 AS i; CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA more;")
    deployment("up", "-d", "--wait")
    deployment("psql", "db", "-qc", "CREATE ROLE old_app LOGIN PASSWORD 'Xk29-fjw0'", "shop")
    assert run(deployment, "back", "old_app", "Xk29-fjw0", "SELECT 1") == "1"

    def owners():
        return deployment("psql", "db", "-XAtc", "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') FROM pg_class c JOIN pg_namespace "
                          "n ON n.oid = relnamespace WHERE nspname IN ('public', 'berth', 'more')", "shop").stdout.strip()

    assert owners() == "postgres"
    deployment.write("compose.yaml", declared)
    deployment.write("sql/2_second.up.sql", "RESET ROLE; SET SESSION AUTHORIZATION DEFAULT; CREATE TABLE second (id serial PRIMARY "
                     "KEY);")
    told = deployment("up", "-d", "--wait").stderr
    assert "old_app cannot connect to it any more" in told and "Migration db/2_second  Applied" in told
    assert "2 of the tables and views belong to postgres and not to shop_owner" in told and '"berth role grant shop_owner owner"' in told
    assert 'permission denied for database "shop"' in run(deployment, "back", "old_app", "Xk29-fjw0", "SELECT 1")
    assert run(deployment, "back", "shop_app", ROLES["app"], "INSERT INTO second DEFAULT VALUES RETURNING id").startswith("1")
    assert run(deployment, "back", "shop_readonly", ROLES["readonly"], "SELECT count(*) FROM second") == "1"
    assert deployment("psql", "db", "-XAtc", "SELECT tableowner FROM pg_tables WHERE tablename IN ('second', 'schema_migrations', "
                      "'migrations')", "shop").stdout.split() == ["shop_owner"] * 3
    # What is the superuser's the owner cannot change: the migration fails and says so.
    deployment.write("sql/3_third.up.sql", "ALTER TABLE first ADD more int;")
    assert "must be owner of table first" in deployment.fails("up", "-d", "--wait")
    rows = {row["Name"]: row for row in json.loads(deployment("role", "ls", "--format", "json").stdout)}
    assert any("belong to postgres (public.first, for one)" in line for line in rows["shop_owner"]["Drift"])
    assert rows["old_app"].get("Drift") is None and rows["shop_app"]["Drift"] == []
    deployment("role", "grant", "shop_owner", "owner")
    assert owners() == "shop_owner"
    deployment("migrate", "force", "2")
    told = deployment("up", "-d", "--wait").stderr
    assert "Migration db/3_third  Applied" in told and "belong to postgres" not in told
    assert run(deployment, "back", "shop_app", ROLES["app"], "INSERT INTO first (note) VALUES ('x') RETURNING id").startswith("1")
    # Seeds are the owner's as well; looking changes nothing.
    deployment.write("seeds/1.sql", "RESET ROLE; CREATE TABLE IF NOT EXISTS seeded ();")
    deployment("seed")
    assert owners() == "shop_owner" and "applied" in deployment("migrate", "status").stdout
    deployment.write("sql/4_fourth.up.sql", "SELECT set_config('role', 'none', false); CREATE TABLE fourth AS SELECT * FROM pg_authid;")
    assert "permission denied for table pg_authid" in deployment.fails("migrate", "up")
    deployment("migrate", "force", "3")
    (deployment.folder / "sql/4_fourth.up.sql").unlink()
    # Drift is told, and up mends none of it: it was made by hand.
    deployment("psql", "db", "-qc", "REVOKE SELECT ON first FROM shop_readonly; GRANT CONNECT ON DATABASE shop TO PUBLIC; DROP OWNED BY shop_app; "
               "DROP ROLE shop_app", "shop")
    rows = {row["Name"]: row for row in json.loads(deployment("role", "ls", "--format", "json").stdout)}
    assert "it may not read 1 of the tables (public.first, for one)" in rows["shop_readonly"]["Drift"]
    assert "everybody may connect to shop" in rows["shop_readonly"]["Drift"] and "is not there" in rows["shop_app"]["Drift"][0]
    assert "Role db/shop_app  Applied" in deployment("up", "-d", "--wait").stderr
    assert run(deployment, "back", "shop_app", ROLES["app"], "SELECT count(*) FROM second") == "1"
