#!/usr/bin/python3
"""Small migrations by `migrate up`, against the same statements by `psql -f`, a file at a time; both on a server that waits
for the disk at each commit. Needs root and a PostgreSQL of this machine. A row of bench/run, or by itself:

usage: bench/migrations.py [COUNT]"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "cli"))
from support import database, program  # noqa: E402
from support.entrypoint import MAJORS, SOCKETS, Root  # noqa: E402


def timed(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


def measure(count=500, rounds=1):
    """Seconds of each round: (of migrate, of psql)."""
    root = Root(max(MAJORS))
    folder = pathlib.Path(tempfile.mkdtemp())
    for i in range(1, count + 1):
        (folder / f"{i:06}_m.up.sql").write_text(f"CREATE TABLE t{i} (id bigint PRIMARY KEY, name text NOT NULL);\n")
    ours, theirs = [], []
    try:
        with root.server(env={"POSTGRES_PASSWORD": "x"}) as server:
            socket = str(root.path / SOCKETS)
            assert server.value("SHOW fsync") == "on" and server.value("SHOW synchronous_commit") == "on"
            for number in range(rounds):
                one, two = f"one{number}", f"two{number}"
                for name in (one, two):
                    server.value(f"CREATE DATABASE {name}")
                url = f"postgres://postgres@/{one}?host={socket}&sslmode=disable"
                ours.append(timed(lambda: subprocess.run(
                    [program.BUILD / "berth-migrate", "-path", folder, "-database", url, "-history", "up"], check=True,
                    stderr=subprocess.DEVNULL)))
                psql = [database.program("psql"), "-Xqh", socket, "-U", "postgres", "-d", two, "-f"]
                theirs.append(timed(lambda: [subprocess.run([*psql, file], check=True) for file in sorted(folder.iterdir())]))
                assert server.value("SELECT version FROM schema_migrations", database=one) == str(count)
                assert server.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=two) == str(count)
        return ours, theirs
    finally:
        root.remove()
        subprocess.run(["rm", "-rf", folder])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    (ours,), (psql,) = measure(count)
    print(f"{count} migrations: migrate {ours:.2f} s, psql -f {psql:.2f} s: {psql / ours:.1f} times faster (goal 2)")
    return 0 if psql >= 2 * ours else 1


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
