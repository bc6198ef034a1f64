"""Secrets: where they come from, what is wrong with them."""
import json
import os
import stat
import subprocess

import pytest

from support.entrypoint import MAJORS

needs_postgres = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
GOOD = "Xk29-fjw0-w9dk-31ab"


def findings(deployment, *arguments):
    result = deployment("secret", "check", "--format", "json", *arguments, check=False)
    found = json.loads(result.stdout)
    assert result.returncode == (1 if found else 0), result.stderr
    assert GOOD not in result.stdout
    return {(row["Subject"], row["Id"]): row for row in found}


def test_check_finds_what_is_wrong_and_says_the_fix(project):
    deployment = project("""
        services:
          db:
            image: postgres:15
            environment: {POSTGRES_PASSWORD_FILE: /run/secrets/main, PLAIN_FILE: /run/secrets/user}
            secrets: [main, user, other_password, empty_password, gone, open_password, folder]
          api:
            image: app
            environment:
              DATABASE_PASSWORD: tooplain
              DATABASE_URL: postgres://app:pw@db/app
              FROM_VARIABLE_PASSWORD: ${TAKEN}
              HARMLESS: value
        secrets:
          main: {file: ./main}
          user: {file: ./user}
          other_password: {file: ./other}
          empty_password: {file: ./empty}
          gone: {file: ./gone}
          open_password: {file: ./open}
          folder: {file: ./folder}
    """, name="checked")
    for name, text, mode in (("main", "AutoDeploy123\n", 0o600), ("user", "admin", 0o600), ("other", "abababababab", 0o600),
                             ("empty", "\n", 0o600), ("open", GOOD, 0o644), (".env", "TAKEN=9sd8f7s9d8f7", 0o600)):
        deployment.write(name, text, mode)
    (deployment.folder / "folder").mkdir(mode=0o700)
    found = findings(deployment)
    expected = {("secret main", "secret-known"), ("secret other_password", "secret-weak"), ("secret gone", "secret-missing"),
                ("secret empty_password", "secret-empty"), ("secret open_password", "secret-open"),
                ("secret folder", "secret-unreadable"), ("service api: DATABASE_PASSWORD", "password-in-file"),
                ("service api: DATABASE_URL", "password-in-file"),
                ("service api: FROM_VARIABLE_PASSWORD", "password-in-environment")}
    assert set(found) == expected
    assert found["secret open_password", "secret-open"]["Fix"] == f"chmod 600 {deployment.folder}/open"
    assert found["service api: DATABASE_PASSWORD", "password-in-file"]["Place"].endswith("compose.yaml:10")
    assert "TAKEN" in found["service api: FROM_VARIABLE_PASSWORD", "password-in-environment"]["Place"]
    assert all(row["Fix"] for row in found.values())
    text = deployment("secret", "check", check=False)
    assert text.returncode == 1 and "fix: chmod 600" in text.stdout and "AutoDeploy123" not in text.stdout


def test_check_is_content_with_good_secrets_and_silence(project):
    compose = "services: {db: {image: 'postgres:15', secrets: [password]}}\nsecrets: {password: {file: ./password}}\n"
    deployment = project(compose, name="good")
    deployment.write("password", GOOD, 0o600)
    assert deployment("secret", "check").stdout == "no findings\n"
    (deployment.folder / "password").chmod(0o640)
    assert set(findings(deployment)) == {("secret password", "secret-open")}
    deployment.write("compose.yaml", compose + "x-berth: {silence: [secret-open]}\n")
    assert findings(deployment) == {}
    # A certificate is none, though it travels as one.
    deployment.write("compose.yaml", compose)
    deployment.write("password", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0o644)
    assert findings(deployment) == {}
    (deployment.folder / "password").chmod(0o666)
    assert set(findings(deployment)) == {("secret password", "secret-open")}


def test_check_asks_git(project):
    deployment = project("services: {db: {image: 'postgres:15', secrets: [a, b, c]}}\n"
                         "secrets: {a: {file: ./a}, b: {file: ./b}, c: {file: ./c}}\n", name="tree")

    def git(*words):
        subprocess.run(["git", *words], cwd=deployment.folder, check=True, capture_output=True)

    for name in "abc":
        deployment.write(name, GOOD, 0o600)
    git("init", "-q")
    deployment.write(".gitignore", "/c\n")
    git("add", "a")
    os.chown(deployment.folder, 1000, 1000)  # somebody else's tree
    assert set(findings(deployment)) == {("secret a", "secret-in-git"), ("secret b", "secret-not-ignored")}


def test_ls(project):
    deployment = project("""
        services: {db: {image: postgres:15, secrets: [a, b, c, d]}, api: {image: app, secrets: [a]}}
        secrets: {a: {file: ./a}, b: {environment: B}, c: {external: true}, d: {external: true}}
        x-berth: {secrets: {c: {command: [pass, show, db]}, d: {file: ../d}}}
    """, name="listed")
    deployment.write("a", GOOD, 0o600)
    rows = {row["Name"]: row for row in json.loads(deployment("secret", "ls", "--format", "json").stdout)}
    assert sorted(rows["a"].pop("Services")) == ["api", "db"]
    assert rows["a"] == {"Name": "a", "Source": f"{deployment.folder}/a", "Mode": "0600"}
    assert rows["b"]["Source"] == "environment: B" and rows["c"]["Source"] == "command: pass show db"
    assert rows["d"]["Source"] == f"{deployment.folder.parent}/d" and rows["d"]["Mode"] == "missing"


def test_wrong_places_of_external_secrets_are_errors_with_their_place(project):
    compose = "services: {{db: {{image: x, secrets: [a]}}}}\nsecrets: {{a: {{external: true}}, b: {{file: b}}}}\nx-berth: {{secrets: {}}}\n"
    for places, message in (("{a: {}}", "name either a command or a file"), ("{a: {command: [x], file: y}}", "either"),
                            ("{b: {file: y}}", 'no external secret "b"'), ("{q: {file: y}}", 'no external secret "q"'),
                            ("{a: {command: []}}", "the command is empty"), ("{a: {comand: [x]}}", 'Did you mean "command"')):
        deployment = project(compose.format(places), name="wrong")
        told = deployment.fails("config", "-q")
        assert message in told and "compose.yaml:3:" in told, told


EXTERNAL = f"""
services:
  box:
    image: postgres:{MAJOR}
    entrypoint: [sleep, "1000"]
    init: true
    secrets: [printed, {{source: filed, mode: 0400, uid: "999"}}]
    x-berth: {{images: host}}
secrets: {{printed: {{external: true}}, filed: {{external: true}}}}
x-berth:
  secrets:
    printed: {{command: COMMAND, timeout: 5s}}
    filed: {{file: ../outside/filed}}
"""


@needs_postgres
def test_external_secrets_from_a_program_and_a_file(project, berth):
    deployment = project(EXTERNAL.replace("COMMAND", "[sh, ./vault, show]"), name="external")
    deployment.write("vault", f"echo \"$1 {GOOD} $VAULT_TOKEN\"\n")
    (berth.root / "outside").mkdir()
    (berth.root / "outside/filed").write_text("from outside")
    deployment("up", "-d", env={"VAULT_TOKEN": "tok"})
    assert deployment.exec("box", "cat", "/run/secrets/printed") == f"show {GOOD} tok"
    assert deployment.exec("box", "stat", "-c", "%a %u", "/run/secrets/filed") == "400 999"
    started = deployment.inspect("external-box-1")["State"]["StartedAt"]
    deployment("up", "-d", env={"VAULT_TOKEN": "tok"})
    assert deployment.inspect("external-box-1")["State"]["StartedAt"] == started
    deployment("up", "-d", env={"VAULT_TOKEN": "new"})  # the vault holds another value now
    assert deployment.exec("box", "cat", "/run/secrets/printed") == f"show {GOOD} new"
    for path in berth.data.rglob("*"):  # in memory only
        if path.is_file() and path.suffix in (".json", ".log"):
            assert GOOD not in path.read_text(errors="replace"), path
    assert GOOD not in deployment("config").stdout + deployment("inspect", "external-box-1").stdout


@needs_postgres
@pytest.mark.parametrize("command, message", [
    ("[sh, -c, 'echo SECRETVALUE; echo locked >&2; exit 3']", "exit status 3: locked"),
    ("[sh, -c, 'echo SECRETVALUE; exit 3']", "exit status 3"),
    ("[sleep, '100']", "no end after 5000 ms"),
    ("['true']", "it is empty"),
    ("[sh, -c, 'yes SECRETVALUE']", ""),
    ("[/nonexistent/vault]", "/nonexistent/vault"),
])
def test_a_program_that_fails_is_named_and_its_output_is_not(project, command, message):
    deployment = project(EXTERNAL.replace("COMMAND", command), name="failing")
    told = deployment.fails("up", "-d")
    assert 'secret "printed": command ' in told and message in told and "SECRETVALUE" not in told, told


@needs_postgres
def test_an_external_secret_without_a_place_says_what_to_write(project):
    deployment = project("services: {box: {image: 'postgres:%d', secrets: [a], x-berth: {images: host}}}\n"
                         "secrets: {a: {external: true}}\n" % MAJOR, name="nowhere")
    told = deployment.fails("up", "-d")
    assert "unsupported external secret a" in told and "x-berth: {secrets: {a: {command:" in told
