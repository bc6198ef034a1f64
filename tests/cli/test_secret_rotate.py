"""Passwords that are changed: in the database, in the file, in what runs; killed anywhere, and asked for again."""
import os
import shutil
import subprocess

import pytest

from support.entrypoint import MAJORS
from support.program import BUILD

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    command: [-c, log_statement=all, -c, log_min_duration_statement=0]
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/main, POSTGRES_DB: shop}}
    secrets: [main]
    healthcheck: {{test: [CMD-SHELL, "pg_isready -h 127.0.0.1 -U postgres"], interval: 1s, retries: 60}}
    x-berth: {{images: host, roles: {{app: {{kind: app, secret: app}}}}}}
    volumes: ["data:{"/var/lib/postgresql" if MAJOR >= 18 else "/var/lib/postgresql/data"}"]
  api:
    image: postgres:{MAJOR}
    entrypoint: [sleep, "1000"]
    init: true
    secrets: [app]
    x-berth: {{images: host}}
  watcher:
    image: postgres:{MAJOR}
    entrypoint: [sleep, "1000"]
    init: true
    secrets: [main]
    x-berth: {{images: host}}
secrets: {{main: {{file: ./main}}, app: {{file: ./app}}}}
volumes: {{data: {{}}}}
"""
FIRST = {"main": "First-main-81-pw", "app": "First-app-81-pw"}


@pytest.fixture
def deployment(project):
    made = project(COMPOSE, name="turn")
    for name, text in FIRST.items():
        made.write(name, text, 0o640)
    os.chown(made.folder / "main", 1234, 1235)
    made("up", "-d", "--wait")
    return made


def may_log_in(deployment, user, password):
    done = deployment("exec", "-T", "-e", f"PGPASSWORD={password}", "api", "psql", "-XAtc", "SELECT 1", f"host=db dbname=shop user={user}",
                      check=False)
    assert done.returncode == 0 or "password authentication failed" in done.stderr, done.stderr
    return done.returncode == 0


def started(deployment, service):
    return deployment.inspect(f"turn-{service}-1")["State"]["StartedAt"]


def journals(berth):
    return [path for path in (berth.data / "projects/turn/rotations").iterdir() if path.name != ".lock"]


def test_rotate(deployment, berth):
    before = {service: started(deployment, service) for service in ("db", "api", "watcher")}
    told = deployment("secret", "rotate", "db").stdout
    new = (deployment.folder / "main").read_text()
    status = (deployment.folder / "main").stat()
    assert new != FIRST["main"] and len(new) == 32 and new not in told
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o640, 1234, 1235)
    assert may_log_in(deployment, "postgres", new) and not may_log_in(deployment, "postgres", FIRST["main"])
    # What runs has it: the database without a restart, who reads it with one.
    assert deployment.exec("db", "cat", "/run/secrets/main") == new == deployment.exec("watcher", "cat", "/run/secrets/main")
    assert "watcher" in told and started(deployment, "watcher") != before["watcher"]
    assert started(deployment, "db") == before["db"] and started(deployment, "api") == before["api"]
    assert deployment("psql", "db", "-XAtc", "SELECT 1").stdout == "1\n"
    # Another role, told only; by the other name of the verb.
    told = deployment("role", "rotate", "app", "--no-restart").stdout
    app = (deployment.folder / "app").read_text()
    assert "to be restarted" in told and "api" in told and started(deployment, "api") == before["api"]
    assert may_log_in(deployment, "app", app) and not may_log_in(deployment, "app", FIRST["app"])
    # The next up finds all as it should be: no drift, nothing made anew.
    again = deployment("up", "-d", "--wait").stderr
    assert "drift" not in again and started(deployment, "db") == before["db"]
    # The server's log has seen every statement and none of the passwords.
    log = deployment("logs", "--no-log-prefix", "db").stdout
    assert "ALTER ROLE" in log
    for password in (*FIRST.values(), new, app):
        assert password not in log and password not in berth.keeper_logs()
    assert journals(berth) == []


@pytest.mark.slow
def test_adopt_and_what_cannot_be(deployment):
    deployment.write("main", "Edited-by-hand-77\n", 0o600)
    deployment("secret", "rotate", "--adopt")
    assert (deployment.folder / "main").read_text() == "Edited-by-hand-77\n"
    assert may_log_in(deployment, "postgres", "Edited-by-hand-77") and not may_log_in(deployment, "postgres", FIRST["main"])
    # Every printable character, a newline inside, a thousand characters, other scripts: what is in the file opens the door.
    for password in ("".join(map(chr, range(32, 127))), "two\nlines", "x" * 999 + "é", "Пароль 密码", "e\u0301ﬁ\u00a0①", "'; DROP ROLE app; --"):
        (deployment.folder / "app").write_text(password + "\n")
        deployment("secret", "rotate", "--role", "app", "--adopt", "--no-restart")
        assert may_log_in(deployment, "app", password), password
        assert password.splitlines()[0] not in deployment("logs", "--tail", "40", "db").stdout
    for text, message in (("", "it is empty"), ("\n", "it is empty"), ("a\0b", "NUL"), ("x" * 70000, "limit")):
        (deployment.folder / "app").write_text(text)
        told = deployment.fails("secret", "rotate", "--role", "app", "--adopt")
        assert "app" in told and (message in told or message == "limit"), told
    (deployment.folder / "app").unlink()
    assert "app" in deployment.fails("secret", "rotate", "--role", "app", "--adopt")
    (deployment.folder / "app").mkdir()
    assert "not a regular file" in deployment.fails("secret", "rotate", "--role", "app", "--adopt")
    assert "not known which secret" in deployment.fails("secret", "rotate", "--role", "nobody")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_killed_at_every_step(deployment, berth):
    """The n-th change of a file is where it dies: journal, secret, memory, end of the journal, and all that lies between."""
    died = 0
    # No leaks are looked for under strace: the two use the same means.
    environment = {**berth.environment, "ASAN_OPTIONS": berth.environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    for number in range(1, 12):
        old = (deployment.folder / "app").read_text()
        argv = ["strace", "-o", "/dev/null", "-e",
                f"inject=rename,renameat,renameat2,unlink,unlinkat,fsync:signal=SIGKILL:when={number}",
                str(BUILD / "berth"), "secret", "rotate", "db", "--role", "app", "--no-restart"]
        done = subprocess.run(argv, cwd=deployment.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        died += done.returncode != 0
        for path in journals(berth):
            assert path.stat().st_mode & 0o777 == 0o600
        between = (deployment.folder / "app").read_text()
        assert may_log_in(deployment, "app", old) or may_log_in(deployment, "app", between) or journals(berth)
        if done.returncode == 0:
            break
        deployment("secret", "rotate", "db", "--role", "app", "--no-restart")
        new = (deployment.folder / "app").read_text()
        assert may_log_in(deployment, "app", new) and not may_log_in(deployment, "app", old), number
        assert deployment.exec("api", "cat", "/run/secrets/app") == new
        assert journals(berth) == [] and not list(deployment.folder.glob("*.berth-new"))
    assert died >= 4 and done.returncode == 0
