"""Clients on this machine: what a published port must serve."""
import glob
import os
import re
import subprocess

import psycopg2


def majors():
    """The majors of PostgreSQL that this machine has packages of, newest last."""
    found = [int(m[1]) for m in (re.match(r"/usr/lib/postgresql/(\d+)/bin/postgres$", p)
                                 for p in glob.glob("/usr/lib/postgresql/*/bin/postgres")) if m]
    return sorted(found)


def major():
    """The one that tests take where any will do; 18 keeps its data elsewhere."""
    older = [number for number in majors() if number < 18]
    return (older or majors() or [15])[-1]


def connect(port, user, password, name, host="127.0.0.1", **options):
    connection = psycopg2.connect(host=host, port=port, user=user, password=password, dbname=name, connect_timeout=10, **options)
    connection.autocommit = True
    return connection


def query(sql, port, user, password, name, **options):
    """The rows of one statement; [] where it has none."""
    connection = connect(port, user, password, name, **options)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def program(name):
    """A program of PostgreSQL's by its full path: the distribution's wrappers are slow."""
    path = f"/usr/lib/postgresql/{majors()[-1]}/bin/{name}"
    return path if os.path.exists(path) else name


def psql(sql, port, user, password, name, host="127.0.0.1"):
    done = subprocess.run([program("psql"), "-XAtc", sql, f"host={host} port={port} user={user} dbname={name}"], text=True,
                          env={**os.environ, "PGPASSWORD": password}, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")
