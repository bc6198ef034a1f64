"""Tablespaces that were made after the backup: the log makes them again, inside the copy, and nothing else is touched."""
import json

import pytest

from support import backups, database
from support.backups import first_backup, received, sql

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
LOCATIONS = "SELECT string_agg(spcname || '=' || pg_tablespace_location(oid), ' ' ORDER BY spcname) FROM pg_tablespace WHERE oid > 16383"
ROWS = "SELECT (SELECT count(*) FROM o), (SELECT count(*) FROM n), (SELECT count(*) FROM again)"


def make(project, number, images="host"):
    folder = "/var/lib/postgresql" if number >= 18 else "/var/lib/postgresql/data"
    text = backups.compose(number).replace("/var/lib/postgresql/data", folder).replace("images: host", f"images: {images}")
    text = text.replace(f'"data:{folder}"', f'"data:{folder}", "more:/more"').replace("data: {}}", "data: {}, more: {}}")
    deployment = project(text, name=f"ts{number}")
    deployment("up", "-d", "--wait")
    return deployment, folder


def check(project, protected, number, images="host"):
    deployment, folder = make(project, number, images)
    first_backup(protected, deployment)
    received(protected, deployment)
    before = sql(deployment, "SELECT clock_timestamp()")
    inner = f"{folder}/inner/deep"
    deployment("exec", "-T", "-u", "0", "db", "install", "-d", "-o", "postgres", "/more/ts", "/more/gone", f"{folder}/inner", inner)
    for name, place in (("outer_", "/more/ts"), ("inner_", inner), ("lost_", "/more/gone")):
        sql(deployment, f"CREATE TABLESPACE {name} LOCATION '{place}'")
    sql(deployment, "CREATE TABLE o TABLESPACE outer_ AS SELECT generate_series(1, 500) AS i")
    sql(deployment, "CREATE TABLE n TABLESPACE inner_ AS SELECT generate_series(1, 600) AS i")
    sql(deployment, "CREATE TABLE l TABLESPACE lost_ AS SELECT 1 AS i")
    # One goes, and its place is given to another; then the place goes, too.
    sql(deployment, "DROP TABLE l")
    sql(deployment, "DROP TABLESPACE lost_")
    sql(deployment, "CREATE TABLESPACE again_ LOCATION '/more/gone'")
    sql(deployment, "CREATE TABLE again TABLESPACE again_ AS SELECT generate_series(1, 7) AS i")
    received(protected, deployment)
    return deployment, before


def inside(deployment, service="db"):
    """Every place is in the copy's own volume."""
    places = dict(item.split("=") for item in sql(deployment, LOCATIONS, service).split())
    assert set(places) == {"outer_", "inner_", "again_"}
    return all(place.startswith("/var/lib/postgresql") for place in places.values())


@pytest.mark.slow
def test_a_tablespace_made_after_the_backup(project, protected):
    number = database.major()
    deployment, before = check(project, protected, number)
    there = protected.data / f"volumes/ts{number}_more/_data"
    files = lambda time=True: sorted((path, time and path.stat().st_mtime_ns) for path in there.rglob("*"))
    untouched, names = files(), files(False)
    report = json.loads(deployment("drill", "db", "--to", "latest", "--format", "json").stdout)
    assert report["outcome"] == "succeeded" and next(row["rows"] for row in report["checks"] if row["name"] == "rows") == 1107
    deployment("restore", "db", "--as", "side", "--to", "latest")
    assert sql(deployment, ROWS, "side") == "500|600|7" and inside(deployment, "side")
    assert files() == untouched and not inside(deployment)
    # In place, with the service's own places of no use to anybody any more.
    deployment("restore", "db", "--to", "latest", "--yes")
    assert sql(deployment, ROWS) == "500|600|7" and inside(deployment) and files(False) == names
    sql(deployment, "INSERT INTO o VALUES (0)")
    deployment("stop")
    deployment("up", "-d", "--wait")
    assert sql(deployment, ROWS) == "501|600|7"


@pytest.mark.slow
@pytest.mark.parametrize("number", [13, 18])
def test_other_majors(project, protected, images, number):
    images(f"postgres:{number}")
    deployment, before = check(project, protected, number, "registry")
    deployment("restore", "db", "--as", "side", "--to", "latest")
    assert sql(deployment, ROWS, "side") == "500|600|7" and inside(deployment, "side")
    deployment("restore", "db", "--to", before, "--yes")
    assert sql(deployment, "SELECT count(*) FROM pg_tablespace WHERE oid > 16383") == "0"


@pytest.mark.slow
def test_a_clone_of_a_point_behind_it(project, protected):
    """By the way that a clone takes on this file system, and by the backups: now, behind the making, and before."""
    number = database.major()
    deployment, before = check(project, protected, number)
    behind = sql(deployment, "SELECT clock_timestamp()")
    sql(deployment, "INSERT INTO o VALUES (0)")
    received(protected, deployment)
    there = protected.data / f"volumes/ts{number}_more/_data"
    files = lambda: sorted((path, path.stat().st_mtime_ns) for path in there.rglob("*"))
    untouched = files()
    for name, words, rows in (("now", [], "501|600|7"), ("then", ["--to", behind], "500|600|7")):
        deployment("clone", "db", name, *words)
        assert sql(deployment, ROWS, name) == rows, name
        sql(deployment, "INSERT INTO o VALUES (-1); CREATE TABLE mine TABLESPACE again_ AS SELECT 1", name)
        deployment("stop", name)
        deployment("start", name, "--wait")
        assert sql(deployment, "SELECT count(*) FROM o WHERE i = -1", name) == "1"
    deployment("clone", "db", "early", "--to", before)
    assert sql(deployment, "SELECT count(*) FROM pg_tablespace WHERE oid > 16383", "early") == "0"
    assert inside(deployment, "then") and files() == untouched and sql(deployment, ROWS) == "501|600|7"
    for name in ("now", "then", "early"):
        deployment("clone", "rm", name, "--yes")
    assert files() == untouched
