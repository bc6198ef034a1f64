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


MADE = """
CREATE SCHEMA s;
CREATE FUNCTION s.code() RETURNS text LANGUAGE sql AS $$ SELECT 'c' $$;
CREATE FUNCTION s.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := true; RETURN NEW; END $$;
CREATE ROLE reader;
CREATE TABLE s.kind(id int PRIMARY KEY);
CREATE TABLE s.rich(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigserial, code text DEFAULT s.code(), size int,
    twice int GENERATED ALWAYS AS (size * 2) STORED, touched boolean, kind int REFERENCES s.kind, CONSTRAINT small CHECK (size < 1000))
    WITH (fillfactor = 70);
INSERT INTO s.kind VALUES (1);
CREATE TRIGGER touch BEFORE INSERT ON s.rich FOR EACH ROW EXECUTE FUNCTION s.touch();
ALTER TABLE s.rich ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON s.rich FOR SELECT TO reader USING (size > 0);
CREATE RULE quiet AS ON DELETE TO s.rich WHERE OLD.size = 7 DO INSTEAD NOTHING;
GRANT SELECT (id, size), UPDATE (code) ON s.rich TO reader;
COMMENT ON TABLE s.rich IS 'rich';
COMMENT ON COLUMN s.rich.size IS 'how large';
COMMENT ON POLICY mine ON s.rich IS 'of readers';
ALTER TABLE s.rich ALTER size SET STATISTICS 50, ALTER code SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE UNIQUE INDEX rich_code ON s.rich (code, lower(code), id) WHERE size > 1;
CREATE STATISTICS s.rich_both (dependencies, ndistinct) ON size, code FROM s.rich;
CREATE STATISTICS s."Rich's" ON (size % 10), code FROM s.rich;
ALTER STATISTICS s.rich_both SET STATISTICS 77;
COMMENT ON STATISTICS s.rich_both IS 'both''s';
ALTER STATISTICS s."Rich's" OWNER TO reader;
INSERT INTO s.rich(size, kind) SELECT i, 1 FROM generate_series(1, 100) i;
CREATE TABLE s.heir(more int) INHERITS (s.rich);
INSERT INTO s.heir(number, size, id) SELECT i, i, 1000 + i FROM generate_series(1, 5) i;
CREATE PUBLICATION told FOR TABLE s.rich;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE TABLE s.whole(at int, v text) PARTITION BY RANGE (at);
CREATE TABLE s.low PARTITION OF s.whole FOR VALUES FROM (0) TO (10);
CREATE TABLE s.high PARTITION OF s.whole FOR VALUES FROM (10) TO (20);
INSERT INTO s.whole SELECT i, 'v' FROM generate_series(0, 19) i;
"""


def described(deployment, table):
    """All that the server says of it, without the names of others that lead to it."""
    told = sql(deployment, f"SELECT pg_get_statisticsobjdef(oid), stxstattarget, pg_get_userbyid(stxowner), obj_description(oid, 'pg_statistic_ext') "
                           f"FROM pg_statistic_ext WHERE stxrelid = '{table}'::regclass ORDER BY stxname", database="shop")
    dumped = deployment("dump", "db", "-F", "plain", "-d", "shop", "-t", table, "-o", "-").stdout
    return told, [line for line in dumped.splitlines() if "restrict" not in line and "setval" not in line]


@pytest.mark.slow
def test_all_of_a_table_comes_and_what_does_not_is_told(shop, protected):
    sql(shop, MADE, database="shop")
    before = described(shop, "s.rich")
    assert "rich_both" in before[0] and "77" in before[0] and "both's" in before[0] and "|reader|" in before[0]
    whole = described(shop, "s.low")
    received(protected, shop)
    at = ["--database", "shop", "--to", sql(shop, "SELECT clock_timestamp()")]
    # An heir depends on it, and is named; its own rows are not counted as its parent's.
    assert "other objects depend on it" in shop.fails("restore", "db", "--table", "s.rich", "--clean", "--yes", *at)
    sql(shop, "DROP TABLE s.heir; DELETE FROM s.rich WHERE size <> 7; ALTER TABLE s.rich DROP COLUMN twice", database="shop")
    said = shop("restore", "db", "--table", "s.rich", "--clean", "--yes", *at).stdout
    assert said.startswith("s.rich: 100 rows in 1 table,")
    assert "Tables that inherit from it are left out: s.heir." in said
    assert "Publication told does not have it now: ALTER PUBLICATION told ADD TABLE s.rich" in said and "everything" not in said
    assert described(shop, "s.rich") == before
    sql(shop, "INSERT INTO s.rich(size, kind) VALUES (500, 1)", database="shop")
    assert sql(shop, "SELECT id > 100, number > 100, code, twice, touched FROM s.rich WHERE size = 500", database="shop") == "t|t|c|1000|t"
    # Under another name its statistics come along, by another name.
    shop("restore", "db", "--table", "s.rich", "--as-table", "s.rich_then", *at)
    assert sql(shop, "SELECT string_agg(stxname, ' ' ORDER BY stxname) FROM pg_statistic_ext WHERE stxrelid = 's.rich_then'::regclass",
               database="shop") == "rich_then_Rich's rich_then_both"
    # One partition alone, in its place and among the others.
    sql(shop, "TRUNCATE s.whole", database="shop")
    shop("restore", "db", "--table", "s.low", "--clean", "--yes", *at)
    assert sql(shop, "SELECT (SELECT count(*) FROM s.low), (SELECT count(*) FROM s.whole)", database="shop") == "10|10"
    assert described(shop, "s.low") == whole
