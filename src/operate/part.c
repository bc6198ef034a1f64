#include "operate/part.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/strv.h"
#include "operate/login.h"
#include "operate/part_private.h"
#include "operate/sql.h"
#include "state/document.h"

#define LOCKS_FOR_DUMP INT64_C(512)

int part_ask(Engine *engine, const ContainerInfo *container, const char *database, const char *script, char **ret,
             Error **err)
{
        int r = sql_run(engine, container, database, script, ret, err);

        if (r >= 0)
                for (size_t length = strlen(*ret); length > 0 && (*ret)[length - 1] == '\n';)
                        (*ret)[--length] = '\0';
        return r;
}

bool part_database_exists(Engine *engine, const ContainerInfo *container, const char *name, int *ret_error, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *answer = NULL;

        strbuf_adds(&sql, "SELECT count(*) FROM pg_database WHERE datname = ");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, ";\n");
        *ret_error = part_ask(engine, container, "template1", strbuf_text(&sql), &answer, err);
        return *ret_error >= 0 && streq(answer, "1");
}

/* ---- tables ---- */

/* Where the table is, as pg_dump's pattern: "schema"."table"; with its partitions behind it, a line each. "" where there is none. */
static int find_table(Engine *engine, const ContainerInfo *container, const char *database, const char *name,
                      char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        strbuf_adds(
                &sql,
                "SELECT '\"' || replace(nspname, '\"', '\"\"') || '\".\"' || replace(relname, '\"', '\"\"') || '\"' "
                "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') AND c.oid IN ("
                "SELECT to_regclass(");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, ")::oid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, "))) ORDER BY c.oid <> to_regclass(");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, ");\n");
        return part_ask(engine, container, database, strbuf_text(&sql), ret, err);
}

static int64_t count_rows(const PartServers *servers, const char *database, const char *table, int *ret_error,
                          Error **err)
{
        _cleanup_free_ char *script = xasprintf("SELECT count(*) FROM %s;\n", table), *answer = NULL;

        *ret_error = part_ask(servers->engine, servers->copy, database, script, &answer, err);
        return *ret_error < 0 ? 0 : strtoll(answer, NULL, 10);
}

static void add_check(Strbuf *check, const char *table, int64_t rows)
{
        strbuf_addf(check,
                    "\nDO $berth$ BEGIN IF (SELECT count(*) FROM %s) <> %lld THEN RAISE EXCEPTION "
                    "'not all rows have arrived'; END IF; END $berth$;\n",
                    table, (long long)rows);
}

static const char *source_database(const Part *part, const DatabaseLogin *login)
{
        return part->databases ? part->databases[0] : login->database;
}

static int find_in_copy(const PartServers *servers, const char *database, const char *table, char ***ret, Error **err)
{
        _cleanup_free_ char *found = NULL;
        int r = find_table(servers->engine, servers->copy, database, table, &found, err);

        if (r >= 0 && isempty(found))
                r = error_set(err, ERROR_NOT_FOUND, "there was no table %s in database \"%s\" then", table, database);
        if (r >= 0)
                *ret = strv_split(found, '\n');
        return r;
}

/* To patterns with its partitions, to check and to parts. */
static int add_table(const PartServers *servers, const PartStream *stream, const char *table, char ***patterns,
                     Strbuf *check, json_t *parts, Error **err)
{
        const char *as_table = servers->part->as_table;
        _cleanup_free_ char *renamed = NULL, *counted = NULL;
        _cleanup_strv_ char **lines = NULL;
        int64_t rows, keys = 0;
        json_t *row;
        int r = find_in_copy(servers, stream->from, table, &lines, err);

        if (r >= 0 && as_table) {
                r = part_rename_table(servers, stream, table, as_table, &renamed, &keys, err);
                lines = strv_free(lines);
                if (r >= 0)
                        r = find_in_copy(servers, stream->from, renamed, &lines, err);
        }
        if (r < 0)
                return r;
        strv_add_all(patterns, lines);
        /* Of a table that others inherit from only its own rows. */
        counted = xasprintf("%s%s", lines[1] ? "" : "ONLY ", lines[0]);
        rows = count_rows(servers, stream->from, counted, &r, err);
        if (r >= 0)
                r = part_add_statistics(servers, stream, lines, check, err);
        if (r < 0)
                return r;
        add_check(check, counted, rows);
        row = json_pack("{s:s, s:I, s:I}", "name", renamed ? renamed : table, "tables", (json_int_t)strv_length(lines),
                        "rows", (json_int_t)rows);
        if (renamed) {
                json_set_string(row, "of", table);
                json_object_set_new(row, "foreign_keys_left_out", json_integer(keys));
        }
        json_array_append_new(parts, row);
        return part_note_left_out(servers, stream, lines[0], row, err);
}

int part_restore_tables(const PartServers *servers, json_t *results, Error **err)
{
        const Part *part = servers->part;
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_strbuf_ Strbuf check = STRBUF_INIT;
        _cleanup_strv_ char **patterns = NULL;
        _cleanup_json_ json_t *parts = json_array();
        PartStream stream = { .clean = part->clean };
        int r;

        database_login_of(servers->running, &login);
        stream.from = source_database(part, &login);
        stream.to = part->into ? part->into : stream.from;
        if (!part_database_exists(servers->engine, servers->copy, stream.from, &r, err))
                return r < 0 ? r : error_set(err, ERROR_NOT_FOUND, "there was no database \"%s\" then", stream.from);
        STRV_FOREACH(table, part->tables) {
                r = add_table(servers, &stream, *table, &patterns, &check, parts, err);
                if (r < 0)
                        return r;
        }
        stream.tables = patterns;
        stream.check = strbuf_text(&check);
        r = part_stream(servers, &stream, err);
        if (r >= 0)
                json_array_extend(results, parts);
        return r;
}

/* ---- before ---- */

static int find_running(const Part *part, ContainerInfo **ret, Error **err)
{
        Engine *engine = part->restore.engine;
        _cleanup_container_list_ ContainerList list = { 0 };
        const char *id = NULL;
        int r = engine->operations->container_list(engine, part->restore.project, &list, err);

        for (size_t i = 0; r >= 0 && i < list.length; i++)
                if (!list.items[i]->oneoff && list.items[i]->state == CONTAINER_RUNNING &&
                    streq_ptr(list.items[i]->service, part->restore.service) && !id)
                        id = list.items[i]->id;
        if (r < 0)
                return r;
        if (!id)
                return error_hint(
                        err, error_set(err, ERROR_CONFLICT, "service \"%s\" is not running", part->restore.service),
                        "A part is brought into the running database: \"berth up -d %s\" starts it.",
                        part->restore.service);
        return engine->operations->container_inspect(engine, id, ret, err);
}

static int in_the_way(const char *what, Error **err)
{
        return error_hint(err, error_set(err, ERROR_EXISTS, "%s exists in the running database", what),
                          "--clean replaces it; --into NAME brings it to another database.");
}

static int check_databases(const Part *part, const ContainerInfo *running, Error **err)
{
        int r = 0;

        if (part->into && part->databases && part->databases[1])
                return error_set(err, ERROR_USAGE, "--into takes one database");
        STRV_FOREACH(name, part->databases) {
                const char *target = part->into ? part->into : *name;
                _cleanup_free_ char *what = xasprintf("database \"%s\"", target);

                if (streq(*name, "template0") || streq(*name, "template1") || streq(target, "template0") ||
                    streq(target, "template1"))
                        return error_set(err, ERROR_USAGE, "a template is not restored by itself");
                if (part_database_exists(part->restore.engine, running, target, &r, err) && !part->clean)
                        return in_the_way(what, err);
                if (r < 0)
                        return r;
        }
        return r;
}

static int check_tables(const Part *part, const ContainerInfo *running, Error **err)
{
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        const char *target;
        int r = 0;

        database_login_of(running, &login);
        if (part->as_table && part->tables[1])
                return error_set(err, ERROR_USAGE, "--as-table is for one table");
        if (part->databases && part->databases[1])
                return error_set(err, ERROR_USAGE, "--table takes its tables from one database");
        target = part->into ? part->into : source_database(part, &login);
        if (!part_database_exists(part->restore.engine, running, target, &r, err))
                return r < 0 ? r : error_set(err, ERROR_NOT_FOUND, "the running server has no database \"%s\"", target);
        STRV_FOREACH(table, part->tables) {
                _cleanup_free_ char *found = NULL, *what = NULL, *renamed = NULL;

                if (part->as_table)
                        r = part_new_name(part->restore.engine, running, target, *table, part->as_table, &renamed, err);
                what = xasprintf("table %s", renamed ? renamed : *table);
                if (r >= 0)
                        r = find_table(part->restore.engine, running, target, renamed ? renamed : *table, &found, err);
                if (r >= 0 && !isempty(found) && !part->clean)
                        return in_the_way(what, err);
                if (r < 0)
                        return r;
        }
        return r;
}

int part_check(const Part *part, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *running = NULL;
        int r = find_running(part, &running, err);

        if (r < 0)
                return r;
        return part->tables ? check_tables(part, running, err) : check_databases(part, running, err);
}

/* ---- the whole ---- */

static int bring(const PartServers *servers, json_t *results, Error **err)
{
        const Part *part = servers->part;
        int r = 0;

        if (part->tables)
                return part_restore_tables(servers, results, err);
        STRV_FOREACH(name, part->databases) {
                r = part_restore_database(servers, *name, part->into ? part->into : *name, results, err);
                if (r < 0)
                        break;
        }
        return r;
}

/* pg_dump locks every table of the database at once, in the copy where nobody else needs room. */
static int64_t locks_for_dump(Engine *engine, const ContainerInfo *running)
{
        _cleanup_free_ char *answer = NULL;

        if (part_ask(engine, running, "template1", "SHOW max_locks_per_transaction;\n", &answer, NULL) < 0)
                return 0;
        return MAX(strtoll(answer, NULL, 10), LOCKS_FOR_DUMP);
}

static int open_and_bring(const Part *part, const EngineProgress *progress, json_t **ret, Error **err)
{
        Engine *engine = part->restore.engine;
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        _cleanup_(container_info_freep) ContainerInfo *running = NULL, *copy = NULL;
        _cleanup_free_ char *container = NULL;
        _cleanup_json_ json_t *opened = NULL, *results = json_array();
        ServiceRestore restore = part->restore;
        int r = find_running(part, &running, err);

        if (r < 0)
                return r;
        restore.locks = locks_for_dump(engine, running);
        r = restore_service_begin(&restore, &places, err);
        if (r >= 0)
                r = restore_service_open(&restore, &places, progress, &opened, &container, err);
        if (r >= 0)
                r = engine->operations->container_inspect(engine, container, &copy, err);
        if (r >= 0) {
                const PartServers servers = { part, engine, running, copy, progress };

                if (progress->status)
                        progress->status(progress->context, "copying");
                r = bring(&servers, results, err);
        }
        if (r < 0)
                return r;
        *ret = json_pack("{s:s, s:O}", "backup", json_get_string(opened, "backup", ""), "parts", results);
        return 0;
}

int part_restore(const Part *part, const EngineProgress *progress, json_t **ret, Error **err)
{
        _cleanup_error_ Error *left = NULL;
        int r = part_check(part, err), r2;

        if (r < 0)
                return r;
        r = open_and_bring(part, progress, ret, err);
        r2 = restore_service_discard(&part->restore, &left);
        if (r2 < 0 && r >= 0)
                r = error_move(err, &left, r2);
        return r;
}
