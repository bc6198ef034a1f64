"""berth init: what it writes runs as it is."""
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
