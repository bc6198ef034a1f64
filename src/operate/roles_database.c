#include <jansson.h>

#include "base/mem.h"
#include "operate/roles_private.h"
#include "operate/sql.h"
#include "state/document.h"

int roles_find_losers(Engine *engine, const ContainerInfo *container, const char *database, const json_t *wishes,
                      char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        const json_t *wish;
        size_t i;
        int r;

        strbuf_adds(&sql, "SELECT coalesce((SELECT string_agg(quote_ident(rolname), ', ' ORDER BY rolname) FROM "
                          "pg_roles r WHERE rolcanlogin AND NOT rolsuper AND r.oid <> d.datdba AND rolname NOT IN (''");
        json_array_foreach(wishes, i, wish) {
                strbuf_adds(&sql, ", ");
                sql_add_literal(&sql, json_get_string(wish, "name", ""));
        }
        strbuf_adds(&sql, ") AND NOT EXISTS (SELECT FROM aclexplode(d.datacl) g WHERE g.privilege_type = 'CONNECT' AND "
                          "g.grantee <> 0 AND "
                          "pg_has_role(r.oid, g.grantee, 'USAGE'))), '') FROM pg_database d WHERE datname = ");
        sql_add_literal(&sql, database);
        strbuf_adds(&sql, " AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE "
                          "a.grantee = 0 AND a.privilege_type = 'CONNECT');\n");
        r = sql_run(engine, container, NULL, strbuf_text(&sql), ret, err);
        if (r == 0 && !**ret)
                free_and_replace(ret, NULL);
        else if (r == 0)
                (*ret)[strcspn(*ret, "\n")] = '\0';
        return r;
}

/* Each makes statements for \gexec; :to and :from are psql's variables. Sequences that a column owns go with their
 * table, and types of tables with those. */
static const char hand_over[] = "BEGIN;\nSELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, :'to') FROM "
                                "pg_namespace WHERE pg_get_userbyid(nspowner) = :'from' AND nspname !~ '^pg_' AND "
                                "nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d WHERE "
                                "d.classid = 'pg_namespace'::regclass AND d.objid = pg_namespace.oid AND d.deptype = "
                                "'e') \\gexec\nSELECT format('ALTER %s %I.%I OWNER TO %I', CASE relkind WHEN 'v' THEN "
                                "'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN "
                                "'FOREIGN TABLE' ELSE 'TABLE' END, nspname, relname, :'to') FROM pg_class c JOIN "
                                "pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'S', "
                                "'f') AND pg_get_userbyid(relowner) = :'from' AND nspname !~ '^pg_' AND nspname <> "
                                "'information_schema' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = "
                                "'pg_class'::regclass AND d.objid = c.oid AND (d.deptype = 'e' OR (c.relkind = 'S' AND "
                                "d.deptype IN ('a', 'i') AND d.refobjsubid > 0))) ORDER BY relkind \\gexec\nSELECT "
                                "format('ALTER %s %s OWNER TO %I', CASE prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' "
                                "THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure, :'to') FROM pg_proc p JOIN "
                                "pg_namespace n ON n.oid = pronamespace WHERE pg_get_userbyid(proowner) = :'from' AND "
                                "nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM "
                                "pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = "
                                "'e') \\gexec\nSELECT format('ALTER %s %I.%I OWNER TO %I', CASE typtype WHEN 'd' THEN "
                                "'DOMAIN' ELSE 'TYPE' END, nspname, typname, :'to') FROM pg_type t JOIN pg_namespace n "
                                "ON n.oid = typnamespace WHERE pg_get_userbyid(typowner) = :'from' AND nspname !~ "
                                "'^pg_' AND nspname <> 'information_schema' AND (typtype IN ('d', 'e', 'r') OR "
                                "(typtype = 'c' AND (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c')) AND "
                                "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid "
                                "= t.oid AND d.deptype = 'e') \\gexec\nCOMMIT;\n";

static void set_variable(Strbuf *sql, const char *name, const char *value)
{
        strbuf_addf(sql, "SELECT ");
        sql_add_literal(sql, value);
        strbuf_addf(sql, " AS \"%s\" \\gset\n", name);
}

int roles_hand_over(Engine *engine, const ContainerInfo *container, const char *database, const char *from,
                    const char *to, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        set_variable(&sql, "from", from);
        set_variable(&sql, "to", to);
        strbuf_adds(&sql, hand_over);
        return sql_run(engine, container, database, strbuf_text(&sql), NULL, err);
}
