"""A database or a table out of a backup, into the running server: whole or not at all, and nothing is overwritten unasked."""
import json

import pytest

from support import backups, database
from support.backups import containers, first_backup, received, sql, volumes

pytestmark = pytest.mark.skipif(not database.majors(), reason="no PostgreSQL is installed")
MAJOR = database.major()


@pytest.fixture
def shop(project, protected):
    """A server with a database of some kinds of things, backed up; `then` is a moment at which all was well."""
    deployment = project(backups.compose(MAJOR), name="part")
    deployment("up", "-d", "--wait")
    first_backup(protected, deployment)
    sql(deployment, "CREATE ROLE keeper LOGIN")
    sql(deployment, "CREATE DATABASE shop OWNER keeper ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    sql(deployment, "ALTER DATABASE shop SET work_mem = '7MB'")
    sql(deployment, "GRANT TEMPORARY ON DATABASE shop TO pg_monitor")
    for statement in ("CREATE TABLE item(id serial PRIMARY KEY, name text NOT NULL)",
                      "INSERT INTO item(name) SELECT 'n' || i FROM generate_series(1, 300) i",
                      "CREATE TABLE sale(item int REFERENCES item, at date) PARTITION BY RANGE (at)",
                      "CREATE TABLE sale_1 PARTITION OF sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
                      "INSERT INTO sale SELECT i, '2026-05-05' FROM generate_series(1, 40) i",
                      'CREATE SCHEMA "Odd"', 'CREATE TABLE "Odd"."a""b" AS SELECT 1 AS x',
                      "CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM item",
                      "SELECT lo_from_bytea(7777, 'large')"):
        sql(deployment, statement, database="shop")
    received(protected, deployment)
    deployment.then = sql(deployment, "SELECT clock_timestamp()")
    return deployment


def nothing_is_left(deployment):
    return (volumes(deployment) == ["part_data"] and containers(deployment) == ["part-db-1"] and
            sql(deployment, "SELECT count(*) FROM pg_database WHERE datname LIKE 'berth%'") == "0")


def shape(deployment, name):
    return sql(deployment, "SELECT pg_get_userbyid(datdba), datcollate, datacl::text, (SELECT setconfig FROM pg_db_role_setting "
                           f"WHERE setdatabase = d.oid) FROM pg_database d WHERE datname = '{name}'")


@pytest.mark.slow
def test_a_database(shop, protected):
    before = shape(shop, "shop")
    sql(shop, "DELETE FROM item WHERE id > 40", database="shop")
    received(protected, shop)
    at = ["--to", shop.then]
    assert 'database "shop" exists' in shop.fails("restore", "db", "--database", "shop", *at, "--yes")
    assert "no database" in shop.fails("restore", "db", "--database", "nowhere", *at)
    # Beside the present one.
    made = json.loads(shop("restore", "db", "--database", "shop", "--into", "shop_then", *at, "--format", "json").stdout)
    assert made["parts"] == [{"name": "shop_then", "tables": 3, "rows": 341}]
    assert sql(shop, "SELECT count(*) FROM item", database="shop_then") == "300"
    assert sql(shop, "SELECT count(*) FROM item", database="shop") == "40"
    assert sql(shop, "SELECT lo_get(7777)", database="shop_then") == r"\x6c61726765"
    # In its place, while somebody is connected to it; asked, since what is there goes.
    assert "not without a yes" in shop.fails("restore", "db", "--database", "shop", "--clean", *at)
    busy = shop.start("psql", "db", "-d", "shop", "-c", "SELECT pg_sleep(300)")
    shop("restore", "db", "--database", "shop", "--clean", "--yes", *at)
    busy.communicate(timeout=60)
    assert busy.returncode != 0
    assert sql(shop, "SELECT count(*) FROM item", database="shop") == "300" and shape(shop, "shop") == before
    # Dropped, with a role that is gone since: all or nothing.
    sql(shop, "DROP DATABASE shop")
    sql(shop, "ALTER DATABASE shop_then OWNER TO postgres")
    sql(shop, "REASSIGN OWNED BY keeper TO postgres; DROP OWNED BY keeper", database="shop_then")
    sql(shop, "DROP ROLE keeper")
    said = shop.fails("restore", "db", "--database", "shop", *at)
    assert 'role "keeper" does not exist' in said
    assert sql(shop, "SELECT count(*) FROM pg_database WHERE datname = 'shop'") == "0" and nothing_is_left(shop)


def test_tables(shop, protected):
    sql(shop, "DROP TABLE sale", database="shop")
    sql(shop, "UPDATE item SET name = 'spoilt'", database="shop")
    received(protected, shop)
    at = ["--database", "shop", "--to", shop.then]
    assert "table public.item exists" in shop.fails("restore", "db", "--table", "public.item", *at)
    assert "there was no table public.nothing" in shop.fails("restore", "db", "--table", "public.nothing", *at)
    assert "has no database" in shop.fails("restore", "db", "--table", "public.item", *at, "--into", "nowhere")
    said = shop("restore", "db", "--table", "public.sale", *at).stdout
    assert said.startswith("public.sale: 40 rows in 2 tables")
    assert sql(shop, "SELECT count(*) FROM sale_1", database="shop") == "40"
    # Something hangs on it: nothing is changed, and what hangs there is named.
    said = shop.fails("restore", "db", "--table", "public.item", "--clean", "--yes", *at)
    assert "other objects depend on it" in said and sql(shop, "SELECT count(*) FROM item WHERE name = 'spoilt'", database="shop") == "300"
    sql(shop, "DROP TABLE sale; DROP MATERIALIZED VIEW seen", database="shop")
    shop("restore", "db", "--table", 'public.item,"Odd"."a""b"', "--clean", "--yes", *at)
    assert sql(shop, "SELECT count(*), min(name) FROM item", database="shop") == "300|n1"
    assert int(sql(shop, "SELECT nextval('item_id_seq')", database="shop")) > 300
    assert "not running" in (shop("stop") and shop.fails("restore", "db", "--table", "public.item", *at))
    shop("up", "-d", "--wait")
    assert nothing_is_left(shop)


@pytest.mark.slow
def test_a_table_under_another_name(shop, protected):
    """Beside the present one: nothing of it collides, and nothing of the present is touched."""
    for statement in ("CREATE INDEX item_name ON item(lower(name))", "CREATE STATISTICS item_both ON id, name FROM item",
                      "ALTER TABLE item ADD CONSTRAINT short CHECK (length(name) < 9)", "ALTER TABLE sale ADD seat serial",
                      "CREATE INDEX sale_at ON sale(at)", "CREATE INDEX odd ON sale(item)", "ALTER TABLE sale ADD PRIMARY KEY (at, seat)",
                      "CREATE TABLE item_then AS SELECT 1 AS other", "CREATE SCHEMA past"):
        sql(shop, statement, database="shop")
    received(protected, shop)
    at = ["--database", "shop", "--to", sql(shop, "SELECT clock_timestamp()")]
    for statement in ("DROP TABLE item_then", "CREATE SEQUENCE item_then_pkey", "DELETE FROM sale", "DELETE FROM item"):
        sql(shop, statement, database="shop")
    received(protected, shop)
    restore = ["restore", "db", "--table"]
    assert "for one --table" in shop.fails(*restore, "item,sale", "--as-table", "x", *at)
    assert "for one --table" in shop.fails("restore", "db", "--as-table", "x", *at)
    assert 'no schema "nowhere"' in shop.fails(*restore, "public.item", "--as-table", "nowhere.item", *at)
    assert "table public.sale exists" in shop.fails(*restore, "public.item", "--as-table", "sale", *at)
    made = json.loads(shop(*restore, "public.item", "--as-table", "item_then", *at, "--format", "json").stdout)
    assert made["parts"] == [{"name": '"public"."item_then"', "of": "public.item", "tables": 1, "rows": 300, "foreign_keys_left_out": 0}]
    named = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = '{}'::regnamespace AND relname LIKE '%{}%'"
    assert sql(shop, named.format("public", "item_then"), database="shop") == \
        "item_then item_then_id_seq item_then_name item_then_pkey item_then_pkey_1"
    assert sql(shop, "SELECT count(*), (SELECT count(*) FROM item), (SELECT nextval('item_then_id_seq') > 300) FROM item_then", database="shop") == "300|0|t"
    # What it leads to is gone: the foreign key is left out, and said so.
    said = shop(*restore, "public.sale", "--as-table", 'past."Old sale"', *at).stdout
    assert '"past"."Old sale": 40 rows in 2 tables' in said and "1 foreign key of it is left out" in said
    assert sql(shop, 'SELECT count(*) FROM past."Old sale_1"', database="shop") == "40"
    assert sql(shop, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'past.\"Old sale\"'::regclass", database="shop") == "1"
    # Again, in its place: asked, since what is there goes.
    assert "exists" in shop.fails(*restore, "public.item", "--as-table", "item_then", *at)
    sql(shop, "DELETE FROM item_then", database="shop")
    shop(*restore, "public.item", "--as-table", "item_then", "--clean", "--yes", *at)
    assert sql(shop, "SELECT count(*) FROM item_then", database="shop") == "300"
    assert sql(shop, "SELECT count(*) FROM pg_class WHERE relname LIKE 'berth%'", database="shop") == "0" and nothing_is_left(shop)
