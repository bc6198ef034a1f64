"""What `migrate` adds to golang-migrate's command: a history with checksums, status, seeds, JSON."""
import json
import os
import subprocess

import pytest

from support.migrations import MIGRATE, Database, server  # noqa: F401
from support.entrypoint import MAJORS

pytestmark = [
    pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed"),
    pytest.mark.skipif(not MIGRATE.exists(), reason="berth-migrate is not built"),
]


@pytest.fixture
def database(server, tmp_path):  # noqa: F811
    return Database(server, tmp_path)


def status(database):
    done = subprocess.run(database.command("-format", "json", "status"), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["version"]: row["state"] for row in map(json.loads, done.stdout.splitlines())}


def write(database, *numbers):
    for number in numbers:
        database.file(f"{number}_m{number}.up.sql", f"CREATE TABLE m{number} ();\n")
        database.file(f"{number}_m{number}.down.sql", f"DROP TABLE m{number};\n")


def test_history_of_a_project(database):
    write(database, 1, 3)
    assert status(database) == {1: "pending", 3: "pending"}
    assert database("-history", "up") == (0, "1/u m1 (T)\n3/u m3 (T)\n")
    assert status(database) == {1: "applied", 3: "applied"}
    # Line ends and a byte order mark are no change; a comment is.
    database.file("1_m1.up.sql", b"\xef\xbb\xbfCREATE TABLE m1 ();\r\n")
    assert status(database)[1] == "applied"
    database.file("1_m1.up.sql", "CREATE TABLE m1 (); -- new\n")
    write(database, 2, 4)
    assert status(database) == {1: "changed", 2: "out of order", 3: "applied", 4: "pending"}
    code, out = database("-history", "up")
    assert code == 0 and out.endswith("4/u m4 (T)\n") and database.version() == "4"
    assert "warning: 1_m1.up.sql has changed since it was applied" in out
    assert "warning: 2_m2.up.sql came after later migrations were applied" in out
    (database.folder / "3_m3.up.sql").unlink()
    (database.folder / "3_m3.down.sql").unlink()
    assert status(database)[3] == "missing"
    # A migration that is taken back is forgotten.
    assert database("-history", "down", "1")[0] == 0
    assert status(database)[4] == "pending"
    assert database.value("SELECT string_agg(version::text, ',' ORDER BY version) FROM berth.migrations") == "1,3"


def test_failed_migration_is_dirty_and_not_noted(database):
    write(database, 1)
    database.file("2_bad.up.sql", "SELECT 1/0;")
    assert database("-history", "up")[0] == 1
    assert status(database) == {1: "applied", 2: "dirty"}
    assert database.value("SELECT count(*) FROM berth.migrations") == "1"


def test_the_other_tool_in_turn(database):
    """Without -history nothing of ours is made; what was done meanwhile is taken over, and taken back is forgotten."""
    write(database, 1, 2)
    assert database("up", "2")[0] == 0
    assert database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'berth'") == "0"
    assert status(database) == {1: "applied", 2: "applied"}
    write(database, 5)
    assert database("-history", "up") == (0, "5/u m5 (T)\n")
    assert database.value("SELECT string_agg(version || ' ' || adopted, ',' ORDER BY version) FROM berth.migrations") == \
        "1 true,2 true,5 false"
    # golang-migrate's own steps: down to 2, then up to 6.
    database.value("DROP TABLE m5; UPDATE schema_migrations SET version = 2")
    assert status(database)[5] == "pending"
    write(database, 6)
    database.value("CREATE TABLE m5 (); CREATE TABLE m6 (); UPDATE schema_migrations SET version = 6")
    assert database("-history", "up") == (0, "no change\n")
    assert status(database) == {1: "applied", 2: "applied", 5: "applied", 6: "applied"}


def test_who_may_not_make_the_table_does_without(database):
    write(database, 1)
    database.value("CREATE ROLE plain LOGIN")
    try:
        database.value("GRANT CREATE ON SCHEMA public TO plain")
        assert database("-history", "up", url=database.url(user="plain")) == (0, "1/u m1 (T)\n")
        assert database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'berth'") == "0"
    finally:
        database.value("DROP OWNED BY plain; DROP ROLE plain")


def test_two_first_ones_at_once(database):
    """Two state tables, so two locks: both make the history's table, or find it made."""
    write(database, 1)
    database.file("1_m1.up.sql", "SELECT 1;")
    both = [subprocess.Popen(database.command("-history", "up", url=database.url(x_migrations_table=table)), stderr=subprocess.PIPE, text=True)
            for table in ("one", "two")]
    outputs = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert int(database.value("SELECT count(*) FROM berth.migrations")) == 2


def test_json(database):
    write(database, 1)
    database.file("2_bad.up.sql", "SELECT 1;\nSELECT \"no\\pe\";")
    plan = subprocess.run(database.command("-format", "json", "up", "-dry-run"), capture_output=True, text=True)
    rows = [json.loads(line) for line in plan.stdout.splitlines()]
    assert [(row["event"], row["version"], row["direction"]) for row in rows] == [("plan", 1, "up"), ("plan", 2, "up")]
    run = subprocess.run(database.command("-format", "json", "up"), capture_output=True, text=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 1 and run.stderr == ""
    assert [row.get("event") for row in rows] == ["begin", "done", "begin", None]
    error = rows[-1]["error"]
    assert (error["line"], error["column"], error["sqlstate"]) == (2, 8, "42703") and error["file"].endswith("2_bad.up.sql")
    version = subprocess.run(database.command("-format", "json", "version"), capture_output=True, text=True)
    assert json.loads(version.stdout) == {"event": "version", "version": 2, "dirty": True}


def test_goto_dry_run(database):
    write(database, 1, 2)
    assert database("goto", "-dry-run", "2") == (0, "would run 1/u m1: 1_m1.up.sql\nwould run 2/u m2: 2_m2.up.sql\n")
    assert database("up")[0] == 0
    assert database("goto", "-dry-run", "1") == (0, "would run 2/d m2: 2_m2.down.sql\n")
    assert database.version() == "2"


def test_seeds(database):
    database.value("CREATE TABLE t (n int PRIMARY KEY)")
    folder = database.folder / "seeds"
    folder.mkdir()
    (folder / "1_first.sql").write_text("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING;\n"
                                        "SELECT pg_catalog.set_config('search_path', '', false);")
    (folder / "2_second.sql").write_text("INSERT INTO t VALUES (2) ON CONFLICT DO NOTHING;")
    (folder / "notes.txt").write_text("no SQL")
    for _ in range(2):
        assert database("seed", folder) == (0, "1_first.sql (T)\n2_second.sql (T)\n")
    assert database.value("SELECT string_agg(n::text, ',') FROM t") == "1,2"
    assert database.value("SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'") == "0"
    # One transaction a file: what stands before the failing statement is not there, what the file before did is.
    (folder / "1_first.sql").write_text("INSERT INTO t VALUES (3);")
    (folder / "2_second.sql").write_text("INSERT INTO t VALUES (4);\nINSERT INTO t VALUES (1);")
    code, out = database("seed", folder)
    assert code == 1 and "error: seed failed: duplicate key" in out and f"{folder}/2_second.sql:2:1\n" in out
    assert database.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM t") == "1,2,3"
    assert database("seed", database.folder)[1].startswith("error: no *.sql file is in ")
    assert database("seed")[0] == 1


def test_password_by_a_descriptor(database):
    write(database, 1)
    read, write_end = os.pipe()
    os.write(write_end, b"any\nthing")
    os.close(write_end)
    done = subprocess.run([*database.command("-password-fd", read, "up")], pass_fds=[read], capture_output=True, text=True)
    os.close(read)
    assert done.returncode == 0, done.stderr
