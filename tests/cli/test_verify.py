"""berth verify: the checklists of the guides against databases that run."""
import json
import os
import signal

import pytest

from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
FOLDER = f"/var/lib/postgresql{'/data' if MAJOR < 18 else ''}"
GOOD = f"""
services:
  app:
    image: postgres:{MAJOR}
    x-berth: {{images: host, postgres: false}}
    entrypoint: []
    command: [sleep, "1000"]
    init: true
    depends_on: {{db: {{condition: service_healthy}}}}
  db:
    image: postgres:{MAJOR}
    restart: unless-stopped
    environment: {{POSTGRES_USER: owner, POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_DB: shop}}
    secrets: [password]
    volumes: ["data:{FOLDER}"]
    command: [postgres, -c, shared_preload_libraries=pg_stat_statements]
    x-berth: {{images: host, backup: off}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U postgres"], interval: 1s, retries: 60}}
secrets: {{password: {{file: ./password}}}}
volumes: {{data: {{}}}}
"""
BAD = f"""
services:
  app:
    image: postgres:{MAJOR}
    x-berth: {{images: host, postgres: false}}
    entrypoint: []
    command: [sleep, "1000"]
    init: true
    depends_on: [db]
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD: secret, POSTGRES_HOST_AUTH_METHOD: trust}}
    ports: ["0.0.0.0::5432"]
    command: [postgres, -c, fsync=off, -c, max_connections=8]
    x-berth: {{images: host, backup: off, silence: [trust-published]}}
"""


def verify(deployment, *arguments):
    done = deployment("verify", "--format", "json", *arguments, check=False)
    rows = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    return done, {check: row["result"] for check, row in rows.items()}, rows


def names(results, wanted):
    return {check for check, result in results.items() if result == wanted}


def test_a_good_one(project):
    deployment = project(GOOD, name="good", files={"migrations/1_users.up.sql": "CREATE TABLE users ();", ".gitignore": "password\n"})
    deployment.write("password", "Xk29-fjw0-w9dk-Wq31", mode=0o600)
    deployment("up", "-d", "--wait")
    done, results, rows = verify(deployment)
    assert done.returncode == 1
    # Nothing has been migrated yet, and nobody made a certificate.
    assert names(results, "fail") == {"migrations", "tables", "tls"}, rows
    assert rows["migrations"]["found"] == "1 pending" and rows["tls"]["fix"] == "berth secure"
    assert names(results, "not applicable") == {"survives-restart", "survives-removal", "backup", "streaming", "certificate"}
    deployment("migrate", "up")
    done, results, rows = verify(deployment, "--list", "basics", "--experiments", "--yes")
    assert done.returncode == 0 and names(results, "not applicable") == {"backup", "streaming"}, rows
    assert results["survives-restart"] == results["survives-removal"] == "pass"
    assert "password" not in results and rows["tables"]["found"] == "1 table"
    table = deployment("verify", "db", "--list", "basics").stdout
    assert table.startswith("SERVICE") and "all applied (golang-migrate)" in table
    assert deployment("psql", "db", "-XAtc", r"\dt").stdout.count("public|") == 2
    # What is written into a file of an applied migration later, and one that failed.
    deployment.write("migrations/1_users.up.sql", "CREATE TABLE users (n int);")
    assert verify(deployment)[2]["migrations"]["found"] == "1 changed, missing or out of order"
    deployment.write("migrations/2_bad.up.sql", "SELECT nope;")
    deployment("migrate", "up", check=False)
    assert "dirty" in verify(deployment)[2]["migrations"]["found"]
    deployment("stop", "db")
    done, results, rows = verify(deployment, "db")
    assert results["runs"] == "fail" and rows["runs"]["fix"] == "berth up -d" and results["write-read"] == "not applicable"


def test_a_bad_one(project):
    deployment = project(BAD, name="bad")
    assert "has no database that was brought up" in deployment.fails("verify")
    deployment("up", "-d")
    wait_until(lambda: deployment("psql", "db", "-XAtc", "SELECT 1", check=False).stdout == "1\n")
    done, results, rows = verify(deployment)
    assert done.returncode == 1
    assert names(results, "fail") == {"healthy", "wrong-password", "storage", "restart", "password", "secrets", "published", "tls", "order",
                                      "durable"}, rows
    assert rows["order"]["found"] == "app does not wait until db is healthy" and rows["wrong-password"]["found"] == "let in"
    assert "not without a yes" in deployment.fails("verify", "--experiments")
    done, results, rows = verify(deployment, "--experiments", "--yes", "--list", "basics")
    assert results["survives-restart"] == "pass"
    assert all(row["found"] and ("fix" in row) >= (row["result"] == "fail") for row in rows.values())


@pytest.mark.slow
def test_oullin_and_autodeploy(case, images):
    images("postgres:16-alpine", "migrate/migrate:v4.18.3")
    course = case("autodeploy")
    course("up", "-d", "--wait")
    _, results, rows = verify(course, "--list", "basics")
    assert names(results, "fail") <= {"backup", "streaming"}, rows
    _, results, _ = verify(course, "--list", "production")
    assert {"password", "secrets", "published", "tls"} <= names(results, "fail")
    course("down")
    guide = case("oullin")
    guide.options = ("-f", "docker-compose.yml", "-f", "docker-compose.app.yml")
    guide("up", "-d", "--wait", check=False)
    _, results, rows = verify(guide, "--list", "production")
    assert names(results, "fail") <= {"backup", "streaming", "secrets", "image", "certificate"}, rows
    assert results["tls"] == results["password"] == results["published"] == results["order"] == results["migrations"] == "pass"


@pytest.mark.slow
def test_certificate_and_backups(project, protected, free_port):
    """What a client is handed, not what lies in a file; backups that are there, not ones that should be."""
    deployment = project(name="deep")
    deployment("init", ".", "--postgres", MAJOR, "--port", free_port())
    deployment("up", "-d", "--wait")

    def row(check):
        return verify(deployment)[2][check]

    wait_until(lambda: row("streaming")["result"] == "pass" and row("backup")["result"] == "pass")
    good = row("certificate")
    assert good["result"] == "pass" and "it ends in 36" in good["found"] and f"{deployment.folder}/tls/server.crt" in good["found"], good
    assert row("backup")["found"] == "1, the newest 0 h old"
    # Another certificate lies in the file than the one that is served; then its end is near; then it is somebody else's.
    other = project(name="other")
    other("init", ".", "--postgres", MAJOR)
    mine = {name: (deployment.folder / "tls" / name).read_bytes() for name in ("server.crt", "server.key", "ca.crt")}
    (deployment.folder / "tls/server.crt").write_bytes((other.folder / "tls/server.crt").read_bytes())
    assert "another one is served than" in row("certificate")["found"]
    (deployment.folder / "tls/server.crt").write_bytes(mine["server.crt"])
    (deployment.folder / "tls/ca.crt").write_bytes((other.folder / "tls/ca.crt").read_bytes())
    assert "did not sign it" in row("certificate")["found"]
    (deployment.folder / "tls/ca.crt").write_bytes(mine["ca.crt"])
    # Its log is not received any more, its only backup is damaged.
    receiver = json.loads((protected.run / "projects/deep/receivers/db.json").read_text())["pid"]
    os.kill(receiver, signal.SIGSTOP)
    os.kill(protected.keeper_pid("deep"), signal.SIGSTOP)
    os.kill(receiver, signal.SIGKILL)
    try:
        wait_until(lambda: row("streaming")["result"] == "fail")
    finally:
        os.kill(protected.keeper_pid("deep"), signal.SIGCONT)
    record, = protected.data.glob("backups/deep/db/*/backups/*/backup.json")
    record.write_text("{")
    assert row("backup")["result"] == "fail" and row("backup")["found"] == "no base backup"
