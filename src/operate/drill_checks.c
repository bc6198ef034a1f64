#include "operate/drill_checks.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "operate/sql.h"
#include "state/document.h"

#define OUTPUT_LIMIT ((size_t)256 * 1024)
#define NOT_FOUND    127 /* a shell's word for a program that is missing */

typedef struct Checks {
        const Drill *drill;
        const ContainerInfo *container;
        json_t *results;
        char **databases;
        bool good;
} Checks;

void drill_add_check(json_t *results, const char *name, bool good, const char *message)
{
        json_t *row = json_pack("{s:s, s:b}", "name", name, "good", good);

        json_set_string(row, "message", message);
        json_array_append_new(results, row);
}

static void note(Checks *checks, const char *name, bool good, const char *message)
{
        drill_add_check(checks->results, name, good, message);
        checks->good &= good;
}

static int ask(const Checks *checks, const char *database, const char *script, char **ret, Error **err)
{
        int r = sql_run(checks->drill->engine, checks->container, database, script, ret, err);

        if (r >= 0)
                (*ret)[strcspn(*ret, "\n")] = '\0';
        return r;
}

/* ---- the server ---- */

static void look_at_server(Checks *checks, int64_t moment_ns)
{
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *script = NULL, *answer = NULL;

        /* A millisecond of grace: the place of a commit in the log and its time are not taken at one instant. */
        script = xasprintf(
                "SELECT NOT pg_is_in_recovery() AND coalesce(extract(epoch FROM pg_last_xact_replay_timestamp()) <= "
                "%lld.%06d + 0.001, true);\n",
                (long long)(moment_ns ? moment_ns / 1000000000 : INT32_MAX * 2LL),
                (int)(moment_ns % 1000000000 / 1000));
        if (ask(checks, NULL, script, &answer, &error) < 0)
                note(checks, "server", false, error->message);
        else if (!streq(answer, "t"))
                note(checks, "server", false,
                     "it is still in recovery, or holds commits behind the moment that was asked for");
        else
                note(checks, "server", true, "recovered, promoted, and no commit behind the moment");
}

static bool list_databases(Checks *checks)
{
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *text = NULL;

        if (sql_run(checks->drill->engine, checks->container, NULL,
                    "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname;\n", &text, &error) < 0) {
                note(checks, "databases", false, error->message);
                return false;
        }
        checks->databases = strv_split(text, '\n');
        return true;
}

/* ---- rows: every table is read ---- */

static const char rows_script[] =
        "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;\n" SQL_COUNT_ROWS(
                "true");

static void count_rows(Checks *checks)
{
        int64_t tables = 0, rows = 0;
        _cleanup_free_ char *text = NULL;

        STRV_FOREACH(database, checks->databases) {
                _cleanup_error_ Error *error = NULL;
                _cleanup_free_ char *answer = NULL;
                char *rest;

                if (!**database)
                        continue;
                if (ask(checks, *database, rows_script, &answer, &error) < 0) {
                        text = xasprintf("database %s: %s", *database, error->message);
                        note(checks, "rows", false, text);
                        return;
                }
                tables += strtoll(answer, &rest, 10);
                rows += strtoll(rest, NULL, 10);
        }
        text = xasprintf("%lld rows in %lld table%s were read", (long long)rows, (long long)tables,
                         tables == 1 ? "" : "s");
        note(checks, "rows", true, text);
        json_object_set_new(json_array_get(checks->results, json_array_size(checks->results) - 1), "rows",
                            json_integer(rows));
}

/* ---- amcheck ---- */

static void skip(Checks *checks, const char *name, const char *message)
{
        note(checks, name, true, message);
        json_object_set_new(json_array_get(checks->results, json_array_size(checks->results) - 1), "skipped",
                            json_true());
}

/* For images without pg_amcheck, which came with 14. */
static const char btree_script[] =
        "CREATE EXTENSION IF NOT EXISTS amcheck;\nSELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid\n JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND "
        "c.relpersistence = 'p' AND i.indisvalid AND i.indisready\n AND c.relkind = 'i';\n";

static void check_by_functions(Checks *checks)
{
        STRV_FOREACH(database, checks->databases) {
                _cleanup_error_ Error *error = NULL;
                _cleanup_free_ char *answer = NULL, *text = NULL;
                static const char available[] =
                        "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck';\n";

                if (!**database)
                        continue;
                if (ask(checks, *database, available, &answer, &error) >= 0 && streq(answer, "0"))
                        return skip(checks, "amcheck",
                                    "not done: the image has neither pg_amcheck nor the extension amcheck");
                free_and_replace(&answer, NULL);
                if (!error && ask(checks, *database, btree_script, &answer, &error) >= 0)
                        continue;
                text = xasprintf("database %s: %s", *database, error->message);
                return note(checks, "amcheck", false, text);
        }
        note(checks, "amcheck", true,
             "b-tree indexes agree with their tables (amcheck's functions; the image has no pg_amcheck)");
}

static void run_amcheck(Checks *checks)
{
        const Engine *engine = checks->drill->engine;
        char *argv[] = { (char *)"sh", (char *)"-c",
                         (char *)"exec pg_amcheck --all --install-missing --heapallindexed -j 2", NULL };
        _cleanup_strv_ char **environment = NULL;
        ExecSpec spec = { .argv = argv,
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1,
                          .timeout_ms = -1,
                          .cancel_fd = -1,
                          .output_limit = OUTPUT_LIMIT };
        _cleanup_error_ Error *error = NULL;
        ExecResult result = { 0 };
        int r = sql_find_way(checks->drill->engine, checks->container, NULL, &environment, &error);

        spec.environment = environment;
        if (r >= 0)
                r = engine->operations->exec(checks->drill->engine, checks->container->id, &spec, &result, &error);
        if (r < 0)
                note(checks, "amcheck", false, error->message);
        else if (result.exit_code == NOT_FOUND)
                check_by_functions(checks);
        else if (result.exit_code != 0)
                note(checks, "amcheck", false,
                     isempty(result.output) ? "pg_amcheck failed without a word" : result.output);
        else
                note(checks, "amcheck", true, "tables are sound and b-tree indexes agree with them (pg_amcheck)");
        free(result.output);
}

/* ---- the user's ---- */

static void run_user_check(Checks *checks, const char *sql)
{
        _cleanup_free_ char *script = xasprintf("%s\n;\n", sql), *answer = NULL, *text = NULL, *name = NULL;
        _cleanup_error_ Error *error = NULL;
        size_t length;
        int r = sql_run(checks->drill->engine, checks->container, NULL, script, &answer, &error);

        name = xasprintf("sql: %s", sql);
        if (r < 0)
                return note(checks, name, false, error->message);
        length = strlen(answer);
        while (length > 0 && answer[length - 1] == '\n')
                answer[--length] = '\0';
        if (streq(answer, "t"))
                return note(checks, name, true, NULL);
        text = *answer ? xasprintf("gave \"%.200s\", not one true", answer) : xstrdup("gave nothing, not one true");
        note(checks, name, false, text);
}

bool drill_checks_run(const Drill *drill, const ContainerInfo *container, int64_t moment_ns,
                      const EngineProgress *progress, json_t *results)
{
        Checks checks = { .drill = drill, .container = container, .results = results, .good = true };
        const json_t *item;
        size_t i;

        if (progress->status)
                progress->status(progress->context, "checking");
        look_at_server(&checks, moment_ns);
        if (list_databases(&checks)) {
                count_rows(&checks);
                if (drill->no_amcheck)
                        skip(&checks, "amcheck", "switched off");
                else
                        run_amcheck(&checks);
        }
        json_array_foreach(drill->checks, i, item)
                if (json_is_string(item))
                        run_user_check(&checks, json_string_value(item));
        strv_free(checks.databases);
        return checks.good;
}
