#include "postgres/migrate/script.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/parse.h"
#include "postgres/migrate/role.h"
#include "postgres/migrate/statements.h"

#define EXCERPT_LIMIT 160

static bool is_blank(const char *text)
{
        return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

typedef struct Failure {
        const PGresult *result;  /* NULL: the connection broke */
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
                error_hint(err, r,
                           "Such a statement must be alone in its file: several statements in one file are one "
                           "transaction.");
        else if (hint)
                error_hint(err, r, "%s", hint);
}

/* What the server refused, at its place in the file: message, detail, line and column, and the statement alone. */
static int located_error(const Script *script, const Failure *failure, const Error *cause, Error **err)
{
        const char *message = failure->result ? PQresultErrorField(failure->result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        const char *detail = failure->result ? PQresultErrorField(failure->result, PG_DIAG_MESSAGE_DETAIL) : NULL;
        _cleanup_free_ char *excerpt = NULL, *column_text = NULL;
        Statements statements = { 0 };
        const Statement *statement;
        size_t offset;
        int line, column, r;
        bool exact;

        if (!message)
                return error_set(err, ERROR_UNAVAILABLE, "%s failed: %s in line 0: %s", script->noun, cause->message,
                                 path_basename(script->path));
        statements_split(failure->whole, &statements);
        offset = failing_offset(failure, &statements, &exact);
        statement = statements_find(&statements, offset);
        statements_locate(failure->whole, offset, &line, &column);
        excerpt = statement ? statements_excerpt(failure->whole, statement, EXCERPT_LIMIT) : xstrdup("");
        column_text = exact ? xasprintf(" (column %d)", column) : xstrdup("");
        vector_done(&statements);
        r = error_set_at(err, ERROR_FAILED, script->path, line, column,
                         "%s failed: %s%s%s%s in line %d: %s (details: pq: %s)", script->noun, message, column_text,
                         detail ? ", " : "", detail ? detail : "", line, excerpt, message);
        if (err && *err)
                snprintf((*err)->sqlstate, sizeof((*err)->sqlstate), "%s",
                         PQresultErrorField(failure->result, PG_DIAG_SQLSTATE));
        add_hint(failure, offset, message, r, err);
        return r;
}

/* sql is the part of whole that starts at byte base, after n_before statements. */
static int run_text(MigrateState *state, const Script *script, const char *sql, const char *whole, size_t base,
                    size_t n_before, Error **err)
{
        _cleanup_error_ Error *cause = NULL;
        PGresult *result = NULL;
        size_t completed = 0;
        int r = migrate_state_execute(state, sql, &completed, &result, &cause);

        if (r < 0) {
                Failure failure = {
                        .result = result, .sql = sql, .whole = whole, .base = base, .n_completed = n_before + completed
                };
                r = located_error(script, &failure, cause, err);
        }
        PQclear(result);
        return r;
}

/* x-multi-statement: each by itself. */
static int run_each(MigrateState *state, const Script *script, const char *sql, Error **err)
{
        Statements statements = { 0 };
        int r = 0;

        statements_split(sql, &statements);
        for (size_t i = 0; r == 0 && i < statements.length; i++) {
                const Statement *statement = &statements.items[i];
                _cleanup_free_ char *text = xstrndup(sql + statement->start, statement->end - statement->start);

                r = run_text(state, script, text, sql, statement->start, i, err);
        }
        vector_done(&statements);
        return r;
}

/* A file that opened a transaction and did not end it: what it did is not there. */
static int refuse_open_transaction(MigrateState *state, const Script *script, Error **err)
{
        int r;

        if (PQtransactionStatus(state->connection) == PQTRANS_IDLE)
                return 0;
        migrate_state_execute(state, "ROLLBACK", NULL, NULL, NULL);
        r = error_set_at(err, ERROR_FAILED, script->path, 0, 0,
                         "%s failed: %s begins a transaction and does not end it", script->noun,
                         path_basename(script->path));
        return error_hint(err, r,
                          "It was rolled back. Add COMMIT, or leave BEGIN out: a file is one transaction by itself.");
}

int script_run(MigrateState *state, const Script *script, const char *sql, Error **err)
{
        int r;

        if (is_blank(sql))
                return 0;
        r = migrate_role_check(state, script->path, sql, err);
        if (r == 0)
                r = script->multi_statement ? run_each(state, script, sql, err)
                                            : run_text(state, script, sql, sql, 0, 0, err);
        if (r == 0)
                r = refuse_open_transaction(state, script, err);
        return r < 0 ? r : migrate_role_return(state, script->path, err);
}
