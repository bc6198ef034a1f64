"""The entrypoint of PostgreSQL containers: the official image's behaviour as a table (input, exit status, output,
resulting cluster), and what is better here: a first start is whole or absent."""
import gzip
import lzma
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from support import program
from support.entrypoint import MAJORS, SOCKETS, Root, first_child, kill_first_starts, stop

pytestmark = [
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed"),
    pytest.mark.skipif(not (program.BUILD / "berth-entrypoint").exists(), reason="berth-entrypoint is not built"),
]
PASSWORD = {"POSTGRES_PASSWORD": "secret"}


@pytest.fixture
def root():
    instance = Root(MAJORS[-1] if 15 not in MAJORS else 15)
    yield instance
    instance.remove()


def test_binary_is_static():
    binary = program.BUILD / "berth-entrypoint"
    assert "statically linked" in subprocess.run(["file", "-L", binary], capture_output=True, text=True).stdout
    assert "not a dynamic executable" in subprocess.run(["ldd", binary], capture_output=True, text=True).stderr


# Rows that end before any cluster is made: arguments, environment, exit status, texts that must be there.
NO_CLUSTER = [
    ("other command", ["echo", "hello"], {}, 0, ["hello\n"]),
    ("other command, no password needed", ["sh", "-c", "exit 7"], {}, 7, []),
    ("other command stays root", ["id", "-u"], {}, 0, ["0\n"]),
    ("path of postgres is another command", ["/bin/echo", "postgres"], {}, 0, ["postgres\n"]),
    ("no arguments", [], {}, 0, []),
    ("not found", ["no-such-program"], {}, 127, ["no-such-program", "not found"]),
    ("not executable", ["/etc/passwd"], {}, 126, ["/etc/passwd"]),
    ("version", ["postgres", "--version"], {}, 0, ["postgres (PostgreSQL)"]),
    ("-V", ["postgres", "-V"], {}, 0, ["postgres (PostgreSQL)"]),
    ("flag gets postgres in front", ["--version"], {}, 0, ["postgres (PostgreSQL)"]),
    ("help", ["postgres", "--help"], {}, 0, ["Usage:"]),
    ("-?", ["-?"], {}, 0, ["Usage:"]),
    ("describe-config", ["postgres", "--describe-config"], {}, 0, ["autovacuum"]),
    ("help anywhere: the server judges", ["postgres", "-c", "port=1", "--help"], {}, 1, ["root"]),
    ("no password", ["postgres"], {}, 1,
     ["Error: Database is uninitialized and superuser password is not specified.", "POSTGRES_PASSWORD",
      "POSTGRES_HOST_AUTH_METHOD=trust"]),
    ("empty password", ["postgres"], {"POSTGRES_PASSWORD": ""}, 1, ["superuser password is not specified"]),
    ("flag and no password", ["-c", "port=1"], {}, 1, ["superuser password is not specified"]),
    ("both forms", ["postgres"], {"POSTGRES_PASSWORD": "a", "POSTGRES_PASSWORD_FILE": "/etc/passwd"}, 1,
     ["error: both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set (but are exclusive)"]),
    ("both forms of user", ["postgres"], {"POSTGRES_USER": "a", "POSTGRES_USER_FILE": "/etc/passwd", **PASSWORD}, 1,
     ["error: both POSTGRES_USER and POSTGRES_USER_FILE are set (but are exclusive)"]),
    ("both forms of database", ["postgres"], {"POSTGRES_DB": "a", "POSTGRES_DB_FILE": "/etc/passwd", **PASSWORD}, 1,
     ["both POSTGRES_DB and POSTGRES_DB_FILE"]),
    ("both forms of arguments", ["postgres"],
     {"POSTGRES_INITDB_ARGS": "-k", "POSTGRES_INITDB_ARGS_FILE": "/etc/passwd", **PASSWORD}, 1,
     ["both POSTGRES_INITDB_ARGS and POSTGRES_INITDB_ARGS_FILE"]),
    ("missing secret", ["postgres"], {"POSTGRES_PASSWORD_FILE": "/run/secrets/none"}, 1,
     ["POSTGRES_PASSWORD_FILE", "/run/secrets/none", "No such file"]),
    ("secret is a folder", ["postgres"], {"POSTGRES_PASSWORD_FILE": "/etc"}, 1, ["POSTGRES_PASSWORD_FILE", "directory"]),
    ("empty secret", ["postgres"], {"POSTGRES_PASSWORD_FILE": "/dev/null"}, 1, ["superuser password is not specified"]),
    ("no PGDATA", ["postgres"], {"PGDATA": None, **PASSWORD}, 1, ["PGDATA"]),
    ("unknown user", ["postgres"], {"PGDATA": "/proc/none", **PASSWORD}, 1, ["/proc/none"]),
    ("wrong initdb option", ["postgres"], {"POSTGRES_INITDB_ARGS": "--nonsense", **PASSWORD}, 1, ["nonsense"]),
    ("open quote in initdb arguments", ["postgres"], {"POSTGRES_INITDB_ARGS": "'--encoding", **PASSWORD}, 1,
     ["POSTGRES_INITDB_ARGS"]),
    ("wrong locale", ["postgres"], {"POSTGRES_INITDB_ARGS": "--locale=xx_YY", **PASSWORD}, 1, ["invalid locale name"]),
    ("wrong server option", ["postgres", "-c", "nonsense=1"], PASSWORD, 1, ["nonsense"]),
    ("wrong server value", ["postgres", "-c", "max_connections=none"], PASSWORD, 1, ["max_connections"]),
]


@pytest.mark.parametrize("args,env,status,texts", [row[1:] for row in NO_CLUSTER], ids=[row[0] for row in NO_CLUSTER])
def test_ends_without_a_cluster(root, args, env, status, texts):
    result = root.run(*args, env=env)
    assert result.status == status, result
    for text in texts:
        assert text in result.text, result
    assert not root.data.exists() or os.listdir(root.data) == []


# Rows that make a cluster: environment, server arguments, queries and what they give.
CLUSTERS = [
    ("defaults", PASSWORD, [], {
        "SELECT current_user": "postgres",
        "SHOW listen_addresses": "*",
        "SHOW data_checksums": "on",
        "SELECT count(*) FROM pg_database": "3",
        "SELECT rolpassword LIKE 'SCRAM-SHA-256$4096:%' FROM pg_authid WHERE rolname = 'postgres'": "t",
        "SELECT rolsuper FROM pg_authid WHERE rolname = current_user": "t",
    }),
    ("user", {"POSTGRES_USER": "dbadmin", **PASSWORD}, [],
     {"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database": "dbadmin postgres template0 template1",
      "SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'": "0"}),
    ("user and database", {"POSTGRES_USER": "dbadmin", "POSTGRES_DB": "autodeploy", **PASSWORD}, [],
     {"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'autodeploy'": "dbadmin"}),
    ("database postgres", {"POSTGRES_DB": "postgres", **PASSWORD}, [], {"SELECT count(*) FROM pg_database": "3"}),
    ("odd names", {"POSTGRES_USER": "Some User; née X", "POSTGRES_DB": "my db; DROP", **PASSWORD}, [],
     {"SELECT count(*) FROM pg_database WHERE datname = 'my db; DROP'": "1"}),
    ("database of a flag's shape", {"POSTGRES_DB": "--version", **PASSWORD}, [],
     {"SELECT count(*) FROM pg_database WHERE datname = '--version'": "1"}),
    ("initdb arguments", {"POSTGRES_INITDB_ARGS": "--encoding=LATIN1 --locale=C", **PASSWORD}, [],
     {"SHOW server_encoding": "LATIN1", "SELECT datcollate FROM pg_database WHERE datname = 'postgres'": "C"}),
    ("quotes in initdb arguments", {"POSTGRES_INITDB_ARGS": "--text-search-config='german' \"--locale=C\"", **PASSWORD}, [],
     {"SHOW default_text_search_config": "pg_catalog.german"}),
    ("shell words in initdb arguments", {"POSTGRES_INITDB_ARGS": "--locale=$(printf C) ${NOTHING:-}", **PASSWORD}, [],
     {"SELECT datcollate FROM pg_database WHERE datname = 'postgres'": "C"}),
    ("no checksums", {"POSTGRES_INITDB_ARGS": "--no-data-checksums", **PASSWORD}, [], {"SHOW data_checksums": "off"}),
    ("server arguments", PASSWORD, ["postgres", "-c", "work_mem=7MB"], {"SHOW work_mem": "7MB"}),
    ("flags alone", PASSWORD, ["-c", "work_mem=8MB", "-c", "application_name=a b"],
     {"SHOW work_mem": "8MB"}),
    ("trust", {"POSTGRES_HOST_AUTH_METHOD": "trust"}, [],
     {"SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'": "trust"}),
    ("md5", {"POSTGRES_HOST_AUTH_METHOD": "md5", **PASSWORD}, [],
     {"SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'": "md5"}),
    ("method of the server", PASSWORD, [],
     {"SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'": "scram-sha-256",
      "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust' AND type = 'local'": "2"}),
    ("method of a server argument", PASSWORD, ["postgres", "-c", "password_encryption=md5"],
     {"SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'": "md5"}),
    ("auth-host by initdb", {"POSTGRES_INITDB_ARGS": "--auth-host=md5", **PASSWORD}, [],
     {"SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'postgres'": "md5"}),
    ("WAL elsewhere", {"POSTGRES_INITDB_WALDIR": "/var/lib/postgresql/wal", **PASSWORD}, [],
     {"SELECT count(*) > 0 FROM pg_ls_waldir()": "t"}),
    ("data below a folder", {"PGDATA": "/var/lib/postgresql/data/pgdata", **PASSWORD}, [],
     {"SHOW data_directory": "/var/lib/postgresql/data/pgdata"}),
    ("data elsewhere", {"PGDATA": "/srv/deep/data", **PASSWORD}, [], {"SHOW data_directory": "/srv/deep/data"}),
]


@pytest.mark.parametrize("env,args,queries", [row[1:] for row in CLUSTERS], ids=[row[0] for row in CLUSTERS])
def test_makes_a_cluster(root, env, args, queries):
    with root.server(*args, env=env) as server:
        for sql, expected in queries.items():
            assert server.value(sql, user=env.get("POSTGRES_USER", "postgres")) == expected, root.log()
        assert "PostgreSQL init process complete; ready for start up." in root.log()


@pytest.mark.parametrize("major", MAJORS)
def test_every_major(major):
    root = Root(major)
    try:
        with root.server(env={"POSTGRES_DB": "app", **PASSWORD}) as server:
            assert server.value("SHOW server_version_num").startswith(str(major))
            assert server.value("SHOW data_checksums") == "on"
            assert server.value("SELECT 1", database="app", password="secret", tcp=True) == "1"
            method = server.value("SELECT auth_method FROM pg_hba_file_rules WHERE address = 'all'")
            assert method == ("md5" if major < 14 else "scram-sha-256")
    finally:
        root.remove()


PASSWORDS = {
    "printable": "".join(map(chr, range(32, 127))),
    "quotes": "it's \"quoted\" `x` $HOME \\n %s",
    "newline": "first\nsecond",
    "long": "x" * 1000,
    "utf8": "pässwörd-Ünï-日本語-🐘",
    "url": "p@ss/w:rd%42",
    "spaces": "  around  ",
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS.keys())
def test_password_works_over_tcp(root, password):
    with root.server(env={"POSTGRES_PASSWORD": password}) as server:
        # The container's network is reached from outside; loopback is trusted, so another address is used.
        subprocess.run(["nsenter", f"--net=/proc/{server.pid()}/ns/net", "ip", "addr", "add", "10.9.9.9/32", "dev", "lo"],
                       check=True)

        def connect(word):
            return subprocess.run(["nsenter", f"--net=/proc/{server.pid()}/ns/net", "psql", "-XAtc", "SELECT 1", "-h", "10.9.9.9",
                                   "-U", "postgres"], env=dict(os.environ, PGPASSWORD=word), capture_output=True, text=True)

        assert connect(password).stdout == "1\n", connect(password).stderr
        assert connect(password + "x").returncode != 0
        assert connect(password.split("\n")[0] + "y").returncode != 0
        log = root.log()
        assert password not in log


def test_secret_files_are_read_as_root_without_their_newlines(root):
    root.write("/run/secrets/user", "oullin\n", 0o400)
    root.write("/run/secrets/password", "from-file\n\n", 0o400)
    root.write("/run/secrets/db", "oullin_db", 0o400)
    env = {"POSTGRES_USER_FILE": "/run/secrets/user", "POSTGRES_PASSWORD_FILE": "/run/secrets/password",
           "POSTGRES_DB_FILE": "/run/secrets/db"}
    with root.server(env=env, user_name="oullin") as server:
        assert server.value("SELECT current_database()", user="oullin", database="oullin_db") == "oullin_db"


def test_trust_warns(root):
    result = root.initialise(env={"POSTGRES_HOST_AUTH_METHOD": "trust"})
    assert result.status == 0
    assert 'WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust"' in result.err
    assert "# warning trust is enabled for all connections" in (root.data / "pg_hba.conf").read_text()


def test_password_is_not_in_the_servers_environment(root):
    with root.server(env={"POSTGRES_USER": "me", **PASSWORD}) as server:
        names = [entry.split("=")[0] for entry in server.environment()]
        assert "POSTGRES_USER" in names and "POSTGRES_DB" in names
        assert not [name for name in names if "PASSWORD" in name]


def test_initialised_cluster_is_left_alone(root):
    assert root.initialise(env=PASSWORD).status == 0
    before = (root.data / "pg_hba.conf").read_text()
    with root.server(env={"POSTGRES_PASSWORD": "other", "POSTGRES_DB": "other"}) as server:
        assert server.value("SELECT count(*) FROM pg_database WHERE datname = 'other'") == "0"
        assert "PostgreSQL Database directory appears to contain a database; Skipping initialization" in root.log()
        assert "init process complete" not in root.log()
    assert (root.data / "pg_hba.conf").read_text() == before


def test_initialised_cluster_needs_no_password(root):
    assert root.initialise(env=PASSWORD).status == 0
    with root.server() as server:
        assert server.value("SELECT 1") == "1"


def test_ensure_and_enforce(root):
    ensure, enforce = "/usr/local/bin/docker-ensure-initdb.sh", "/usr/local/bin/docker-enforce-initdb.sh"
    assert root.run(script=enforce, env=PASSWORD).status == 0
    again = root.run(script=ensure, env=PASSWORD)
    assert again.status == 0 and "note: database already initialized in '/var/lib/postgresql/data'!" in again.err
    again = root.run(script=enforce, env=PASSWORD)
    assert again.status == 1 and "error: (unexpected) database found in '/var/lib/postgresql/data'!" in again.err


def test_folders_and_owners(root):
    assert root.initialise(env=PASSWORD).status == 0
    status = root.data.stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o700, 999)
    assert root.inside(SOCKETS).stat().st_mode & 0o7777 == 0o3775
    assert {path.stat().st_uid for path in root.data.rglob("*")} == {999}
    for path in (root.data / "PG_VERSION", root.data / "base"):
        os.chown(path, 0, 0)
    outside = root.write("/etc/outside", "x")
    (root.data / "link").symlink_to("/etc/outside")
    with root.server():
        pass
    assert (root.data / "PG_VERSION").stat().st_uid == 999
    assert outside.stat().st_uid == 0, "a link's target is nobody's business"


def test_groups_of_the_server(root):
    with root.server(env=PASSWORD) as server:
        lines = pathlib.Path(f"/proc/{server.pid()}/status").read_text().splitlines()
        fields = {line.split(":")[0]: line.split()[1:] for line in lines if ":" in line}
        assert fields["Uid"] == ["999"] * 4 and fields["Gid"] == ["999"] * 4
        assert sorted(fields["Groups"]) == ["101", "999"]
        assert "HOME=/var/lib/postgresql" in server.environment()


def test_as_another_user(root):
    root.chown("/var/lib/postgresql/data", 999, 0o700)
    with root.server(env=PASSWORD, user=999) as server:
        assert server.value("SELECT 1") == "1"


def test_folder_with_other_things_is_refused(root):
    root.write("/var/lib/postgresql/data/notes.txt", "mine")
    result = root.run("postgres", env=PASSWORD)
    assert result.status == 1 and "exists but is not empty" in result.err
    assert os.listdir(root.data) == ["notes.txt"]


# Init files.

def test_init_files_by_kind_and_order(root):
    root.init_file("01-first.sql", "CREATE TABLE t (n int, s text);")
    root.init_file("02-second.sql.gz", gzip.compress(b"INSERT INTO t VALUES (2, current_database());"))
    root.init_file("03-third.sql.xz", lzma.compress(b"INSERT INTO t VALUES (3, current_user);"))
    packed = subprocess.run(["zstd", "-c"], input=b"INSERT INTO t VALUES (4, 'zst');", capture_output=True, check=True).stdout
    root.init_file("04-fourth.sql.zst", packed)
    root.init_file("05-run.sh", "#!/bin/bash\nset -e\npsql -v ON_ERROR_STOP=1 --username \"$POSTGRES_USER\" --dbname "
                   "\"$POSTGRES_DB\" -c \"INSERT INTO t VALUES (5, '$0')\"\n", 0o755)
    root.init_file("06-source.sh", "docker_process_sql -c \"INSERT INTO t VALUES (6, '${BASH_VERSION:+bash}')\"\nexport KEPT=7\n")
    root.init_file("07-source.sh", "\"${psql[@]}\" <<< \"INSERT INTO t VALUES ($KEPT, 'array')\"\n")
    root.init_file("08-last.sql", "INSERT INTO t VALUES (8, 'after the shell');")
    root.init_file("09-readme.txt", "nothing")
    root.init_file(".hidden.sql", "nonsense")
    (root.path / "docker-entrypoint-initdb.d/10-folder").mkdir()
    name = "/usr/local/bin/docker-entrypoint.sh"
    with root.server(env={"POSTGRES_USER": "me", "POSTGRES_DB": "app", **PASSWORD}) as server:
        rows = server.value("SELECT string_agg(n || ' ' || s, ',' ORDER BY n) FROM t", user="me", database="app")
    assert rows == ("2 app,3 me,4 zst,5 /docker-entrypoint-initdb.d/05-run.sh,6 bash,7 array,8 after the shell")
    log = root.log()
    places = [log.index(f"{name}: {verb} /docker-entrypoint-initdb.d/{file}") for verb, file in [
        ("running", "01-first.sql"), ("running", "02-second.sql.gz"), ("running", "03-third.sql.xz"),
        ("running", "04-fourth.sql.zst"), ("running", "05-run.sh"), ("sourcing", "06-source.sh"), ("sourcing", "07-source.sh"),
        ("running", "08-last.sql"), ("ignoring", "09-readme.txt"), ("ignoring", "10-folder")]]
    assert places == sorted(places)
    assert "hidden" not in log


def test_no_init_files(root):
    result = root.initialise(env=PASSWORD)
    assert "docker-ensure-initdb.sh: ignoring /docker-entrypoint-initdb.d/*" in result.out


def test_missing_init_folder(root):
    (root.path / "docker-entrypoint-initdb.d").rmdir()
    result = root.run("postgres", env=PASSWORD)
    assert result.status == 2 and "docker-entrypoint-initdb.d" in result.err


def test_unreadable_init_folder(root):
    (root.path / "docker-entrypoint-initdb.d").chmod(0o700)
    result = root.run("postgres", env=PASSWORD)
    assert result.status == 2 and "Permission denied" in result.err


FAILURES = [
    ("sql", "1.sql", "SELECT nonsense;", 0o644, 3, "nonsense"),
    ("sql without permission", "1.sql", "SELECT 1;", 0o600, 1, "Permission denied"),
    ("damaged gz", "1.sql.gz", "not gzip", 0o644, 1, "not in gzip format"),
    ("sql in gz", "1.sql.gz", gzip.compress(b"SELECT nonsense;"), 0o644, 3, "nonsense"),
    ("executed", "1.sh", "#!/bin/sh\nexit 42\n", 0o755, 42, ""),
    ("sourced", "1.sh", "exit 43\n", 0o644, 43, ""),
    ("sourced, a command fails", "1.sh", "false\necho not reached\n", 0o644, 1, ""),
    ("sourced, syntax", "1.sh", "if then\n", 0o644, 2, "syntax error"),
    ("killed", "1.sh", "#!/bin/sh\nkill -9 $$\n", 0o755, 137, ""),
    ("wrong interpreter", "1.sh", "#!/no/such/shell\n", 0o755, 1, ""),
    ("stops the server", "1.sh", "#!/bin/sh\npg_ctl -m immediate stop\nexit 5\n", 0o755, 5, ""),
]


@pytest.mark.parametrize("name,text,mode,status,message", [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_failing_init_file_leaves_nothing(root, name, text, mode, status, message):
    root.init_file(name, text, mode)
    result = root.run("postgres", env=PASSWORD)
    assert result.status == status, result
    assert message in result.text and name in result.err and "not reached" not in result.out
    assert os.listdir(root.data) == [] and os.listdir(root.inside(SOCKETS)) == []
    # Repaired, it starts over.
    (root.path / "docker-entrypoint-initdb.d" / name).unlink()
    root.init_file("2.sql", "CREATE TABLE repaired ();")
    with root.server(env=PASSWORD) as server:
        assert server.value("SELECT count(*) FROM repaired") == "0"


def test_exit_0_of_a_sourced_file_ends_that_file_alone(root):
    root.init_file("1.sh", "exit 0\n")
    root.init_file("2.sql", "CREATE TABLE two ();")
    with root.server(env=PASSWORD) as server:
        assert server.value("SELECT count(*) FROM two") == "0"
    assert "1.sh ended the shell that sourced it" in root.log()


def test_background_process_does_not_hold_the_start(root):
    root.init_file("1.sh", "#!/bin/sh\nsleep 1000 &\n", 0o755)
    root.init_file("2.sh", "sleep 1000 &\n")
    with root.server(env=PASSWORD) as server:
        assert server.value("SELECT 1") == "1"


def test_script_that_restarts_the_server(root):
    root.init_file("1.sh", "#!/bin/bash\nset -e\npg_ctl -D \"$PGDATA\" -m fast -w stop\n"
                   "pg_ctl -D \"$PGDATA\" -o '-c listen_addresses=' -w start >/dev/null\n", 0o755)
    root.init_file("2.sql", "CREATE TABLE after_restart ();")
    with root.server(env=PASSWORD) as server:
        assert server.value("SELECT count(*) FROM after_restart") == "0"


def test_script_that_edits_the_configuration(root):
    root.init_file("1.sh", "echo \"work_mem = '9MB'\" >> \"$PGDATA/postgresql.conf\"\n")
    root.init_file("2.sh", "#!/bin/sh\necho 'host all all 10.0.0.0/8 reject' >> /var/lib/postgresql/data/pg_hba.conf\n", 0o755)
    with root.server(env=PASSWORD) as server:
        assert server.value("SHOW work_mem") == "9MB"
        assert server.value("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'reject'") == "1"


# Readiness, signals, kills.

def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_the_temporary_server_is_not_seen(root):
    root.init_file("1.sh", "#!/bin/sh\npg_isready && touch /tmp/inside-ready\nwhile [ ! -e /tmp/go ]; do sleep 0.05; done\n", 0o755)
    process = root.popen("postgres", env=PASSWORD)
    try:
        wait_for(lambda: root.inside("/tmp/inside-ready").exists() or process.poll() is not None, "init file")
        probe = subprocess.run(["pg_isready", "-h", root.inside(SOCKETS)], capture_output=True, text=True)
        assert probe.returncode == 2, probe.stdout
        root.inside("/tmp/go").touch()
        wait_for(lambda: subprocess.run(["pg_isready", "-q", "-h", root.inside(SOCKETS)]).returncode == 0, "ready")
    finally:
        stop(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("mode", [0o755, 0o644])
def test_signal_during_initialisation(root, number, mode):
    root.init_file("1.sh", "#!/bin/sh\ntouch /tmp/hangs\nsleep 1000\n", mode)
    process = root.popen("postgres", env=PASSWORD)
    try:
        wait_for(lambda: root.inside("/tmp/hangs").exists() or process.poll() is not None, "init file")
        os.kill(first_child(process), number)
        assert process.wait(20) == 128 + number
    finally:
        stop(process)
    assert os.listdir(root.data) == []
    assert f"stopped by signal {int(number)} during initialisation" in root.log()


def test_signals_reach_the_final_server(root):
    with root.server(env=PASSWORD) as server:
        os.kill(server.pid(), signal.SIGINT)
        assert server.process.wait(20) == 0
    assert "received fast shutdown request" in root.log() and "database system is shut down" in root.log()


@pytest.mark.soak
def test_killed_first_start(root):
    root.init_file("1.sql", "CREATE TABLE init_ran (n int); INSERT INTO init_ran VALUES (1);")

    def check(server):
        assert server.value("SELECT sum(n) FROM init_ran", database="app") == "1"

    def renew():
        shutil.rmtree(root.data)
        root.data.mkdir()
        root.chown(root.data_dir, 999, 0o700)

    kill_first_starts(root, {"POSTGRES_DB": "app", **PASSWORD}, check, renew)


def test_remains_of_a_killed_start_are_announced(root):
    (root.data / ".berth-init").mkdir()
    (root.data / "PG_VERSION").write_text("15\n")
    (root.data / "base").mkdir()
    with root.server(env=PASSWORD) as server:
        assert server.value("SELECT 1") == "1"
    assert "An earlier first start of this cluster did not finish" in root.log()


def test_foreign_wal_folder_is_not_emptied(root):
    root.write("/var/lib/postgresql/wal/precious", "mine")
    env = {"POSTGRES_INITDB_WALDIR": "/var/lib/postgresql/wal", **PASSWORD}
    assert root.run("postgres", env=env).status == 1
    assert root.inside("/var/lib/postgresql/wal/precious").read_text() == "mine"
    assert os.listdir(root.data) == []


def test_disk_full(root):
    result = root.run("postgres", env=PASSWORD, mount="/var/lib/postgresql/data", mount_options="size=20m,uid=999,mode=700")
    assert result.status == 1
    assert "No space left on device" in result.text or "Check free disk space" in result.text


# The functions for scripts that source docker-entrypoint.sh.

def test_sourced_functions(root):
    root.write("/usr-script.sh", "", 0o755)
    script = r"""
set -Eeo pipefail
source /usr/local/bin/docker-entrypoint.sh
docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = 0 ]; then exec gosu postgres bash "$BASH_SOURCE" "$@"; fi
[ -z "$DATABASE_ALREADY_EXISTS" ]
docker_verify_minimum_env
docker_error_old_databases
docker_init_database_dir
pg_setup_hba_conf "$@"
export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
docker_temp_server_start "$@"
docker_setup_db
docker_process_init_files /docker-entrypoint-initdb.d/*
docker_temp_server_stop
unset PGPASSWORD
docker_setup_env
echo "exists: $DATABASE_ALREADY_EXISTS"
_main echo main ran
"""
    root.write("/script.sh", script, 0o755)
    root.init_file("1.sql", "CREATE TABLE made ();")
    result = root.run("bash", "/script.sh", "postgres", "-c", "work_mem=5MB", env={"POSTGRES_DB": "app", **PASSWORD}, timeout=60)
    assert result.status == 0, result
    assert "exists: true\nmain ran\n" in result.out and "running /docker-entrypoint-initdb.d/1.sql" in result.out
    with root.server() as server:
        assert server.value("SELECT count(*) FROM made", database="app") == "0"


def test_gosu(root):
    gosu = "/usr/local/bin/gosu"
    assert root.run("postgres", "id", "-u", script=gosu).out == "999\n"
    assert root.run("postgres", "id", "-G", script=gosu).out == "999 101\n"
    assert root.run("1234:5", "id", "-g", script=gosu).out == "5\n"
    assert root.run("nobody-here", "true", script=gosu).status == 1


# The layout of 18.

@pytest.fixture
def eighteen():
    """An image of 18 as far as the rules of its layout go, on whatever server is here."""
    instance = Root(MAJORS[-1])
    instance.data_dir = "/var/lib/postgresql/18/docker"
    yield instance
    instance.remove()


@pytest.mark.parametrize("place", ["", "/data", "/17/docker"])
def test_18_refuses_beside_older_data(eighteen, place):
    eighteen.write(f"/var/lib/postgresql{place}/PG_VERSION", "17\n")
    result = eighteen.run("postgres", env={"PG_MAJOR": "18", **PASSWORD})
    assert result.status == 1 and "Error: in 18+" in result.err and f"/var/lib/postgresql{place}" in result.err
    assert not (eighteen.data / "PG_VERSION").exists()


def test_18_refuses_an_unused_mount(eighteen):
    eighteen.inside("/var/lib/postgresql/data").mkdir(exist_ok=True)
    result = eighteen.run("postgres", env={"PG_MAJOR": "18", **PASSWORD}, mount="/var/lib/postgresql/data")
    assert result.status == 1 and "/var/lib/postgresql/data (unused mount/volume)" in result.err
