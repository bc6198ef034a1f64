/* A table under another name. It is renamed in the copy with all that is named after it, so that pg_dump itself says how it is made
 * under that name. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/strv.h"
#include "operate/part_private.h"
#include "operate/sql.h"

/* Names that only this script has are given first: whatever the copy has by the names that are wanted is in nobody's way then.
 * Foreign keys go: rows that they lead to may be gone by now, and those that are not shall not be held by a copy of the past. */
static const char function[] =
        "CREATE FUNCTION pg_temp.rename_part(source regclass, new_schema text, new_name text, taken text[]) RETURNS "
        "int LANGUAGE plpgsql AS $berth$\nDECLARE\n old_name text := (SELECT relname FROM pg_class WHERE oid = "
        "source);\n tables oid[] := ARRAY(SELECT relid::oid FROM pg_partition_tree(source) UNION SELECT source::oid);\n"
        " item record; stem text; candidate text; n int; keys int := 0;\nBEGIN\n EXECUTE format('CREATE SCHEMA IF NOT "
        "EXISTS %I', new_schema);\n FOR item IN SELECT conrelid::regclass AS place, conname FROM pg_constraint WHERE "
        "contype = 'f' AND conparentid = 0 AND conrelid = ANY (tables) LOOP\n  EXECUTE format('ALTER TABLE %s DROP "
        "CONSTRAINT %I', item.place, item.conname);\n  keys := keys + 1;\n END LOOP;\n FOR item IN SELECT oid FROM "
        "pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = new_schema) AND relname = "
        "new_name\n   AND oid <> source LOOP\n  EXECUTE format('ALTER TABLE %s RENAME TO %I', item.oid::regclass, "
        "'berth_aside_' || item.oid);\n END LOOP;\n taken := taken || ARRAY(SELECT relname::text FROM pg_class WHERE "
        "relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = new_schema));\n CREATE TEMP TABLE parts ON "
        "COMMIT DROP AS\n  SELECT c.oid AS id, c.relname::text AS was, CASE WHEN relkind IN ('i', 'I') THEN 'INDEX' "
        "WHEN relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind\n   FROM pg_class c WHERE c.oid = ANY (tables) OR "
        "c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (tables))\n   OR (relkind = 'S' AND c.oid IN "
        "(SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass\n"
        "       AND refobjid = ANY (tables) AND deptype IN ('a', 'i')))\n  UNION ALL SELECT oid, stxname::text, "
        "'STATISTICS' FROM pg_statistic_ext WHERE stxrelid = ANY (tables);\n FOR item IN SELECT * FROM parts WHERE "
        "kind <> 'STATISTICS' LOOP\n  EXECUTE format('ALTER %s %s RENAME TO %I', item.kind, item.id::regclass, "
        "'berth_part_' || item.id);\n END LOOP;\n FOR item IN SELECT oid::regclass AS place FROM pg_class WHERE oid = "
        "ANY (tables) AND relnamespace <> (SELECT oid FROM pg_namespace WHERE nspname = new_schema) LOOP\n  EXECUTE "
        "format('ALTER TABLE %s SET SCHEMA %I', item.place, new_schema);\n END LOOP;\n FOR item IN SELECT * FROM parts "
        "ORDER BY id <> source, kind, id LOOP\n  stem := CASE WHEN starts_with(item.was, old_name) THEN new_name || "
        "substr(item.was, length(old_name) + 1) ELSE new_name || '_' || item.was END;\n  WHILE octet_length(stem) > 57 "
        "LOOP stem := left(stem, -1); END LOOP;\n  candidate := stem; n := 0;\n  IF item.id = source THEN candidate := "
        "new_name; END IF;\n  WHILE item.id <> source AND candidate = ANY (taken) LOOP n := n + 1; candidate := stem "
        "|| '_' || n; END LOOP;\n  taken := taken || candidate;\n  IF item.kind = 'STATISTICS' THEN\n   EXECUTE "
        "(SELECT format('ALTER STATISTICS %I.%I RENAME TO %I', nspname, stxname, candidate) FROM pg_statistic_ext s "
        "JOIN pg_namespace a ON a.oid = stxnamespace WHERE s.oid = item.id);\n   EXECUTE (SELECT format('ALTER "
        "STATISTICS %I.%I SET SCHEMA %I', nspname, stxname, new_schema) FROM pg_statistic_ext s JOIN pg_namespace a ON "
        "a.oid = stxnamespace WHERE s.oid = item.id);\n  ELSE\n   EXECUTE format('ALTER %s %s RENAME TO %I', "
        "item.kind, item.id::regclass, candidate);\n  END IF;\n END LOOP;\n RETURN keys;\nEND $berth$;\n";

/* The new name's schema where it has one, else the table's. quoted: as SQL has it; else the two parts, a line each. */
static void add_words(Strbuf *sql, const char *table, const char *as_table)
{
        strbuf_adds(sql, "WITH words AS (SELECT parse_ident(");
        sql_add_literal(sql, table);
        strbuf_adds(sql, ") AS was, parse_ident(");
        sql_add_literal(sql, as_table);
        strbuf_adds(sql, ") AS new)\n");
}

int part_new_name(Engine *engine, const ContainerInfo *container, const char *database, const char *table,
                  const char *as_table, char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r;

        add_words(&sql, table, as_table);
        strbuf_adds(
                &sql,
                "SELECT CASE WHEN cardinality(new) > 2 THEN '' WHEN cardinality(new) = 2 THEN quote_ident(new[1]) || "
                "'.' || quote_ident(new[2])\n WHEN cardinality(was) = 2 THEN quote_ident(was[1]) || '.' || "
                "quote_ident(new[1]) ELSE quote_ident(new[1]) END FROM words;\n");
        r = part_ask(engine, container, database, strbuf_text(&sql), ret, err);
        if (r >= 0 && isempty(*ret))
                r = error_set(err, ERROR_USAGE, "--as-table: \"%s\" is no name for a table", as_table);
        return r;
}

/* Schema and name of what is to be made, from the table as the copy has it: a line each. */
static int find_target(const PartServers *servers, const char *database, const char *table, const char *as_table,
                       char ***ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *answer = NULL;
        int r;

        add_words(&sql, table, as_table);
        strbuf_adds(
                &sql,
                "SELECT unnest(CASE WHEN cardinality(new) = 2 THEN new ELSE ARRAY[(SELECT nspname::text FROM pg_class "
                "c JOIN pg_namespace n\n ON n.oid = relnamespace WHERE c.oid = to_regclass(");
        sql_add_literal(&sql, table);
        strbuf_adds(&sql, ")), new[1]] END) FROM words;\n");
        r = part_ask(servers->engine, servers->copy, database, strbuf_text(&sql), &answer, err);
        if (r < 0)
                return r;
        *ret = strv_split(answer, '\n');
        return strv_length(*ret) == 2
                       ? 0
                       : error_set(err, ERROR_USAGE, "--as-table: \"%s\" is no name for a table", as_table);
}

/* Names of that schema in the running database, as a literal of text[]; those that belong to the table which is replaced may be
 * taken. ERROR_NOT_FOUND: there is no such schema. */
static int find_taken(const PartServers *servers, const char *database, const char *schema, const char *name,
                      char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r;

        strbuf_adds(&sql, "WITH space AS (SELECT oid FROM pg_namespace WHERE nspname = ");
        sql_add_literal(&sql, schema);
        strbuf_adds(&sql,
                    "), old AS (SELECT c.oid FROM pg_class c JOIN space ON relnamespace = space.oid WHERE relname = ");
        sql_add_literal(&sql, name);
        strbuf_adds(
                &sql,
                "), tree AS (SELECT old.oid FROM old UNION SELECT relid::oid FROM old, "
                "pg_partition_tree(old.oid::regclass))\nSELECT (SELECT array_agg(n) FROM (SELECT relname::text AS n "
                "FROM pg_class c WHERE relnamespace = space.oid AND c.oid NOT IN (SELECT oid FROM tree)\n  AND NOT "
                "EXISTS (SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid IN (SELECT oid FROM tree))\n  AND "
                "NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND "
                "refclassid = 'pg_class'::regclass\n   AND refobjid IN (SELECT oid FROM tree) AND deptype IN ('a', "
                "'i'))\n UNION ALL SELECT stxname::text FROM pg_statistic_ext WHERE stxnamespace = space.oid AND "
                "stxrelid NOT IN (SELECT oid FROM tree)\n UNION ALL SELECT '') AS names(n)) FROM space;\n");
        r = part_ask(servers->engine, servers->running, database, strbuf_text(&sql), ret, err);
        if (r >= 0 && isempty(*ret))
                return error_set(err, ERROR_NOT_FOUND, "the running database \"%s\" has no schema \"%s\"", database,
                                 schema);
        return r;
}

int part_rename_table(const PartServers *servers, const PartStream *stream, const char *table, const char *as_table,
                      char **ret, int64_t *ret_keys, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *taken = NULL, *answer = NULL, *schema = NULL, *name = NULL;
        _cleanup_strv_ char **target = NULL;
        int r = find_target(servers, stream->from, table, as_table, &target, err);

        if (r >= 0)
                r = find_taken(servers, stream->to, target[0], target[1], &taken, err);
        if (r < 0)
                return r;
        strbuf_adds(&sql, function);
        strbuf_adds(&sql, "SELECT pg_temp.rename_part(");
        sql_add_literal(&sql, table);
        strbuf_adds(&sql, "::regclass, ");
        sql_add_literal(&sql, target[0]);
        strbuf_adds(&sql, ", ");
        sql_add_literal(&sql, target[1]);
        strbuf_adds(&sql, ", ");
        sql_add_literal(&sql, taken);
        strbuf_adds(&sql, "::text[]);\n");
        r = part_ask(servers->engine, servers->copy, stream->from, strbuf_text(&sql), &answer, err);
        if (r < 0)
                return error_prefix(err, r, "rename %s to %s in the copy", table, as_table);
        schema = sql_identifier(target[0]);
        name = sql_identifier(target[1]);
        *ret = xasprintf("%s.%s", schema, name);
        *ret_keys = strtoll(answer, NULL, 10);
        return 0;
}
