"""TLS of databases whose compose file knows nothing of it: berth secure, x-berth.tls, certificates that one has."""
import json
import os
import subprocess

import pytest

from support.database import program
from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
PASSWORD = "Xk29-fjw0-w9dk"
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_PASSWORD: {PASSWORD}}}
    ports: ["127.0.0.1:PORT:5432"]
    networks: {{default: {{aliases: [database]}}}}
    x-berth: {{images: host EXTRA}}
    healthcheck: {{test: [CMD-SHELL, "pg_isready -h 127.0.0.1 -U postgres"], interval: 1s, retries: 60}}
  client:
    image: postgres:{MAJOR}
    entrypoint: [sleep, "1000"]
    init: true
    environment: {{PGPASSWORD: {PASSWORD}}}
    volumes: ["./tls:/tls:ro"]
    x-berth: {{images: host}}
"""


def make(project, free_port, name, extra=""):
    port = free_port()
    deployment = project(COMPOSE.replace("PORT", str(port)).replace("EXTRA", extra), name=name)
    deployment.port = port
    return deployment


def ask(deployment, settings, sql="SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"):
    done = subprocess.run([program("psql"), "-XAtc", sql, f"port={deployment.port} user=postgres {settings}"], text=True,
                          env={**os.environ, "PGPASSWORD": PASSWORD, "HOME": "/nonexistent"}, capture_output=True)
    return done.stdout.strip() or done.stderr.strip()


def row(deployment, *arguments):
    rows = json.loads(deployment("secure", *arguments, "--format", "json").stdout)
    assert len(rows) == 1
    return rows[0]


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificate(folder, name, *options, days=30, start=None):
    """A self-made authority and a certificate of it, as somebody else has them."""
    folder.mkdir(exist_ok=True)
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.ca.key", "-out", "own.ca.crt", "-subj",
            "/CN=own", "-days", "3650")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    if not start:
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "own.ca.crt", "-CAkey", "own.ca.key", "-CAcreateserial",
                "-days", str(days), "-extfile", "ext", "-out", f"{name}.crt")
        return
    sign(folder, name, "own.ca.crt", "own.ca.key", *start)


def sign(folder, name, authority, key, begin, end):
    """With dates of our own: what `openssl x509` cannot."""
    (folder / "ca.cnf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=./index\nserial=./serial\nnew_certs_dir=.\ndefault_md=sha256\n"
                                   "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    (folder / "index").write_text("")
    (folder / "serial").write_text("1000\n")
    openssl(folder, "ca", "-batch", "-config", "ca.cnf", "-cert", str(authority), "-keyfile", str(key), "-in", f"{name}.csr",
            "-startdate", begin, "-enddate", end, "-extfile", "ext", "-out", f"{name}.crt", "-notext")


def test_a_compose_file_that_knows_nothing_of_tls(project, free_port):
    deployment = make(project, free_port, "plain")
    deployment("up", "-d", "--wait")
    assert "does not support SSL" in ask(deployment, "host=localhost sslmode=require")
    made = row(deployment, "db")
    assert made["Changed"] and "restarts it" in made["Next"]
    folder = deployment.folder / "tls"
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "ca.key", "db.crt", "db.key"]
    assert oct((folder / "db.key").stat().st_mode & 0o777) == oct((folder / "ca.key").stat().st_mode & 0o777) == "0o600"
    assert not row(deployment)["Changed"]
    deployment("up", "-d", "--wait")
    # From this machine, by name and address, and what is not encrypted still works: nothing asked for that.
    for host in ("localhost", "127.0.0.1"):
        assert ask(deployment, f"host={host} sslmode=verify-full sslrootcert={folder}/ca.crt").startswith("TLSv1.")
    assert ask(deployment, "host=localhost sslmode=disable") == ""
    # From other containers, by every name.
    for host in ("db", "database", "plain-db-1"):
        sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert deployment.exec("client", "psql", "-XAtc", sql, f"host={host} user=postgres sslmode=verify-full "
                               "sslrootcert=/tls/ca.crt").startswith("TLSv1.")
    assert "TLSv1.2" in ask(deployment, "host=localhost", "SHOW ssl_min_protocol_version")
    # The key is the server's alone, whoever owns it outside; only in memory, and never in the model.
    assert deployment.exec("db", "stat", "-c", "%U %a", "/run/berth/tls/server.key") == "postgres 400"
    # Nothing changes by itself.
    started = deployment.inspect("plain-db-1")["State"]["StartedAt"]
    deployment("up", "-d", "--wait")
    assert deployment.inspect("plain-db-1")["State"]["StartedAt"] == started


def served(deployment):
    """Serial number of the certificate that the server shows now."""
    done = subprocess.run(["openssl", "s_client", "-starttls", "postgres", "-connect", f"127.0.0.1:{deployment.port}"],
                          stdin=subprocess.DEVNULL, capture_output=True)
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=done.stdout, capture_output=True).stdout.decode().strip()


def test_renewal_without_a_restart_and_a_new_name(project, free_port):
    deployment = make(project, free_port, "renewed", ", tls: on")
    deployment("up", "-d", "--wait")
    folder = deployment.folder / "tls"
    started, key, first = deployment.inspect("renewed-db-1")["State"]["StartedAt"], (folder / "db.key").read_text(), served(deployment)
    # One that has two days left of a year takes its place, as if the time had passed.
    (deployment.folder / "old").mkdir()
    openssl(deployment.folder / "old", "req", "-new", "-key", str(folder / "db.key"), "-out", "db.csr", "-subj", "/CN=db")
    (deployment.folder / "old/ext").write_text("subjectAltName=DNS:db,DNS:extra.example.org\n")
    now = subprocess.run(["date", "-u", "-d", "+2 days", "+%Y%m%d%H%M%SZ"], capture_output=True, text=True).stdout.strip()
    sign(deployment.folder / "old", "db", folder / "ca.crt", folder / "ca.key", "20260101000000Z", now)
    (folder / "db.crt").write_text((deployment.folder / "old/db.crt").read_text())
    old = (folder / "db.crt").read_text()
    deployment("up", "-d", "--dry-run")
    assert (folder / "db.crt").read_text() == old
    deployment("up", "-d", "--wait")
    assert deployment.inspect("renewed-db-1")["State"]["StartedAt"] == started
    assert (folder / "db.key").read_text() == key and (folder / "db.crt").read_text() != old
    wait_until(lambda: served(deployment) != first)
    assert served(deployment).split("=")[1].lower() in subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-in", str(folder / "db.crt")], capture_output=True, text=True).stdout.lower()
    names = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(folder / "db.crt")],
                           capture_output=True, text=True).stdout
    assert "extra.example.org" in names and "renewed-db-1" in names  # what it had, and what it must have
    # By hand, at once.
    second = served(deployment)
    assert row(deployment, "db", "--force")["Next"] == "reloaded"
    wait_until(lambda: served(deployment) != second)
    assert ask(deployment, f"host=localhost sslmode=verify-full sslrootcert={folder}/ca.crt").startswith("TLSv1.")


def test_certificates_that_one_has(project, free_port):
    deployment = make(project, free_port, "given")
    own = deployment.folder / "own"
    certificate(own, "db")
    deployment("secure", "db", "--from", "own/db.crt", "own/db.key", "own/own.ca.crt")
    deployment("up", "-d", "--wait")
    assert ask(deployment, f"host=localhost sslmode=verify-full sslrootcert={own}/own.ca.crt").startswith("TLSv1.")
    # It is theirs: not replaced, and nothing can be signed.
    before = (deployment.folder / "tls/db.crt").read_text()
    refused = deployment.fails("secure", "db", "--force")
    assert "cannot be renewed here" in refused and "--from CERT KEY" in refused
    assert (deployment.folder / "tls/db.crt").read_text() == before
    assert "nothing can be signed" in deployment.fails("secure", "db", "--client", "postgres")


def test_certificates_that_cannot_be_are_refused_and_change_nothing(project, free_port):
    deployment = make(project, free_port, "bad")
    deployment("secure", "db")
    before = {path.name: path.read_bytes() for path in (deployment.folder / "tls").iterdir()}
    own, other = deployment.folder / "own", deployment.folder / "other"
    certificate(own, "good")
    certificate(other, "good")
    certificate(own, "past", start=("20200101000000Z", "20210101000000Z"))
    certificate(own, "future", start=("20400101000000Z", "20410101000000Z"))
    openssl(own, "rsa", "-aes256", "-in", "good.key", "-passout", "pass:x", "-out", "locked.key")
    (own / "empty.key").write_text("")
    for words, message in ((("own/past.crt", "own/past.key"), "expired on 2021-01-01"),
                           (("own/future.crt", "own/future.key"), "not valid before 2040-01-01"),
                           (("own/good.crt", "other/good.key"), "does not belong to"),
                           (("own/good.crt", "own/locked.key"), "encrypted with a passphrase"),
                           (("own/good.crt", "own/empty.key"), "read the key"),
                           (("own/good.key", "own/good.key"), "read the certificate"),
                           (("own/good.crt", "own/nothing.key"), "own/nothing.key"),
                           (("own/good.crt", "own/good.key", "other/own.ca.crt"), "other/own.ca.crt"),
                           (("own/good.crt",), "the key is missing")):
        told = deployment.fails("secure", "db", "--from", *words)
        assert message in told, told
    assert {path.name: path.read_bytes() for path in (deployment.folder / "tls").iterdir()} == before


def test_a_shell_as_command_is_told(project, free_port):
    deployment = make(project, free_port, "shell", ", tls: on")
    text = (deployment.folder / "compose.yaml").read_text()
    deployment.write("compose.yaml", text.replace("    ports:", "    command: sh -c 'exec docker-entrypoint.sh postgres'\n    ports:", 1))
    told = deployment.fails("up", "-d")
    assert "its command is a shell's" in told and "tls: off" in told
