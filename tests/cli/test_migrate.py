"""The command `migrate`: golang-migrate's files, table, lock, messages and exit statuses on a real server."""
import os
import re
import signal
import subprocess
import time

import pytest

from support.entrypoint import MAJORS, SOCKETS
from support.migrations import MIGRATE, Database, server  # noqa: F401

pytestmark = [
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed"),
    pytest.mark.skipif(not MIGRATE.exists(), reason="berth-migrate is not built"),
]


@pytest.fixture
def database(server, tmp_path):  # noqa: F811
    return Database(server, tmp_path)


@pytest.fixture
def three(database):
    for number, name in ((1, "one"), (2, "two"), (3, "three")):
        database.file(f"{number}_{name}.up.sql", f"CREATE TABLE {name} (n int);")
        database.file(f"{number}_{name}.down.sql", f"DROP TABLE {name};")
    return database


MISSING = "no migration found for version {0}: read down for version {0} .: file does not exist"
# Commands in turn on one database, with exit status, output and the state afterwards.
STORY = [
    ("version", 1, "error: no migration\n", None),
    ("up 1", 0, "1/u one (T)\n", "1"),
    ("version", 0, "1\n", "1"),
    ("up", 0, "2/u two (T)\n3/u three (T)\n", "3"),
    ("up", 0, "no change\n", "3"),
    ("up 0", 0, "no change\n", "3"),
    ("up 1", 1, "error: file does not exist\n", "3"),
    ("up -1", 2, None, "3"),
    ("up x", 1, "error: can't read limit argument N\n", "3"),
    ("down 1", 0, "3/d three (T)\n", "2"),
    ("goto 3", 0, "3/u three (T)\n", "3"),
    ("goto 1", 0, "3/d three (T)\n2/d two (T)\n", "1"),
    ("goto 1", 0, "no change\n", "1"),
    ("goto 9", 1, f"error: {MISSING.format(9)}\n", "1"),
    ("goto", 1, "error: please specify version argument V\n", "1"),
    ("goto x", 1, "error: can't read version argument V\n", "1"),
    ("up 5", 1, "2/u two (T)\n3/u three (T)\nerror: limit 3 short\n", "3"),
    ("down 9", 1, "3/d three (T)\n2/d two (T)\n1/d one (T)\nerror: limit 6 short\n", "none"),
    ("down 1", 1, "error: file does not exist\n", "none"),
    ("down -all", 0, "no change\n", "none"),
    ("down -all 1", 1, "error: -all cannot be used with other arguments\n", "none"),
    ("down 1 2", 1, "error: too many arguments\n", "none"),
    ("force 7", 0, "", "7"),
    ("version", 0, "7\n", "7"),
    ("up", 1, f"error: {MISSING.format(7)}\n", "7"),
    ("force -- -1", 0, "", "none"),
    ("force -- -2", 1, "error: argument V must be >= -1\n", "none"),
    ("force", 1, "error: please specify version argument V\n", "none"),
]


def test_story(three):
    for command, status, output, state in STORY:
        done = three(*command.split())
        assert done[0] == status and (output is None or done[1] == output), (command, done)
        if state:
            assert three.version() == state, command


def test_usage():
    for args, status in (([], 2), (["nonsense"], 2), (["-nonsense"], 2), (["-help"], 0), (["--help"], 0), (["-h"], 0)):
        done = subprocess.run([MIGRATE, *args], capture_output=True, text=True)
        assert done.returncode == status and "Usage: migrate OPTIONS COMMAND [arg...]" in done.stderr, args
    done = subprocess.run([MIGRATE, "-version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith("4.")


@pytest.mark.parametrize("args,text", [
    (["up"], "error: failed to parse scheme from source URL: URL cannot be empty\n"),
    (["-path", "/x", "up"], "error: failed to parse scheme from database URL: URL cannot be empty\n"),
    (["-path", "/no/such", "-database", "postgres://h/d", "up"],
     'error: failed to open source, "file:///no/such": open .: no such file or directory\n'),
    (["-source", "s3://x", "-database", "postgres://h/d", "up"], "unknown driver 's3'"),
    (["-path", "/tmp", "-database", "mysql://h/d", "up"], "unknown driver mysql"),
    (["-path", "/tmp", "-database", "postgres://u:p@ss/w:rd%42@h:5432/d", "up"], "must be percent-encoded"),
])
def test_refused_before_anything(args, text):
    done = subprocess.run([MIGRATE, *args], capture_output=True, text=True)
    assert done.returncode == 1 and text in done.stderr
    assert "ss/w" not in done.stderr


def test_create(tmp_path):
    def create(*args):
        done = subprocess.run([MIGRATE, "create", *args], capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stderr

    assert create() == (1, "error: please specify name\n")
    assert create("x") == (1, "error: -ext flag must be specified\n")
    assert create("-ext", "sql", "-seq", "-format", "unix", "x") == (1, "error: the seq and format options are mutually exclusive\n")
    for number, name in ((1, "first"), (2, "second")):
        status, out = create("-ext", "sql", "-dir", "new/m", "-seq", name)
        assert status == 0
        assert out.split() == [str(tmp_path / f"new/m/00000{number}_{name}.{half}.sql") for half in ("up", "down")]
    assert create("-ext", ".sql", "-dir", "new/m", "-seq", "-digits", "2", "third")[0] == 0
    (tmp_path / "new/m/99_last.up.sql").touch()
    assert create("-ext", "sql", "-dir", "new/m", "-seq", "-digits", "2", "x") == \
        (1, "error: next sequence number 100 too large, at most 2 digits are allowed\n")
    assert create("-ext", "sql", "-format", "2006", "year")[0] == 0
    assert create("-ext", "sql", "-format", "2006", "again")[1].startswith("error: duplicate migration version: ")
    status, out = create("-ext", "sql", "timed")
    assert status == 0 and re.search(r"/\d{14}_timed\.up\.sql\n", out)
    assert create("-ext", "sql", "-tz", "Nowhere/None", "x") == (1, "error: unknown time zone Nowhere/None\n")


FAILURES = [
    ("syntax", "CREATE TABLE a ();\n\nSELEC 1;\n", 'syntax error at or near "SELEC" (column 1) in line 3: SELEC 1 '
     '(details: pq: syntax error at or near "SELEC")', "3:1", False),
    ("column", "SELECT 1;\n  SELECT nope\nFROM pg_class;", 'column "nope" does not exist (column 10) in line 2: SELECT nope FROM '
     'pg_class (details: pq:', "2:10", False),
    ("at run time", "CREATE TABLE a (n int PRIMARY KEY);\nINSERT INTO a VALUES (1);\n-- twice\nINSERT INTO a VALUES (1);",
     "duplicate key value violates unique constraint \"a_pkey\", Key (n)=(1) already exists. in line 4: INSERT INTO a", "4:1", False),
    ("CRLF and letters", "SELECT 'äöü';\r\nSELECT 'ä', nope;\r\n", 'column "nope" does not exist (column 13) in line 2', "2:13", False),
    ("meta-command", "\\connect other\nSELECT 1;", 'syntax error at or near "\\"', "1:1", False),
    ("meta-command in the middle", "CREATE TABLE a ();\n\\i other.sql\n", 'syntax error at or near "\\"', "2:1", False),
    ("own transaction", "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\nSELECT 1/0;", "division by zero in line 4: SELECT 1/0", "4:1", True),
    ("open transaction", "BEGIN;\nCREATE TABLE a ();\n", "begins a transaction and does not end it", None, False),
    ("copy", "CREATE TABLE a (n int);\nCOPY a FROM STDIN;\n1\n\\.\n", "in line", None, False),
    ("not alone", "CREATE TABLE a (n int);\nCREATE INDEX CONCURRENTLY i ON a (n);", "cannot run inside a transaction block in line 2",
     "2:1", False),
]


@pytest.mark.parametrize("text,message,place,remains", [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES])
def test_failing_migration(database, text, message, place, remains):
    database.file("1_a.up.sql", text)
    database.file("2_b.up.sql", "CREATE TABLE b ();")
    status, out = database("up")
    assert status == 1 and out.startswith("error: migration failed: ") and message in out, out
    if place:
        assert f"{database.folder}/1_a.up.sql:{place}\n" in out, out
    if "\\" in message:
        assert "hint: Commands of psql that begin with a backslash are not SQL" in out
    if "transaction block" in message:
        assert "hint: Such a statement must be alone in its file" in out
    assert database.version() == "1 dirty"
    assert database.value("SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b')") == ("1" if remains else "0")
    for command in ("up", "down 1", "goto 2"):
        assert database(*command.split()) == (1, "error: Dirty database version 1. Fix and force version.\n")
    assert database("version") == (0, "1 (dirty)\n")
    assert database("force", "1") == (0, "") and database("up") == (0, "2/u b (T)\n")


def test_texts_that_work(database):
    database.file("1_bom.up.sql", b"\xef\xbb\xbfCREATE TABLE t (s text);\r\nINSERT INTO t VALUES ('bom');\r\n")
    database.file("2_empty.up.sql", " \n\t\n")
    database.file("3_function.up.sql", "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$;"
                  "INSERT INTO t SELECT 'f' || f();")
    database.file("4_index.up.sql", "CREATE INDEX CONCURRENTLY i ON t (left(s, 3));")
    database.file("6_half.down.sql", "SELECT 1;")
    database.file("README.md", "nothing")
    database.file("7_large.up.sql", "INSERT INTO t VALUES ('" + "x" * 5_000_000 + "');")
    assert database("up") == (0, "1/u bom (T)\n2/u empty (T)\n3/u function (T)\n4/u index (T)\n6/u <empty> (T)\n7/u large (T)\n")
    assert database.value("SELECT string_agg(left(s, 3), ' ') FROM t") == "bom f1 xxx"
    assert database("goto", "4") == (0, "7/d <empty> (T)\n6/d half (T)\n")


def test_files_of_50_megabytes(database):
    """One whose statement is as large, and one whose only statement comes after as many comments and is wrong."""
    database.file("1_value.up.sql", b"CREATE TABLE large AS SELECT '" + b"x" * 50_000_000 + b"'::text AS t;\r\n")
    lines = 50_000_000 // 100
    database.file("2_late.up.sql", (b"-- " + b"c" * 96 + b"\n") * lines + "SELECT 'ä', nope;\n".encode())
    status, out = database("up", timeout=300)
    assert status == 1 and out.startswith("1/u value (T)\nerror: migration failed: column \"nope\" does not exist (column 13)"), out[:300]
    assert f"{database.folder}/2_late.up.sql:{lines + 1}:13\n" in out and len(out) < 1000
    assert database.value("SELECT length(t) FROM large") == "50000000"


def test_duplicate_and_empty(database):
    assert database("up") == (1, "error: first .: file does not exist\n")
    database.file("1_a.up.sql", "")
    database.file("01_b.up.sql", "")
    status, out = database("up")
    assert status == 1 and "duplicate migration file: 1_a.up.sql" in out


def test_questions(three):
    three("up")
    question = "Are you sure you want to apply all down migrations? [y/N]\n"
    assert three("down", input="n\n") == (1, question + "Not applying all down migrations\n")
    assert three("down", input="") == (1, question + "Not applying all down migrations\n")
    status, out = three("down", input="Y\n")
    assert status == 0 and out.startswith(question + "Applying all down migrations\n3/d three (T)\n")
    question = "Are you sure you want to drop the entire database schema? [y/N]\n"
    assert three("drop", input="\n") == (1, question + "Aborted dropping the entire database schema\n")
    assert three("drop", "-f") == (0, "")
    assert three.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == "0"


def test_dry_run(three):
    assert three("up", "-dry-run") == (0, "".join(f"would run {n}/u {s}: {n}_{s}.up.sql\n" for n, s in
                                                  ((1, "one"), (2, "two"), (3, "three"))))
    assert three.value("SELECT count(*) FROM pg_class WHERE relname = 'one'") == "0"


def test_table_of_another_name_and_schema(three):
    three.value('CREATE SCHEMA "S x"')
    url = three.url(**{"x-migrations-table": "%22S%20x%22.%22my%20table%22", "x-migrations-table-quoted": "true"})
    assert three("up", url=url)[0] == 0
    assert three.value('SELECT version FROM "S x"."my table"') == "3"


def test_options_reach_the_server(three):
    three.value("CREATE SCHEMA other")
    assert three("up", url=three.url(search_path="other"))[0] == 0
    assert three.value("SELECT count(*) FROM other.schema_migrations") == "1"


def test_multi_statement(database):
    database.file("1_a.up.sql", "CREATE TABLE a (n int);\nCREATE INDEX CONCURRENTLY i ON a (n);\nSELECT nope;")
    status, out = database("up", url=database.url(**{"x-multi-statement": "true"}))
    assert status == 1 and "1_a.up.sql:3:8\n" in out
    assert database.value("SELECT count(*) FROM pg_class WHERE relname = 'i'") == "1"


def test_statement_timeout(database):
    database.file("1_a.up.sql", "SELECT pg_sleep(60);")
    status, out = database("up", url=database.url(**{"x-statement-timeout": "100"}))
    assert status == 1 and "canceling statement due to statement timeout" in out


def test_reader_may_ask_for_the_version(three):
    three("up", "2")
    three.value("CREATE ROLE reader LOGIN")
    three.value("GRANT SELECT ON schema_migrations TO reader")
    assert three("version", url=three.url(user="reader")) == (0, "2\n")
    three.value("REVOKE SELECT ON schema_migrations FROM reader")
    three.value("DROP ROLE reader")


def test_default_is_tls(three):
    status, out = three("version", url=f"postgres://postgres@127.0.0.1:1/{three.name}")
    assert status == 1 and "failed to open database" in out
    nsenter = ["nsenter", f"--net=/proc/{three.server.pid()}/ns/net"]
    done = subprocess.run(nsenter + three.command("version", url=f"postgres://postgres@127.0.0.1/{three.name}"), capture_output=True,
                          text=True)
    assert done.returncode == 1 and "pq: SSL is not enabled on the server" in done.stderr


def test_lock_number_is_the_originals(three):
    three.value("CREATE TABLE IF NOT EXISTS schema_migrations (version bigint not null primary key, dirty boolean not null)")
    three.file("9_lock.up.sql", "SELECT 1;")
    # Another tool holds the lock.
    import zlib
    number = zlib.crc32(f"public\0schema_migrations\0/{three.name}".encode()) * 1486364155 % 2 ** 32
    holder = subprocess.Popen(["psql", "-XAtq", "-h", three.server.root.path / SOCKETS, "-U", "postgres", three.name],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write(f"SELECT pg_advisory_lock({number});\nSELECT 'locked';\n")
        holder.stdin.flush()
        while "locked" not in holder.stdout.readline():
            pass
        status, out = three("-lock-timeout", "1", "up")
        assert status == 1 and out.startswith("error: timeout: can't acquire database lock\n")
        waiting = subprocess.Popen(three.command("up"), stderr=subprocess.PIPE, text=True)
        holder.stdin.write("\\q\n")
        holder.stdin.flush()
        assert waiting.wait(20) == 0
        waiting.stderr.close()
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()


def test_two_at_once(database):
    for i in range(1, 41):
        database.file(f"{i}_t.up.sql", f"CREATE TABLE t{i} (n int); SELECT pg_sleep(0.005);")
    both = [subprocess.Popen(database.command("-lock-timeout", "60", "up"), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(len(output.splitlines()) for output in outputs) == [1, 40]
    assert "no change\n" in outputs and database.version() == "40"


def test_two_at_once_with_a_concurrent_index(database):
    database.file("1_t.up.sql", "CREATE TABLE t AS SELECT generate_series(1, 1000) n;")
    database.file("2_i.up.sql", "CREATE INDEX CONCURRENTLY i ON t (n);")
    both = [subprocess.Popen(database.command("up"), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_finishes_the_running_migration(database, number):
    database.file("1_a.up.sql", "CREATE TABLE a (); SELECT pg_sleep(1);")
    database.file("2_b.up.sql", "CREATE TABLE b ();")
    process = subprocess.Popen(database.command("up"), stderr=subprocess.PIPE, text=True)
    while database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%' AND pid <> pg_backend_pid() "
                         "AND datname = current_database()") == "0":
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, out = process.communicate(timeout=20)
    assert process.returncode == 0 and "Stopping after this running migration ...\n" in out and "1/u a (" in out
    assert database.version() == "1" and database("up") == (0, "2/u b (T)\n")


def test_killed_while_a_migration_runs(database):
    database.file("1_a.up.sql", "CREATE TABLE a (); SELECT pg_sleep(30);")
    process = subprocess.Popen(database.command("up"), stderr=subprocess.DEVNULL)
    while database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid() "
                         "AND datname = current_database()") == "0":
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert database.version() == "1 dirty"
    database.value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()")


def test_verbose(three):
    status, out = three("-verbose", "up", "1")
    assert status == 0
    stamp = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "
    assert re.search(stamp + "Read and execute 1/u one\n", out)
    assert re.search(stamp + r"Finished 1/u one \(read .*, ran .*\)\n", out) and re.search(stamp + "Finished after ", out)


# ---- as another role ----


@pytest.fixture
def owner(database):
    """A role that owns the database and is a member of another one; and a role that it is no member of."""
    name = database.name
    database.value(f"CREATE ROLE {name}_owner LOGIN; CREATE ROLE {name}_group; CREATE ROLE {name}_other; "
                   f"GRANT {name}_group TO {name}_owner; ALTER DATABASE {name} OWNER TO {name}_owner; "
                   f"GRANT CREATE ON SCHEMA public TO {name}_owner, {name}_group")
    yield f"{name}_owner"
    database.value(f"DROP OWNED BY {name}_owner, {name}_group CASCADE; ALTER DATABASE {name} OWNER TO postgres; DROP ROLE {name}_owner; "
                   f"DROP ROLE {name}_group; DROP ROLE {name}_other")


def up_as(database, role, text):
    for path in database.folder.iterdir():
        path.unlink()
    database.file("1_a.up.sql", text)
    done = subprocess.run(database.command("up"), capture_output=True, text=True, timeout=60) if role is None else subprocess.run(
        [*database.command()[:1], "-role", role, *database.command("up")[1:]], capture_output=True, text=True, timeout=60)
    database.value("DROP TABLE IF EXISTS schema_migrations; DROP TABLE IF EXISTS taken")
    return done.stderr


ESCAPES = ["RESET ROLE; {0}", "SET ROLE NONE; {0}", "SET SESSION ROLE TO DEFAULT; {0}", "RESET SESSION AUTHORIZATION; {0}",
           "SET SESSION AUTHORIZATION postgres; {0}", "set local /* x */ session authorization default; {0}", "SET role = postgres; {0}",
           "SELECT set_config('role', 'none', false); {0}", "DO $$ BEGIN EXECUTE 'RESET ROLE'; END $$; {0}"]
# Only a superuser may do it.
TAKE = "CREATE TABLE taken AS SELECT rolpassword FROM pg_authid"


@pytest.mark.parametrize("text", ESCAPES)
def test_a_migration_has_the_rights_of_its_role_alone(database, owner, text):
    said = up_as(database, owner, text.format(TAKE))
    assert "permission denied" in said, said
    # What leaves nothing does no harm: the session is the role's own.
    assert database.value("SELECT count(*) FROM pg_tables WHERE tablename = 'taken'") == "0"


def test_a_dump_that_changes_roles_runs_as_its_owner(database, owner):
    name = database.name
    text = f"SET ROLE {name}_group; CREATE TABLE one (); RESET ROLE; CREATE TABLE two (); SET SESSION AUTHORIZATION '{owner}'; " \
           "CREATE TABLE three (); RESET SESSION AUTHORIZATION; CREATE TABLE four ();"
    assert "1/u a" in up_as(database, owner, text)
    assert database.value("SELECT string_agg(tableowner || ' ' || tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = "
                          "'public'") == f"{owner} four,{name}_group one,{owner} three,{owner} two"


@pytest.mark.parametrize("text", ESCAPES)
def test_a_role_that_cannot_log_in_is_not_left(database, owner, text):
    """SET ROLE is what remains, in a superuser's session: what would leave the role is refused before anything runs, or told."""
    database.value(f"ALTER ROLE {owner} NOLOGIN")
    said = up_as(database, owner, "CREATE TABLE before (); " + text.format("CREATE TABLE after ()"))
    assert f'would leave role "{owner}" in line 1' in said and "is not permitted to log in" in said, said
    if "set_config" not in text and "EXECUTE" not in text:
        assert database.value("SELECT count(*) FROM pg_tables WHERE tablename IN ('before', 'after')") == "0"


def test_a_role_that_cannot_log_in_may_become_what_it_is_a_member_of(database, owner):
    name = database.name
    database.value(f"ALTER ROLE {owner} NOLOGIN")
    assert "1/u a" in up_as(database, owner, f"SET LOCAL ROLE '{name}_group'; CREATE TABLE one (); SET ROLE TO {owner}; CREATE TABLE two ();")
    assert database.value("SELECT string_agg(tableowner || ' ' || tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = "
                          "'public'") == f"{name}_group one,{owner} two"
    assert f"SET ROLE {name}_other" in up_as(database, owner, f"SET ROLE {name}_other;")
    assert "does not exist" in up_as(database, owner, "SET ROLE nobody_here;")
