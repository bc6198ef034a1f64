#include "postgres/migrate/run.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/strv.h"
#include "postgres/migrate/statements.h"

#define EXCERPT_LIMIT 160

static void tell(const MigrateLog *log, const char *format, ...) _printf_(2, 3);
static void tell(const MigrateLog *log, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        log->line(log->context, text);
}

static char *step_title(const MigrateStep *step)
{
        return xasprintf("%" PRIu64 "/%c %s", step->version, step->up ? 'u' : 'd', step->name);
}

static bool is_blank(const char *text)
{
        return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

typedef struct Failure {
        const PGresult *result; /* NULL: the connection broke */
        const char *sql, *whole; /* what was sent, and the text it is a part of */
        size_t base;             /* where */
        size_t n_completed;      /* statements of the whole before the failing one */
} Failure;

/* The byte of the whole text that the server points at, or else the start of the statement that was running. */
static size_t failing_offset(const Failure *failure, const Statements *statements, bool *ret_exact)
{
        const char *position = PQresultErrorField(failure->result, PG_DIAG_STATEMENT_POSITION);
        int64_t number;

        *ret_exact = position && parse_int64(position, 1, INT64_MAX, &number);
        if (*ret_exact)
                return failure->base + statements_offset_of_position(failure->sql, (size_t)number);
        return failure->n_completed < statements->length ? statements->items[failure->n_completed].start
                                                         : failure->base;
}

static void add_hint(const Failure *failure, size_t offset, const char *message, int r, Error **err)
{
        const char *hint = PQresultErrorField(failure->result, PG_DIAG_MESSAGE_HINT);

        if (failure->whole[offset] == '\\')
                error_hint(err, r,
                           "Commands of psql that begin with a backslash are not SQL: a migration holds SQL only.");
        else if (strstr(message, "cannot run inside a transaction block") ||
                 strstr(message, "cannot be executed from a function or multi-command"))
                error_hint(err, r, "Such a statement must be alone in its file: several statements in one file are one "
                                   "transaction.");
        else if (hint)
                error_hint(err, r, "%s", hint);
}

/* What the server refused, at its place in the file: message, detail, line and column, and the statement alone. */
static int located_error(const MigrationSource *source, const MigrateStep *step, const Failure *failure,
                         const Error *cause, Error **err)
{
        const char *message = failure->result ? PQresultErrorField(failure->result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        const char *detail = failure->result ? PQresultErrorField(failure->result, PG_DIAG_MESSAGE_DETAIL) : NULL;
        _cleanup_free_ char *path = path_join(source->folder, step->file), *excerpt = NULL, *column_text = NULL;
        Statements statements = { 0 };
        const Statement *statement;
        size_t offset;
        int line, column, r;
        bool exact;

        if (!message)
                return error_set(err, ERROR_UNAVAILABLE, "migration failed: %s in line 0: %s", cause->message,
                                 step->file);
        statements_split(failure->whole, &statements);
        offset = failing_offset(failure, &statements, &exact);
        statement = statements_find(&statements, offset);
        statements_locate(failure->whole, offset, &line, &column);
        excerpt = statement ? statements_excerpt(failure->whole, statement, EXCERPT_LIMIT) : xstrdup("");
        column_text = exact ? xasprintf(" (column %d)", column) : xstrdup("");
        vector_done(&statements);
        r = error_set_at(err, ERROR_FAILED, path, line, column,
                         "migration failed: %s%s%s%s in line %d: %s (details: pq: %s)", message, column_text,
                         detail ? ", " : "", detail ? detail : "", line, excerpt, message);
        if (err && *err)
                snprintf((*err)->sqlstate, sizeof((*err)->sqlstate), "%s",
                         PQresultErrorField(failure->result, PG_DIAG_SQLSTATE));
        add_hint(failure, offset, message, r, err);
        return r;
}

/* sql is the part of whole that starts at byte base, after n_before statements. */
static int run_text(MigrateState *state, const MigrationSource *source, const MigrateStep *step, const char *sql,
                    const char *whole, size_t base, size_t n_before, Error **err)
{
        _cleanup_error_ Error *cause = NULL;
        PGresult *result = NULL;
        size_t completed = 0;
        int r = migrate_state_execute(state, sql, &completed, &result, &cause);

        if (r < 0) {
                Failure failure = { .result = result, .sql = sql, .whole = whole, .base = base,
                                    .n_completed = n_before + completed };
                r = located_error(source, step, &failure, cause, err);
        }
        PQclear(result);
        return r;
}

/* x-multi-statement: each by itself. */
static int run_each(MigrateState *state, const MigrationSource *source, const MigrateStep *step, const char *sql,
                    Error **err)
{
        Statements statements = { 0 };
        int r = 0;

        statements_split(sql, &statements);
        for (size_t i = 0; r == 0 && i < statements.length; i++) {
                const Statement *statement = &statements.items[i];
                _cleanup_free_ char *text = xstrndup(sql + statement->start, statement->end - statement->start);

                r = run_text(state, source, step, text, sql, statement->start, i, err);
        }
        vector_done(&statements);
        return r;
}

static int run_file(MigrateState *state, const MigrationSource *source, const MigrateStep *step, bool multi_statement,
                    const MigrateLog *log, Error **err)
{
        _cleanup_free_ char *title = step_title(step);
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r;

        if (log->verbose)
                tell(log, "Read and execute %s", title);
        r = migration_source_read(source, step->file, &sql, err);
        if (r < 0 || is_blank(strbuf_text(&sql)))
                return r;
        if (multi_statement)
                r = run_each(state, source, step, sql.data, err);
        else
                r = run_text(state, source, step, sql.data, sql.data, 0, 0, err);
        /* A file that opened a transaction and did not end it: what it did is not there. */
        if (r == 0 && PQtransactionStatus(state->connection) != PQTRANS_IDLE) {
                _cleanup_free_ char *path = path_join(source->folder, step->file);
                migrate_state_execute(state, "ROLLBACK", NULL, NULL, NULL);
                r = error_set_at(err, ERROR_FAILED, path, 0, 0,
                                 "migration failed: %s begins a transaction and does not end it", step->file);
                error_hint(err, r,
                           "It was rolled back. Add COMMIT, or leave BEGIN out: a file is one transaction by itself.");
        }
        return r;
}

static void tell_done(const MigrateLog *log, const MigrateStep *step, int64_t duration_ns)
{
        _cleanup_free_ char *title = step_title(step), *duration = format_duration(duration_ns);

        if (log->verbose)
                tell(log, "Finished %s (read 0s, ran %s)", title, duration);
        else
                tell(log, "%s (%s)", title, duration);
}

/* The migrations' own commits need not wait for the disk: the mark that says they are done does, and it comes later in
 * the same log. So each is durable when it is told, for one wait. */
static int relax_commits(MigrateState *state, bool relax, Error **err)
{
        return migrate_state_execute(state, relax ? "SET synchronous_commit = off" : "RESET synchronous_commit", NULL,
                                     NULL, err);
}

static bool must_stop(const MigrateState *state)
{
        return state->stop && *state->stop;
}

static int carry_out(MigrateState *state, const MigrationSource *source, const MigratePlan *plan,
                     const MigrateRequest *request, const MigrateLog *log, Error **err)
{
        bool marked = false;
        int r = 0;

        for (size_t i = 0; i < plan->steps.length && !must_stop(state); i++) {
                const MigrateStep *step = &plan->steps.items[i], *next = step + 1;
                int64_t start = clock_monotonic_ns();

                if (!marked)
                        r = migrate_state_set(state, step->target, true, err);
                if (r == 0 && step->file)
                        r = run_file(state, source, step, request->multi_statement, log, err);
                if (r < 0)
                        return r;
                marked = i + 1 < plan->steps.length && !must_stop(state);
                r = marked ? migrate_state_advance(state, step->target, next->target, err)
                           : migrate_state_set(state, step->target, false, err);
                if (r < 0)
                        return r;
                tell_done(log, step, clock_monotonic_ns() - start);
                /* The signal came while the next one was being marked. */
                if (marked && must_stop(state))
                        return migrate_state_set(state, step->target, false, err);
        }
        return must_stop(state) || !plan->failure ? 0 : error_set(err, ERROR_NOT_FOUND, "%s", plan->failure);
}

static int make_plan(const MigrationSource *source, const MigrateRequest *request, int64_t current, MigratePlan *ret,
                     Error **err)
{
        switch (request->command) {
        case MIGRATE_UP:
                return migrate_plan_up(source, current, request->limit, ret, err);
        case MIGRATE_DOWN:
                return migrate_plan_down(source, current, request->limit, ret, err);
        case MIGRATE_GOTO:
                return migrate_plan_goto(source, current, request->version, ret, err);
        }
        return error_set(err, ERROR_INTERNAL, "unknown migration command");
}

static void tell_plan(const MigrateLog *log, const MigratePlan *plan)
{
        VECTOR_FOREACH(step, &plan->steps) {
                _cleanup_free_ char *title = step_title(step);
                tell(log, "would run %s%s%s", title, step->file ? ": " : "", step->file ? step->file : "");
        }
        if (plan->failure)
                tell(log, "then: error: %s", plan->failure);
}

static int run_locked(MigrateState *state, const MigrationSource *source, const MigrateRequest *request,
                      const MigrateLog *log, Error **err)
{
        _cleanup_migrate_plan_ MigratePlan plan = { 0 };
        int64_t current;
        bool dirty;
        int r;

        r = migrate_state_version(state, &current, &dirty, err);
        if (r < 0)
                return r;
        if (dirty)
                return error_set(err, ERROR_CONFLICT, "Dirty database version %" PRId64 ". Fix and force version.",
                                 current);
        r = make_plan(source, request, current, &plan, err);
        if (r < 0)
                return r;
        if (plan.no_change)
                tell(log, "no change");
        if (request->dry_run) {
                tell_plan(log, &plan);
                return 0;
        }
        if (plan.steps.length > 0)
                r = relax_commits(state, true, err);
        if (r == 0)
                r = carry_out(state, source, &plan, request, log, err);
        return r;
}

int migrate_run(MigrateState *state, const MigrationSource *source, const MigrateRequest *request,
                const MigrateLog *log, Error **err)
{
        int r;

        /* Nothing to do by the command's own words: the original does not even lock. */
        if (request->command != MIGRATE_GOTO && request->limit == 0) {
                tell(log, "no change");
                return 0;
        }
        if (!request->dry_run) {
                r = migrate_state_lock(state, request->lock_timeout_ms, err);
                if (r < 0)
                        return r;
        }
        r = run_locked(state, source, request, log, err);
        migrate_state_unlock(state, NULL);
        return r;
}

int migrate_force(MigrateState *state, int64_t version, int lock_timeout_ms, Error **err)
{
        int r = migrate_state_lock(state, lock_timeout_ms, err);

        if (r == 0)
                r = migrate_state_set(state, version, false, err);
        migrate_state_unlock(state, NULL);
        return r;
}

int migrate_drop(MigrateState *state, int lock_timeout_ms, Error **err)
{
        int r = migrate_state_lock(state, lock_timeout_ms, err);

        if (r == 0)
                r = migrate_state_drop(state, err);
        migrate_state_unlock(state, NULL);
        return r;
}
