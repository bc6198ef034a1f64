/* What pg_dump does not write for a table that is named: its extended statistics are added, and what stays out is told. */
#include "base/mem.h"
#include "base/strv.h"
#include "operate/part_private.h"
#include "operate/sql.h"
#include "state/document.h"

/* As a statement that makes each where pg_dump has not: a later one may. Names are written out, since nothing is in the search path
 * of what pg_dump writes either. */
static const char statistics[] =
        "SELECT format(E'SELECT %L WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s JOIN "
        "pg_catalog.pg_namespace n ON n.oid = stxnamespace'\n  ' WHERE nspname = %L AND stxname = %L) "
        "\\\\gexec\\nALTER STATISTICS %I.%I OWNER TO %I;', pg_get_statisticsobjdef(s.oid), nspname, stxname,\n  "
        "nspname, stxname, pg_get_userbyid(stxowner)) ||\n CASE WHEN stxstattarget >= 0 THEN format(E'\\nALTER "
        "STATISTICS %I.%I SET STATISTICS %s;', nspname, stxname, stxstattarget) ELSE '' END ||\n coalesce(E'\\n' || "
        "'COMMENT ON STATISTICS ' || quote_ident(nspname) || '.' || quote_ident(stxname) || ' IS '\n  || "
        "quote_literal(obj_description(s.oid, 'pg_statistic_ext')) || ';', '')\nFROM pg_statistic_ext s JOIN "
        "pg_namespace n ON n.oid = stxnamespace WHERE stxrelid = ANY (ARRAY[";

int part_add_statistics(const PartServers *servers, const PartStream *stream, char *const *tables, Strbuf *script,
                        Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *answer = NULL;
        int r;

        strbuf_adds(&sql, "SET search_path TO '';\n");
        strbuf_adds(&sql, statistics);
        STRV_FOREACH(table, (char **)tables) {
                if (table != tables)
                        strbuf_adds(&sql, ", ");
                sql_add_literal(&sql, *table);
        }
        strbuf_adds(&sql, "]::regclass[]) ORDER BY s.oid;\n");
        r = part_ask(servers->engine, servers->copy, stream->from, strbuf_text(&sql), &answer, err);
        if (r < 0)
                return error_prefix(err, r, "extended statistics");
        if (!isempty(answer))
                strbuf_addf(script, "\n%s\n", answer);
        return 0;
}

/* Publications that name it on that server: added to names. */
static int find_publications(const PartServers *servers, const ContainerInfo *container, const char *database,
                             const char *table, char ***names, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_strv_ char **found = NULL;
        _cleanup_free_ char *answer = NULL;
        int r;

        strbuf_adds(
                &sql,
                "SELECT quote_ident(pubname) FROM pg_publication p JOIN pg_publication_rel r ON prpubid = p.oid WHERE prrelid = to_regclass(");
        sql_add_literal(&sql, table);
        strbuf_adds(&sql, ") ORDER BY pubname;\n");
        r = part_ask(servers->engine, container, database, strbuf_text(&sql), &answer, err);
        if (r < 0)
                return r;
        found = strv_split(answer, '\n');
        STRV_FOREACH(name, found)
                if (**name && !strv_contains(*names, *name))
                        strv_add(names, *name);
        return 0;
}

int part_note_left_out(const PartServers *servers, const PartStream *stream, const char *table, json_t *row,
                       Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_strv_ char **publications = NULL;
        _cleanup_free_ char *children = NULL;
        int r;

        strbuf_adds(
                &sql,
                "SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid) FROM pg_inherits JOIN pg_class c "
                "ON c.oid = inhparent WHERE relkind = 'r' AND inhparent = to_regclass(");
        sql_add_literal(&sql, table);
        strbuf_adds(&sql, ");\n");
        r = part_ask(servers->engine, servers->copy, stream->from, strbuf_text(&sql), &children, err);
        if (r >= 0 && !servers->part->as_table)
                r = find_publications(servers, servers->copy, stream->from, table, &publications, err);
        if (r >= 0 && !servers->part->as_table && stream->clean)
                r = find_publications(servers, servers->running, stream->to, table, &publications, err);
        if (r < 0)
                return r;
        if (!isempty(children))
                json_set_string(row, "children_left_out", children);
        if (publications)
                json_object_set_new(row, "publications_left_out", json_from_strv(publications));
        return 0;
}
