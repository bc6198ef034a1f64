"""Clusters copied from a template: each is whole, has an identity of its own and its own password."""
import os
import re
import shutil
import subprocess

import pytest

from support import program
from support.entrypoint import MAJORS, TEMPLATES, Root, kill_first_starts, make_template

pytestmark = [
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed"),
    pytest.mark.skipif(not (program.BUILD / "berth-entrypoint").exists(), reason="berth-entrypoint is not built"),
]
# 13 stores md5 passwords, for which there is no template.
MODERN = [major for major in MAJORS if major >= 14]
NAMES = {"POSTGRES_USER": "app", "POSTGRES_DB": "shop"}
ENV = {"POSTGRES_PASSWORD": "secret", "BERTH_TEMPLATES": TEMPLATES, **NAMES}


def tool(major, name, *args):
    command = [f"/usr/lib/postgresql/{major}/bin/{name}", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))


def identifier(major, data):
    return re.search(r"Database system identifier: +(\d+)", tool(major, "pg_controldata", data).stdout).group(1)


@pytest.fixture(params=MODERN)
def templated(request):
    root = Root(request.param)
    assert len(make_template(root, **NAMES)) == 1
    yield root
    root.remove()


def fresh(root):
    """The volume as new, the template kept."""
    shutil.rmtree(root.data)
    root.data.mkdir()
    root.chown(root.data_dir, 999, 0o700)


def test_copy_is_whole_and_its_own(templated):
    major, seen = templated.major, set()
    template = next(templated.inside(TEMPLATES).iterdir())
    seen.add(identifier(major, template))
    for password in ("secret", "it's 'another' $1", "pässwörd"):
        fresh(templated)
        with templated.server(env={**ENV, "POSTGRES_PASSWORD": password}) as server:
            assert "copy of the template" in templated.log()
            assert server.value("SELECT current_user || current_database()", user="app", database="shop") == "appshop"
            assert server.value("SHOW data_checksums", user="app") == "on"
            assert server.value("SHOW listen_addresses", user="app") == "*"
            assert server.value("SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'app'", user="app") == "t"
            subprocess.run(["nsenter", f"--net=/proc/{server.pid()}/ns/net", "ip", "addr", "add", "10.9.9.9/32", "dev", "lo"],
                           check=True)
            for word, works in ((password, True), ("berth-template", False), ("wrong", False)):
                login = subprocess.run(["nsenter", f"--net=/proc/{server.pid()}/ns/net", "psql", "-XAtc", "SELECT 1", "-h",
                                        "10.9.9.9", "-U", "app", "shop"], env=dict(os.environ, PGPASSWORD=word),
                                       capture_output=True)
                assert (login.returncode == 0) is works
            server.value("CREATE TABLE t AS SELECT generate_series(1, 10000)", user="app", database="shop")
            server.value("CHECKPOINT", user="app")
            os.kill(server.pid(), 2)
            server.process.wait()
        assert identifier(major, templated.data) not in seen
        seen.add(identifier(major, templated.data))
        assert "shut down" in tool(major, "pg_controldata", templated.data).stdout
        checks = tool(major, "pg_checksums", "--check", "-D", templated.data)
        assert checks.returncode == 0 and "Bad checksums:  0" in checks.stdout, checks.stdout + checks.stderr


def test_log_and_control_file_agree(templated):
    assert templated.initialise(env=ENV).status == 0
    major, data = templated.major, templated.data
    number = identifier(major, data)
    control = tool(major, "pg_controldata", data)
    assert "WARNING" not in control.stdout + control.stderr
    segment = sorted(name for name in os.listdir(data / "pg_wal") if len(name) == 24)[0]
    header = (data / "pg_wal" / segment).read_bytes()[:40]
    assert int.from_bytes(header[24:32], "little") == int(number)
    dump = tool(major, "pg_waldump", "-p", data / "pg_wal", "-n", "5", segment)
    assert dump.returncode == 0 and "system identifier" not in dump.stderr, dump.stderr
    nonces = {re.search(r"Mock authentication nonce: +(\w+)", tool(major, "pg_controldata", folder).stdout).group(1)
              for folder in (data, next(templated.inside(TEMPLATES).iterdir()))}
    assert len(nonces) == 2


def test_init_files_run_in_a_copy(templated):
    templated.init_file("1.sql", "CREATE TABLE made (n int);")
    with templated.server(env=ENV) as server:
        assert server.value("SELECT count(*) FROM made", user="app", database="shop") == "0"
    assert "server started" in templated.log()


def test_no_temporary_server_without_init_files(templated):
    with templated.server(env=ENV):
        pass
    assert "server started" not in templated.log()
    assert "ignoring /docker-entrypoint-initdb.d/*" in templated.log()


def test_replication_between_two_copies_is_refused(templated):
    other = Root(templated.major)
    try:
        shutil.copytree(templated.inside(TEMPLATES), other.inside(TEMPLATES))
        subprocess.run(["chown", "-R", "999:999", other.inside(TEMPLATES)], check=True)
        assert other.initialise(env=ENV).status == 0
        (other.data / "standby.signal").touch()
        with templated.server(env=ENV) as server:
            with open(other.data / "postgresql.auto.conf", "a") as file:
                file.write(f"primary_conninfo = 'host={templated.path}/var/run/postgresql user=app'\n")
            for path in other.data.rglob("*"):
                os.chown(path, 999, 999)
            log = other.path / "standby.log"
            with open(log, "wb") as out:
                standby = subprocess.Popen(
                    ["setpriv", "--reuid=999", "--regid=999", "--clear-groups",
                     f"/usr/lib/postgresql/{other.major}/bin/postgres", "-D", other.data, "-c", "listen_addresses=", "-c",
                     f"unix_socket_directories={other.path}/tmp"], stdout=out, stderr=out)
            try:
                for _ in range(200):
                    if "database system identifier differs" in log.read_text():
                        break
                    assert standby.poll() is None, log.read_text()
                    subprocess.run(["sleep", "0.05"])
                assert "database system identifier differs between the primary and standby" in log.read_text()
            finally:
                standby.terminate()
                standby.wait()
    finally:
        other.remove()


@pytest.mark.parametrize("change", [
    {"POSTGRES_DB": "other"}, {"POSTGRES_USER": "other", "POSTGRES_DB": "shop"}, {"POSTGRES_INITDB_ARGS": "--locale=C"},
    {"LANG": "C"}, {"TZ": "Europe/Tallinn"}, {"POSTGRES_INITDB_WALDIR": "/var/lib/postgresql/wal"},
    {"POSTGRES_PASSWORD": "needs to be normalised: \ufb01"}, {"POSTGRES_INITDB_ARGS": "--auth-host=md5"}])
def test_what_the_template_does_not_fit_is_made_by_initdb(templated, change):
    result = templated.initialise(env={**ENV, **change})
    assert result.status == 0 and "copy of the template" not in result.out, result
    assert "Success. You can now start" in result.out


@pytest.mark.parametrize("damage", ["control", "verifier", "segment", "page"])
def test_damaged_template_is_not_used(templated, damage):
    template = next(templated.inside(TEMPLATES).iterdir())
    if damage == "control":
        with open(template / "global/pg_control", "r+b") as file:
            file.write(b"12345678")
    elif damage == "segment":
        for path in (template / "pg_wal").glob("0*"):
            path.write_bytes(b"")
    else:
        data = bytearray((template / "global/1260").read_bytes())
        place = data.index(b"SCRAM-SHA-256$") + (20 if damage == "verifier" else -1)
        data[place] ^= 1
        (template / "global/1260").write_bytes(data)
    with templated.server(env=ENV) as server:
        assert server.value("SELECT 1", user="app", database="shop") == "1"
    assert "Success. You can now start" in templated.log()


@pytest.mark.soak
def test_killed_copy_is_whole_or_absent(templated):
    """The kernel's kill at any point of the copy: the next start finds nothing or all of it."""
    def check(server):
        assert server.value("SELECT count(*) FROM pg_class WHERE relname = 'pg_class'", user="app", database="shop") == "1"

    kill_first_starts(templated, ENV, check, lambda: fresh(templated))


def test_full_disk_leaves_nothing(templated):
    result = templated.run("postgres", env=ENV, mount="/var/lib/postgresql/data", mount_options="size=20m,uid=999,mode=700")
    assert result.status == 1 and "No space left on device" in result.text
    assert "Nothing of this first start is kept" in result.text
