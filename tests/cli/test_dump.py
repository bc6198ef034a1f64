"""berth dump: by the server's own pg_dump, whole or absent."""
import os
import pathlib
import signal
import subprocess

import pytest

from support.entrypoint import MAJORS
from support.program import wait_until

pytestmark = pytest.mark.skipif(not MAJORS, reason="no PostgreSQL is installed")
MAJOR = max(MAJORS, default=0)
COMPOSE = f"""
services:
  db:
    image: postgres:{MAJOR}
    environment: {{POSTGRES_USER: boss, POSTGRES_PASSWORD: "p@ss/w:rd%42", POSTGRES_DB: shop}}
    ports: []
    healthcheck: {{test: [CMD-SHELL, "pg_isready -U boss"], interval: 1s, retries: 60}}
    x-berth: {{images: host}}
"""
FILL = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i;
CREATE SCHEMA more;
CREATE TABLE more.items AS SELECT i FROM generate_series(1, 100) i;
CREATE ROLE seller LOGIN PASSWORD 'Xk29-fjw0';
GRANT SELECT ON orders TO seller;
CREATE DATABASE "two/3";
"""
FORMATS = {"custom": ".dump", "directory": "", "plain": ".sql"}


@pytest.fixture
def shop(project):
    deployment = project(COMPOSE, name="shop")
    deployment("up", "-d", "--wait")
    deployment("psql", "db", "-qv", "ON_ERROR_STOP=1", input=FILL)
    return deployment


def ask(deployment, sql, database="shop"):
    return deployment("psql", "db", "-XAtc", sql, database).stdout.strip()


def left(folder):
    """What a dump that failed may not leave."""
    return sorted(name for name in os.listdir(folder) if name != "compose.yaml")


@pytest.mark.parametrize("form", FORMATS)
def test_a_dump_comes_back(shop, form):
    done = shop("dump", "-F", form, "--roles")
    path, *roles = [pathlib.Path(line) for line in done.stdout.splitlines()]
    assert path.parent == shop.folder and path.name.startswith("shop-db-shop-") and path.name.endswith(FORMATS[form])
    roles = roles[0] if roles else path / "roles.sql"
    assert "Dumped" in done.stderr and "/s" in done.stderr
    assert "CREATE ROLE seller" in roles.read_text() and "SCRAM-SHA-256$" in roles.read_text()
    assert {file.stat().st_mode & 0o077 for file in (path, roles)} == {0}
    assert len(left(shop.folder)) == (1 if form == "directory" else 2)
    if form == "directory":
        assert (path / "toc.dat").exists() and len(list(path.glob("*.dat*"))) >= 3
    ask(shop, "DROP SCHEMA more CASCADE; DELETE FROM orders WHERE id > 7")
    assert f"loaded {path} in " in shop("load", path, "db", "-d", "again", "--create", *(["-j2"] if form == "directory" else [])).stderr
    assert ask(shop, "SELECT count(*), (SELECT count(*) FROM more.items) FROM orders", "again") == "5000|100"
    assert ask(shop, "SELECT has_table_privilege('seller', 'orders', 'SELECT')", "again") == "t"


def test_a_load_is_there_or_not(shop):
    for form, name in (("custom", "all.dump"), ("plain", "all.sql")):
        shop("dump", "-F", form, "-o", name)
        # What stands in the way ends it, and nothing has changed; a database that was made for it goes again.
        assert 'already exists' in shop.fails("load", name)
        assert ask(shop, "SELECT count(*), (SELECT count(*) FROM more.items) FROM orders") == "5000|100"
        ask(shop, "ALTER ROLE seller RENAME TO vendor")
        told = shop.fails("load", name, "-d", "new", "--create")
        assert 'role "seller" does not exist' in told and "Make the roles first" in told
        assert ask(shop, "SELECT count(*) FROM pg_database WHERE datname = 'new'") == "0"
        ask(shop, "ALTER ROLE vendor RENAME TO seller")
    ask(shop, "DELETE FROM orders")
    shop("load", "all.dump", "--clean")
    assert ask(shop, "SELECT count(*), (SELECT reltuples FROM pg_class WHERE relname = 'orders') FROM orders") == "5000|5000"
    # Cut off, damaged, something else.
    whole = (shop.folder / "all.dump").read_bytes()
    shop.write("cut.dump", whole[:len(whole) // 2])
    text = (shop.folder / "all.sql").read_text()
    shop.write("cut.sql", text[:len(text) // 2])
    shop.write("between.sql", text[:text.index("\n\\.\n") + 4])
    for name in ("cut.dump", "cut.sql", "between.sql"):
        shop.fails("load", name, "-d", "new", "--create")
        assert ask(shop, "SELECT count(*) FROM pg_database WHERE datname = 'new'") == "0", name
    shop.write("empty.sql", "")
    shop.write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    shop("dump", "--all", "-F", "plain", "-o", "every.sql")
    for words, told in ((("empty.sql",), "is empty"), (("picture.png",), "neither SQL nor an archive"), (("nowhere",), "No such file"),
                        (("every.sql",), "is of a whole cluster"), ((".",), "has no toc.dat"), (("all.sql", "--clean"), "SQL is run as it is"),
                        (("all.dump", "-d", "nowhere"), 'database "nowhere" does not exist'), (("all.dump", "--create"), "--create needs -d")):
        assert told in shop.fails("load", *words), words


def test_a_part_and_all(shop):
    one = shop("dump", "db", "-t", "public.orders", "-o", "orders.sql", "-F", "plain").stdout.strip()
    text = pathlib.Path(one).read_text()
    assert one == f"{shop.folder}/orders.sql" and "public.orders" in text and "more" not in text
    text = shop("dump", "-n", "more", "-F", "p", "-o", "-", "--", "--schema-only").stdout
    assert "CREATE TABLE more.items" in text and "orders" not in text and "COPY" not in text
    assert shop("dump", "-d", "two/3", "-o", ".").stdout.strip().split("/")[-1].startswith("shop-db-two%2F3-")
    whole = pathlib.Path(shop("dump", "--all", "--no-role-passwords", "-o", "whole").stdout.strip())
    assert sorted(os.listdir(whole)) == ["postgres.dump", "roles.sql", "shop.dump", "two%2F3.dump"]
    assert "SCRAM" not in (whole / "roles.sql").read_text() and "CREATE ROLE seller" in (whole / "roles.sql").read_text()
    assert (whole / "shop.dump").read_bytes()[:5] == b"PGDMP"
    every = shop("dump", "--all", "-F", "plain", "-o", "-").stdout
    assert "CREATE ROLE seller" in every and 'CREATE DATABASE "two/3"' in every and "database cluster dump complete" in every
    # A file gives way to a new dump of that name once it is whole; a folder never does.
    shop("dump", "db", "-n", "more", "-o", "orders.sql", "-F", "plain")
    assert "more.items" in (shop.folder / "orders.sql").read_text()
    (whole / "roles.sql").write_text("mine")
    shop("dump", "--all", "-o", "whole")
    assert (whole / "roles.sql").read_text() == "mine" and len(os.listdir(whole)) == 5


def test_a_failure_leaves_nothing(shop, tmp_path):
    for words, told in ((("-t", "nowhere"), "no matching tables"), (("-d", "nowhere"), 'database "nowhere" does not exist'),
                        (("-F", "tar"), "not custom, directory or plain"), (("-j", "3"), "Add -F directory."),
                        (("--all", "-t", "orders"), "--all is every database"), (("--", "--no-such-option"), "unrecognized option"),
                        (("-F", "directory", "-t", "nowhere"), "no matching tables"), (("nobody",), "nobody"),
                        (("-o", "no/where.dump"), "No such file or directory"), (("-F", "directory", "-o", "-"), "only one file")):
        assert told in shop.fails("dump", *words), words
    assert left(shop.folder) == []
    shop.write("keep.dump", "what was there before")
    shop.fails("dump", "-t", "nowhere", "-o", "keep.dump")
    assert (shop.folder / "keep.dump").read_text() == "what was there before" and left(shop.folder) == ["keep.dump"]
    # The pipe's reader goes away.
    process = shop.start("dump", "-F", "plain", "-o", "-")
    process.stdout.close()
    assert process.wait(120) != 0 and process.stderr.read()
    # A full disk.
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        for form in FORMATS:
            assert "No space left on device" in shop.fails("dump", "-F", form, "-o", small, "--", "--compress=0"), form
            assert left(small) == []
        with open("/dev/full", "w") as full:
            process = shop.start("dump", "-F", "plain", "-o", "-", stdout=full)
            assert "No space left on device" in process.communicate(timeout=120)[1] and process.returncode == 1
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("form", ["custom", "directory"])
@pytest.mark.slow
def test_an_end_in_the_middle(shop, form):
    """A dump that waits for a lock is interrupted, killed, or loses its server: nothing is left that counts as a dump."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
    holder = shop.start("psql", "db", "-c", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)")

    def begin():
        process = shop.start("dump", "-F", form, "-o", "cut")
        wait_until(lambda: ask(shop, waiting) != "0")
        return process

    def gone():
        return ask(shop, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'") == "0"

    wait_until(lambda: ask(shop, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted") != "0")
    process = begin()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130 and left(shop.folder) == []
    wait_until(gone)
    process = begin()
    ask(shop, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'")
    assert "terminating connection" in process.communicate(timeout=60)[1] and process.returncode == 1
    assert left(shop.folder) == []
    process = begin()
    process.kill()
    process.communicate(timeout=60)
    assert "cut" not in left(shop.folder)
    ask(shop, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('pg_dump', 'psql') AND pid <> pg_backend_pid()")
    holder.communicate(timeout=60)
    wait_until(gone)
    wait_until(lambda: "another dump" not in shop("dump", "-F", form, "-o", "cut", check=False).stderr)
    assert left(shop.folder) == ["cut"]


def test_a_server_that_wants_the_password(project):
    """The socket lets nobody in: over loopback, with the secret; the password is in no list of processes."""
    deployment = project(COMPOSE.replace("POSTGRES_DB: shop", "POSTGRES_DB: shop, POSTGRES_INITDB_ARGS: -A scram-sha-256"), name="closed")
    deployment("up", "-d", "--wait")
    path = pathlib.Path(deployment("dump").stdout.strip())
    assert path.read_bytes()[:5] == b"PGDMP"
