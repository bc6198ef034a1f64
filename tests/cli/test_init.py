"""berth init: what it writes runs as it is."""
import json

import pytest

from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")


def test_applications_have_roles_of_their_own(project, berth):
    deployment = project(name="made")
    deployment("init", ".", "--postgres", max(MAJORS), "--port", "5498")
    deployment("up", "-d", "--wait")
    ask = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
    assert deployment("psql", "db", "-XAtc", ask).stdout.strip() == "app monitor owner readonly"
    password = (deployment.folder / "secrets/app_password").read_text().strip()

    def as_app(sql):
        return deployment("exec", "-T", "-e", f"PGPASSWORD={password}", "db", "psql", "-h", "127.0.0.1", "-U", "app", "-d", "app",
                          "-XAtc", sql, check=False)

    assert as_app("SELECT current_user").stdout == "app\n"
    assert "permission denied" in as_app("CREATE TABLE t ()").stderr


@pytest.mark.slow
def test_the_whole_story(project):
    """init, up, migrations: application, reader, monitor and owner do what they are for, and nobody else does anything."""
    deployment = project(name="story")
    folder = deployment.folder.stat().st_ino
    deployment("init", ".", "--postgres", max(MAJORS), "--port", "5498", "--database", "shop")
    assert deployment.folder.stat().st_ino == folder  # a shell that stands in it goes on
    told = deployment("up", "-d", "--wait").stderr
    assert "Migration db/1_init  Applied" in told and "Role db/readonly  Applied" in told and "warning" not in told

    def ask(role, sql, options="host=127.0.0.1 dbname=shop", password=None):
        password = password or (deployment.folder / f"secrets/{role}_password").read_text().strip()
        done = deployment("exec", "-T", "-e", f"PGPASSWORD={password}", "db", "psql", "-XAtc", sql, f"{options} user={role}", check=False)
        return done.stdout.strip() if done.returncode == 0 else "refused: " + done.stderr.strip()

    assert deployment("psql", "db", "-XAtc", "SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables WHERE tablename IN ('example', "
                      "'schema_migrations', 'migrations')").stdout == "owner\n"
    assert ask("app", "INSERT INTO example (note) VALUES ('x') RETURNING id").startswith("1")
    assert "permission denied" in ask("app", "CREATE TABLE no ()") and "must be owner" in ask("app", "DROP TABLE example")
    assert ask("readonly", "SELECT note FROM example") == "x" and "permission denied" in ask("readonly", "DELETE FROM example")
    assert ask("monitor", "SELECT count(*) > 0 FROM pg_stat_statements") == "t"
    assert "permission denied" in ask("monitor", "SELECT * FROM example")
    assert "refused" not in ask("owner", "ALTER TABLE example ADD more int")
    deployment("psql", "db", "-qc", "CREATE ROLE stranger LOGIN PASSWORD 'Xk29-fjw0'")
    assert 'permission denied for database "shop"' in ask("stranger", "SELECT 1", password="Xk29-fjw0")
    assert "password authentication failed" in ask("app", "SELECT 1", password="wrong")
    # Later migrations are the owner's, too, whoever asks for them; up again changes nothing.
    deployment.write("migrations/000002_more.up.sql", "CREATE TABLE more (i int); CREATE VIEW both_of_them AS SELECT 1;")
    deployment("migrate", "up")
    assert ask("app", "INSERT INTO more VALUES (1) RETURNING i").startswith("1") and ask("readonly", "SELECT count(*) FROM more") == "1"
    assert "Role" not in deployment("up", "-d", "--wait").stderr
    drift = {row["Name"]: row.get("Drift") for row in json.loads(deployment("role", "ls", "--format", "json").stdout)}
    assert [drift[role] for role in ("owner", "app", "readonly", "monitor")] == [[]] * 4
    assert deployment("secret", "check").stdout == "no findings\n"


def served(port):
    """The fingerprint of the certificate that the server hands out."""
    import hashlib
    import socket
    import ssl
    import struct

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as secure:
            return hashlib.sha256(secure.getpeercert(True)).hexdigest()


def test_settings_follow_the_machine(project):
    """tune --write brings init's file up to a machine that has changed; the server takes it at its next start."""
    deployment = project(name="sized")
    deployment("init", ".", "--postgres", max(MAJORS), "--port", "5498")
    path = deployment.folder / "config/postgresql.conf"
    path.write_text(path.read_text() + "statement_timeout = '77s'   # mine\n")
    path.chmod(0o644)
    before, words = path.read_text(), ["tune", "--write", "config/postgresql.conf", "--postgres", max(MAJORS), "--memory", "2g", "--connections", "33"]
    told = deployment(*words, "--dry-run").stdout
    assert "max_connections: 100 -> 33 (each costs a process" in told and path.read_text() == before
    told = deployment(*words).stdout
    assert "max_connections: 100 -> 33" in told and "statement_timeout" not in told
    text = path.read_text()
    assert "\nstatement_timeout = '77s'   # mine\n" in text and "max_connections = 33" in text and path.stat().st_mode & 0o777 == 0o644
    assert "max_connections" not in deployment(*words).stdout
    deployment("up", "-d", "--wait")
    assert deployment("psql", "db", "-XAtc", "SHOW max_connections").stdout == "33\n"
    assert "--format conf prints one" in deployment.fails("tune", "--write", "nowhere.conf")


def test_a_new_certificate_is_served_without_a_restart(project, berth):
    deployment = project(name="renewed")
    deployment("init", ".", "--postgres", max(MAJORS), "--port", "5498")
    deployment("up", "-d", "--wait")
    before, started = served(5498), deployment.inspect("renewed-db-1")["State"]["StartedAt"]
    deployment("secure", "db", "--force")
    wait_until(lambda: served(5498) != before)
    assert deployment.inspect("renewed-db-1")["State"]["StartedAt"] == started
    file = (deployment.folder / "tls/server.crt").read_text()
    assert deployment("exec", "-T", "db", "cat", "/run/secrets/server_certificate").stdout == file
