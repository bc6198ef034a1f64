#include "postgres/migrate/state.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"

#define LOCK_SALT            UINT32_C(1486364155)
#define FIRST_LOCK_WAIT_MS   10
#define LONGEST_LOCK_WAIT_MS 250

void migrate_state_done(MigrateState *state)
{
        PQfinish(state->connection);
        free(state->schema);
        free(state->table);
        free(state->quoted);
        free(state->synchronous_commit);
        free(state->borrowed_role);
        free(state->login_refusal);
        *state = (MigrateState){ 0 };
}

static uint32_t crc32_ieee(uint32_t crc, const void *data, size_t size)
{
        const unsigned char *bytes = data;

        crc = ~crc;
        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        }
        return ~crc;
}

uint32_t migrate_lock_number(const char *schema, const char *table, const char *name)
{
        uint32_t crc = crc32_ieee(0, schema, strlen(schema) + 1);

        crc = crc32_ieee(crc, table, strlen(table) + 1);
        crc = crc32_ieee(crc, name, strlen(name));
        return crc * LOCK_SALT;
}

static void ignore_notice(void *context, const PGresult *result)
{
}

/* libpq says where and how it tried before what the server answered; the answer alone is what the original prints. */
static char *connection_reason(PGconn *connection)
{
        _cleanup_free_ char *text = xstrdup(PQerrorMessage(connection));
        char *fatal = strstr(text, "FATAL:  ");

        for (size_t length = strlen(text); length > 0 && text[length - 1] == '\n';)
                text[--length] = '\0';
        if (fatal)
                return xasprintf("pq: %.*s", (int)strcspn(fatal + 8, "\n"), fatal + 8);
        if (strstr(text, "server does not support SSL"))
                return xstrdup("pq: SSL is not enabled on the server");
        for (char *newline = text; (newline = strchr(newline, '\n'));)
                *newline = ' ';
        return TAKE_PTR(text);
}

static int connection_error(PGconn *connection, const DatabaseUrl *url, Error **err)
{
        _cleanup_free_ char *reason = connection_reason(connection);
        int r = error_set(err, ERROR_UNAVAILABLE, "%s", reason);

        if (strstr(reason, "SSL is not enabled"))
                error_hint(err, r, "Add sslmode=disable to the database URL, or switch TLS on in the server.");
        else if (url->password_was_decoded && strstr(reason, "authentication failed"))
                error_hint(err, r,
                           "The password in the URL holds a %%: it was decoded as a URL demands. A plain %% must be "
                           "written as %%25 there.");
        return r;
}

static bool is_connection_parameter(const char *name)
{
        PQconninfoOption *options = PQconndefaults();
        bool found = false;

        for (PQconninfoOption *option = options; option && option->keyword && !found; option++)
                found = streq(option->keyword, name);
        PQconninfoFree(options);
        return found;
}

/* The driver hands unknown options to the server as settings; libpq wants them inside "options". */
static void connection_parameters(const DatabaseUrl *url, char ***ret_keywords, char ***ret_values)
{
        _cleanup_strbuf_ Strbuf options = STRBUF_INIT;

        for (size_t i = 0; url->keywords[i]; i++) {
                if (streq(url->keywords[i], "binary_parameters"))
                        continue;
                if (streq(url->keywords[i], "options")) {
                        strbuf_addf(&options, " %s", url->values[i]);
                } else if (is_connection_parameter(url->keywords[i])) {
                        strv_add(ret_keywords, url->keywords[i]);
                        strv_add(ret_values, url->values[i]);
                } else {
                        strbuf_addf(&options, " -c %s=", url->keywords[i]);
                        for (const char *c = url->values[i]; *c; c++) {
                                if (*c == ' ' || *c == '\\')
                                        strbuf_addc(&options, '\\');
                                strbuf_addc(&options, *c);
                        }
                }
        }
        if (options.length) {
                strv_add(ret_keywords, "options");
                strv_add(ret_values, options.data);
        }
}

static int query_error(MigrateState *state, const PGresult *result, const char *sql, Error **err)
{
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        _cleanup_free_ char *reason = message ? xasprintf("pq: %s", message) : connection_reason(state->connection);
        int r = error_set(err, ERROR_FAILED, "%s in line 0: %s", reason, sql);

        if (err && *err && sqlstate)
                snprintf((*err)->sqlstate, sizeof((*err)->sqlstate), "%s", sqlstate);
        return r;
}

/* Waits for the server, and passes a second stop signal on as a cancel request. */
static void wait_for_result(MigrateState *state)
{
        bool cancelled = false;

        while (PQisBusy(state->connection)) {
                struct pollfd poller = { .fd = PQsocket(state->connection), .events = POLLIN };
                int n = poll(&poller, 1, -1);

                if (n < 0 && errno == EINTR && state->stop && *state->stop > 1 && !cancelled) {
                        PGcancel *cancel = PQgetCancel(state->connection);
                        char buffer[256];
                        PQcancel(cancel, buffer, sizeof(buffer));
                        PQfreeCancel(cancel);
                        cancelled = true;
                }
                if (n > 0 && !PQconsumeInput(state->connection))
                        return;
        }
}

static bool is_failure(const PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);

        return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE || status == PGRES_NONFATAL_ERROR;
}

int migrate_state_execute(MigrateState *state, const char *sql, size_t *ret_completed, PGresult **ret_result,
                          Error **err)
{
        PGresult *last = NULL, *result;
        size_t completed = 0;
        int r = 0;

        if (!PQsendQuery(state->connection, sql))
                return error_set(err, ERROR_UNAVAILABLE, "%s", PQerrorMessage(state->connection));
        for (;;) {
                wait_for_result(state);
                result = PQgetResult(state->connection);
                if (!result)
                        break;
                if (PQresultStatus(result) == PGRES_COPY_IN)
                        PQputCopyEnd(state->connection, "COPY … FROM STDIN has no data in a migration file");
                else if (PQresultStatus(result) == PGRES_COPY_OUT) {
                        char *row;
                        while (PQgetCopyData(state->connection, &row, 0) > 0)
                                PQfreemem(row);
                } else if (!last || !is_failure(last)) {
                        completed += !is_failure(result);
                        PQclear(last);
                        last = TAKE_PTR(result);
                }
                PQclear(result);
        }
        if (!last)
                r = error_set(err, ERROR_UNAVAILABLE, "the connection was lost");
        else if (is_failure(last))
                r = query_error(state, last, sql, err);
        if (ret_completed)
                *ret_completed = completed;
        if (ret_result)
                *ret_result = TAKE_PTR(last);
        PQclear(last);
        return r;
}

static int execute(MigrateState *state, Error **err, const char *format, ...) _printf_(3, 4);
static int execute(MigrateState *state, Error **err, const char *format, ...)
{
        _cleanup_free_ char *sql = NULL;
        va_list arguments;

        va_start(arguments, format);
        sql = xvasprintf(format, arguments);
        va_end(arguments);
        return migrate_state_execute(state, sql, NULL, NULL, err);
}

static char *quote(MigrateState *state, const char *name)
{
        char *quoted = PQescapeIdentifier(state->connection, name, strlen(name));
        char *copy = xstrdup(quoted ? quoted : "\"\"");

        PQfreemem(quoted);
        return copy;
}

char *migrate_state_quote_literal(MigrateState *state, const char *text)
{
        char *quoted = PQescapeLiteral(state->connection, text, strlen(text));
        char *copy = xstrdup(quoted ? quoted : "''");

        PQfreemem(quoted);
        return copy;
}

/* "a"."b" or "b" between quotes; the last part is the table. */
static int take_quoted_table(MigrateState *state, const char *table, Error **err)
{
        _cleanup_strv_ char **parts = NULL;

        for (const char *open = strchr(table, '"'), *end; open; open = strchr(end + 1, '"')) {
                end = strchr(open + 1, '"');
                if (!end)
                        break;
                strv_take(&parts, xstrndup(open + 1, (size_t)(end - open - 1)));
        }
        if (strv_length(parts) > 2)
                return error_set(err, ERROR_INVALID, "\"%s\" MigrationsTable contains too many dot characters", table);
        if (strv_length(parts) == 2)
                free_and_replace(&state->schema, xstrdup(parts[0]));
        free_and_replace(&state->table, xstrdup(parts[strv_length(parts) - 1]));
        return 0;
}

static int find_table(MigrateState *state, Error **err)
{
        _cleanup_free_ char *schema = migrate_state_quote_literal(state, state->schema);
        _cleanup_free_ char *table = migrate_state_quote_literal(state, state->table);
        _cleanup_free_ char *sql =
                xasprintf("SELECT COUNT(1) FROM information_schema.tables WHERE table_schema = %s AND "
                          "table_name = %s LIMIT 1",
                          schema, table);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        if (r == 0)
                state->table_exists = streq(PQgetvalue(result, 0, 0), "1");
        PQclear(result);
        return r;
}

static int find_names(const DatabaseUrl *url, MigrateState *state, Error **err)
{
        _cleanup_free_ char *name = NULL, *schema = NULL, *table = NULL;
        PGresult *result = NULL;
        int r = migrate_state_execute(state,
                                      "SELECT current_schema(), current_database(), "
                                      "current_setting('synchronous_commit')",
                                      NULL, &result, err);

        if (r == 0 && PQgetisnull(result, 0, 0))
                r = error_set(err, ERROR_NOT_FOUND, "no schema");
        if (r == 0) {
                state->schema = xstrdup(PQgetvalue(result, 0, 0));
                state->synchronous_commit = xstrdup(PQgetvalue(result, 0, 2));
                name = xstrdup(*url->lock_name ? url->lock_name : PQgetvalue(result, 0, 1));
        }
        PQclear(result);
        if (r < 0)
                return r;
        state->table = xstrdup(url->table ? url->table : "schema_migrations");
        if (url->table && url->table_quoted) {
                r = take_quoted_table(state, url->table, err);
                if (r < 0)
                        return r;
        }
        schema = quote(state, state->schema);
        table = quote(state, state->table);
        state->quoted = xasprintf("%s.%s", schema, table);
        state->lock_number = migrate_lock_number(state->schema, state->table, name);
        return 0;
}

static int log_in(const DatabaseUrl *url, MigrateState *state, Error **err)
{
        _cleanup_strv_ char **keywords = NULL, **values = NULL;

        connection_parameters(url, &keywords, &values);
        state->connection = PQconnectdbParams((const char *const *)keywords, (const char *const *)values, 0);
        STRV_FOREACH(value, values)
                erase_memory(*value, strlen(*value));
        if (PQstatus(state->connection) != CONNECTION_OK)
                return connection_error(state->connection, url, err);
        PQsetNoticeReceiver(state->connection, ignore_notice, NULL);
        return 0;
}

static int set_timeout(const DatabaseUrl *url, MigrateState *state, Error **err)
{
        return url->statement_timeout_ms
                       ? execute(state, err, "SET statement_timeout = %" PRId64, url->statement_timeout_ms)
                       : 0;
}

static int open_connection(const DatabaseUrl *url, MigrateState *state, Error **err)
{
        int r = log_in(url, state, err);

        if (r == 0)
                r = find_names(url, state, err);
        if (r == 0)
                r = find_table(state, err);
        return r < 0 ? r : set_timeout(url, state, err);
}

int migrate_state_log_in_again(MigrateState *state, const DatabaseUrl *url, Error **err)
{
        _cleanup_migrate_state_ MigrateState other = { .stop = state->stop };
        PGresult *result = NULL;
        int r = log_in(url, &other, err);

        if (r == 0)
                r = set_timeout(url, &other, err);
        if (r == 0)
                r = migrate_state_execute(&other, "SHOW synchronous_commit", NULL, &result, err);
        if (r == 0) {
                free_and_replace(&state->synchronous_commit, xstrdup(PQgetvalue(result, 0, 0)));
                PGconn *earlier = state->connection;

                state->connection = other.connection;
                other.connection = earlier;
        }
        PQclear(result);
        return r;
}

int migrate_state_open(const DatabaseUrl *url, MigrateState *ret, Error **err)
{
        _cleanup_migrate_state_ MigrateState state = { .stop = ret->stop };
        int r = open_connection(url, &state, err);

        if (r < 0)
                return error_prefix(err, r, "failed to open database");
        *ret = state;
        state = (MigrateState){ 0 };
        return 0;
}

static int try_lock(MigrateState *state, Error **err)
{
        _cleanup_free_ char *sql = xasprintf("SELECT pg_try_advisory_lock(%" PRIu32 ")", state->lock_number);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        if (r == 0)
                state->locked = streq(PQgetvalue(result, 0, 0), "t");
        PQclear(result);
        return error_prefix(err, r, "try lock failed");
}

/* Waiting inside pg_advisory_lock would hold a snapshot, for which CREATE INDEX CONCURRENTLY of the holder waits. */
int migrate_state_lock(MigrateState *state, int timeout_ms, Error **err)
{
        int64_t deadline = clock_monotonic_ns() + timeout_ms * NSEC_PER_MSEC;
        int wait_ms = FIRST_LOCK_WAIT_MS;

        for (;;) {
                int r = try_lock(state, err);
                if (r < 0 || state->locked)
                        return r;
                if (state->stop && *state->stop)
                        return error_set(err, ERROR_CANCELLED, "stopped while waiting for the database lock");
                if (clock_monotonic_ns() >= deadline) {
                        r = error_set(err, ERROR_TIMEOUT, "timeout: can't acquire database lock");
                        return error_hint(err, r,
                                          "Another migration is running, or one hangs: see pg_locks for advisory "
                                          "locks and pg_stat_activity for their sessions.");
                }
                poll(NULL, 0, wait_ms);
                wait_ms = MIN(wait_ms * 2, LONGEST_LOCK_WAIT_MS);
        }
}

int migrate_state_make_table(MigrateState *state, Error **err)
{
        int r;

        if (state->table_exists)
                return 0;
        r = execute(state, err,
                    "CREATE TABLE IF NOT EXISTS %s (version bigint not null primary key, dirty boolean not null)",
                    state->quoted);
        state->table_exists = r == 0;
        return r;
}

int migrate_state_unlock(MigrateState *state, Error **err)
{
        if (!state->locked || PQstatus(state->connection) != CONNECTION_OK)
                return 0;
        state->locked = false;
        return execute(state, err, "SELECT pg_advisory_unlock(%" PRIu32 ")", state->lock_number);
}

int migrate_state_version(MigrateState *state, int64_t *ret_version, bool *ret_dirty, Error **err)
{
        _cleanup_free_ char *sql = xasprintf("SELECT version, dirty FROM %s LIMIT 1", state->quoted);
        PGresult *result = NULL;
        int r;

        *ret_version = -1;
        *ret_dirty = false;
        if (!state->table_exists)
                return 0;
        r = migrate_state_execute(state, sql, NULL, &result, err);
        if (r == 0 && PQntuples(result) > 0) {
                parse_int64(PQgetvalue(result, 0, 0), INT64_MIN, INT64_MAX, ret_version);
                *ret_dirty = streq(PQgetvalue(result, 0, 1), "t");
        }
        PQclear(result);
        return r;
}

/* DELETE and not TRUNCATE, whose new file costs several milliseconds; the outcome is the same. */
static void add_set(const MigrateState *state, int64_t version, bool dirty, const char *also, Strbuf *sql)
{
        strbuf_addf(sql, "BEGIN; SET LOCAL synchronous_commit = %s; DELETE FROM %s;",
                    dirty ? "off" : state->synchronous_commit, state->quoted);
        if (version >= 0 || dirty)
                strbuf_addf(sql, "INSERT INTO %s (version, dirty) VALUES (%" PRId64 ", %s);", state->quoted, version,
                            dirty ? "true" : "false");
        strbuf_addf(sql, "%sCOMMIT;", also ? also : "");
}

static int run_set(MigrateState *state, const Strbuf *sql, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = migrate_state_execute(state, strbuf_text(sql), NULL, NULL, &error);

        if (r < 0 && PQtransactionStatus(state->connection) == PQTRANS_INERROR)
                migrate_state_execute(state, "ROLLBACK", NULL, NULL, NULL);
        return error_move(err, &error, r);
}

int migrate_state_set(MigrateState *state, int64_t version, bool dirty, const char *also, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        add_set(state, version, dirty, also, &sql);
        return run_set(state, &sql, err);
}

int migrate_state_advance(MigrateState *state, int64_t done, int64_t next, const char *also, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        add_set(state, done, false, also, &sql);
        add_set(state, next, true, NULL, &sql);
        return run_set(state, &sql, err);
}

int migrate_state_drop(MigrateState *state, Error **err)
{
        PGresult *result = NULL;
        int r = migrate_state_execute(state,
                                      "SELECT table_name FROM information_schema.tables WHERE "
                                      "table_schema=(SELECT current_schema()) AND table_type='BASE TABLE'",
                                      NULL, &result, err);

        for (int i = 0; r == 0 && i < PQntuples(result); i++) {
                _cleanup_free_ char *name = quote(state, PQgetvalue(result, i, 0));
                r = execute(state, err, "DROP TABLE IF EXISTS %s CASCADE", name);
        }
        PQclear(result);
        return r;
}
