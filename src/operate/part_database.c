/* A whole database. It is renamed in the copy, so that pg_dump itself says how it is made under that name in the running
 * server: owner, encoding, locale, privileges and settings are its words. */
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/part_private.h"
#include "operate/sql.h"
#include "state/document.h"

#define MAINTENANCE  "template1" /* where nobody works */
#define PREFIX       "berth_part_"
#define SCRIPT_LIMIT ((size_t)1024 * 1024)

/* Rows of plain tables; those of extensions come with them. */
static const char count_script[] = SQL_COUNT_ROWS(
        "relkind = 'r' AND relpersistence = 'p' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')");

static int run(Engine *engine, const ContainerInfo *container, Strbuf *sql, Error **err)
{
        return sql_run(engine, container, MAINTENANCE, strbuf_text(sql), NULL, err);
}

static int rename_in_copy(const PartServers *servers, const char *name, const char *other, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        strbuf_adds(&sql, "ALTER DATABASE ");
        sql_add_identifier(&sql, name);
        strbuf_adds(&sql, " RENAME TO ");
        sql_add_identifier(&sql, other);
        strbuf_adds(&sql, ";\n");
        return run(servers->engine, servers->copy, &sql, err);
}

static int drop(const PartServers *servers, const char *name, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        strbuf_adds(&sql, "DROP DATABASE IF EXISTS ");
        sql_add_identifier(&sql, name);
        strbuf_adds(&sql, " WITH (FORCE);\n");
        return run(servers->engine, servers->running, &sql, err);
}

/* What pg_dump writes to make the database itself, without what is in it. */
static int creation_script(const PartServers *servers, const char *name, char **ret, Error **err)
{
        static const char script[] =
                "set -e; umask 077; d=$(mktemp -d 2>/dev/null || mktemp -d -p \"$PGDATA\"); trap 'rm -rf \"$d\"' EXIT\n"
                "pg_dump -w -Fc -s -f \"$d/a\" \"$1\"; pg_restore -C -l \"$d/a\" >\"$d/all\"\ngrep -E '^[0-9]+; [0-9]+ "
                "[0-9]+ (DATABASE |DATABASE PROPERTIES |(ACL|COMMENT|SECURITY LABEL) - DATABASE )' \"$d/all\" "
                ">\"$d/l\"\npg_restore -C -L \"$d/l\" -f - \"$d/a\"\n";
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, (char *)"sh", (char *)name, NULL };
        _cleanup_strv_ char **environment = NULL;
        _cleanup_close_ int output = fs_memory_file("script", NULL, 0, err), errors = -1;
        ExecSpec spec = { .argv = argv, .stdin_fd = -1, .timeout_ms = -1, .cancel_fd = -1 };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int code = 0,
            r = output < 0 ? output : sql_find_way(servers->engine, servers->copy, MAINTENANCE, &environment, err);

        if (r >= 0)
                r = errors = fs_memory_file("errors", NULL, 0, err);
        if (r < 0)
                return r;
        spec.environment = environment;
        spec.stdout_fd = output;
        spec.stderr_fd = errors;
        r = servers->engine->operations->exec_stdio(servers->engine, servers->copy->id, &spec, &code, err);
        if (r < 0)
                return r;
        lseek(code == 0 ? output : errors, 0, SEEK_SET);
        fs_read_fd(code == 0 ? output : errors, SCRIPT_LIMIT, &text, NULL);
        if (code != 0)
                return error_set(err, ERROR_FAILED, "pg_dump of the copy: %.*s", (int)strcspn(strbuf_text(&text), "\n"),
                                 strbuf_text(&text));
        *ret = strbuf_take(&text);
        return 0;
}

static int make(const PartServers *servers, const char *name, Error **err)
{
        _cleanup_free_ char *script = NULL;
        int r = creation_script(servers, name, &script, err);

        if (r >= 0)
                r = sql_run(servers->engine, servers->running, MAINTENANCE, script, NULL, err);
        return error_prefix(err, r, "make the database");
}

static int compare(const PartServers *servers, const char *name, int64_t *ret_tables, int64_t *ret_rows, Error **err)
{
        _cleanup_free_ char *there = NULL, *here = NULL;
        char *rest;
        int r = part_ask(servers->engine, servers->copy, name, count_script, &there, err);

        if (r >= 0)
                r = part_ask(servers->engine, servers->running, name, count_script, &here, err);
        if (r < 0)
                return r;
        if (!streq(here, there))
                return error_set(err, ERROR_CORRUPT, "the copy has %s tables and rows, and what arrived has %s", there,
                                 here);
        *ret_tables = strtoll(here, &rest, 10);
        *ret_rows = strtoll(rest, NULL, 10);
        return 0;
}

/* Both names change in one transaction; the old one is dropped behind it. */
static int take_place(const PartServers *servers, const char *made, const char *target, bool replaces, Error **err)
{
        _cleanup_free_ char *old = xasprintf(PREFIX "old_%d", (int)getpid()), *q_old = sql_identifier(old);
        _cleanup_free_ char *q_made = sql_identifier(made), *q_target = sql_identifier(target);
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r;

        if (replaces) {
                strbuf_addf(&sql,
                            "ALTER DATABASE %s ALLOW_CONNECTIONS false;\nSELECT pg_terminate_backend(pid) FROM "
                            "pg_stat_activity WHERE datname = ",
                            q_target);
                sql_add_literal(&sql, target);
                strbuf_addf(&sql, ";\nBEGIN;\nALTER DATABASE %s RENAME TO %s;\n", q_target, q_old);
                strbuf_addf(&sql, "ALTER DATABASE %s RENAME TO %s;\nCOMMIT;\n", q_made, q_target);
        } else {
                strbuf_addf(&sql, "ALTER DATABASE %s RENAME TO %s;\n", q_made, q_target);
        }
        r = run(servers->engine, servers->running, &sql, err);
        if (!replaces)
                return r;
        if (r >= 0)
                return drop(servers, old, err);
        strbuf_truncate(&sql, 0);
        strbuf_addf(&sql, "ALTER DATABASE %s ALLOW_CONNECTIONS true;\n", q_target);
        run(servers->engine, servers->running, &sql, NULL);
        return r;
}

int part_restore_database(const PartServers *servers, const char *name, const char *target, json_t *results,
                          Error **err)
{
        _cleanup_free_ char *made = xasprintf(PREFIX "%.40s", target);
        const PartStream stream = { .from = made, .to = made };
        int64_t tables = 0, rows = 0;
        int r = 0, r2 = 0;
        bool exists;

        if (!part_database_exists(servers->engine, servers->copy, name, &r, err))
                return r < 0 ? r : error_set(err, ERROR_NOT_FOUND, "there was no database \"%s\" then", name);
        exists = part_database_exists(servers->engine, servers->running, target, &r, err);
        if (r >= 0)
                r = rename_in_copy(servers, name, made, err);
        if (r >= 0)
                r = drop(servers, made, err); /* what was cut off */
        if (r < 0)
                return r;
        r = make(servers, made, err);
        if (r >= 0)
                r = part_stream(servers, &stream, err);
        if (r >= 0)
                r = compare(servers, made, &tables, &rows, err);
        if (r >= 0)
                r = take_place(servers, made, target, exists, err);
        if (r < 0)
                r2 = drop(servers, made, NULL);
        if (r < 0 || r2 < 0)
                return error_prefix(err, r, "database \"%s\"", target);
        json_array_append_new(results, json_pack("{s:s, s:I, s:I}", "name", target, "tables", (json_int_t)tables,
                                                 "rows", (json_int_t)rows));
        return 0;
}
