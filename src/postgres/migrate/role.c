#include "postgres/migrate/role.h"

#include <strings.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "postgres/migrate/statements.h"

#define WORDS         6
#define EXCERPT_LIMIT 160

/* Statements that hand over what notes the migrations: %1$s the role, %2$s and %3$s schema and table, as literals. */
static const char notes_query[] =
        "SELECT format('ALTER SCHEMA %%I OWNER TO %%I', nspname, %1$s) FROM pg_namespace WHERE nspname = 'berth' AND "
        "pg_get_userbyid(nspowner) = session_user UNION ALL SELECT format('ALTER TABLE %%I.%%I OWNER TO %%I', "
        "n.nspname, c.relname, %1$s) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN "
        "('r', 'p') AND pg_get_userbyid(c.relowner) = session_user AND ((n.nspname = 'berth' AND c.relname = "
        "'migrations') OR (n.nspname = %2$s AND c.relname = %3$s))";

/* Extensions' own tables apart. */
static const char others_query[] =
        "SELECT count(*), min(format('%I.%I', n.nspname, c.relname)), session_user FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname NOT "
        "IN ('information_schema', 'berth') AND pg_get_userbyid(c.relowner) = session_user AND NOT EXISTS (SELECT FROM "
        "pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

static int check_role(MigrateState *state, const char *role, const char *literal, Error **err)
{
        _cleanup_free_ char *sql = xasprintf("SELECT 1 FROM pg_roles WHERE rolname = %s", literal);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        if (r == 0 && PQntuples(result) == 0)
                r = error_hint(err,
                               error_set(err, ERROR_NOT_FOUND,
                                         "role \"%s\" does not exist: migrations cannot run as it", role),
                               "\"berth up\" makes the roles of x-berth.");
        PQclear(result);
        return r;
}

static int hand_over_notes(MigrateState *state, const char *literal, Error **err)
{
        _cleanup_free_ char *schema = migrate_state_quote_literal(state, state->schema);
        _cleanup_free_ char *table = migrate_state_quote_literal(state, state->table);
        _cleanup_free_ char *sql = xasprintf(notes_query, literal, schema, table);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        for (int i = 0; r == 0 && i < PQntuples(result); i++)
                r = migrate_state_execute(state, PQgetvalue(result, i, 0), NULL, NULL, err);
        PQclear(result);
        return r;
}

static int tell_of_others(MigrateState *state, const char *role, const MigrateLog *log, Error **err)
{
        PGresult *result = NULL;
        int r = migrate_state_execute(state, others_query, NULL, &result, err);

        if (r == 0 && !streq(PQgetvalue(result, 0, 0), "0")) {
                _cleanup_free_ char *text = xasprintf(
                        "%s of the tables and views belong to %s and not to %s (%s, for one): migrations "
                        "cannot change them; \"berth role grant %s owner\" hands them over",
                        PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 2), role, PQgetvalue(result, 0, 1), role);
                log->warning(log->context, text);
        }
        PQclear(result);
        return r;
}

static int log_in_as(MigrateState *state, const DatabaseUrl *url, const char *role, const char *password, Error **err)
{
        _cleanup_database_url_ DatabaseUrl own = { .keywords = strv_copy(url->keywords),
                                                   .values = strv_copy(url->values),
                                                   .statement_timeout_ms = url->statement_timeout_ms };

        database_url_set_user(&own, role);
        database_url_set_password(&own, password);
        return migrate_state_log_in_again(state, &own, err);
}

static int set_role(MigrateState *state, const char *role, Error **err)
{
        _cleanup_free_ char *literal = migrate_state_quote_literal(state, role);
        _cleanup_free_ char *sql = xasprintf("SELECT set_config('role', %s, false)", literal);

        return migrate_state_execute(state, sql, NULL, NULL, err);
}

int migrate_role_assume(MigrateState *state, const DatabaseUrl *url, const char *role, const char *password,
                        const MigrateLog *log, Error **err)
{
        _cleanup_free_ char *literal = migrate_state_quote_literal(state, role);
        _cleanup_error_ Error *refusal = NULL;
        int r = check_role(state, role, literal, err);

        if (r == 0)
                r = hand_over_notes(state, literal, err);
        if (r == 0)
                r = tell_of_others(state, role, log, err);
        if (r == 0 && log_in_as(state, url, role, password, &refusal) < 0) {
                state->borrowed_role = xstrdup(role);
                state->login_refusal = xstrdup(refusal->message);
                r = set_role(state, role, err);
        }
        return error_prefix(err, r, "failed to open database");
}

/* ---- a role that is borrowed is not left ---- */

static bool is(const char *word, const char *text)
{
        return word && strcasecmp(word, text) == 0;
}

/* A name of a role as it stands in SQL: name, "Name" or 'Name'. */
static char *unquote(const char *word)
{
        _cleanup_strbuf_ Strbuf name = STRBUF_INIT;
        char quote = *word;

        if (quote != '"' && quote != '\'') {
                for (; *word; word++)
                        strbuf_addc(&name, *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word);
                return strbuf_take(&name);
        }
        for (word++; *word && (*word != quote || word[1] == quote); word++) {
                word += *word == quote;
                strbuf_addc(&name, *word);
        }
        return strbuf_take(&name);
}

/* Whether the role is another's than those that the borrowed one may become by itself. One that does not exist is for the
 * server to refuse. */
static int is_foreign(MigrateState *state, const char *role, bool *ret, Error **err)
{
        _cleanup_free_ char *to = migrate_state_quote_literal(state, role),
                            *from = migrate_state_quote_literal(state, state->borrowed_role);
        _cleanup_free_ char *sql =
                xasprintf("SELECT 1 FROM pg_roles WHERE rolname = %s AND NOT pg_has_role(%s, oid, 'MEMBER')", to, from);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        *ret = r == 0 && PQntuples(result) > 0;
        PQclear(result);
        return r;
}

/* words are a statement's first ones, NULL behind them. */
static int leaves_role(MigrateState *state, char *const *words, bool *ret, Error **err)
{
        _cleanup_free_ char *role = NULL;

        *ret = (is(words[0], "discard") && is(words[1], "all")) ||
               (is(words[0], "reset") &&
                (is(words[1], "role") || is(words[1], "session") || is(words[1], "session_authorization")));
        if (*ret || !is(words[0], "set"))
                return 0;
        words++;
        if (is(words[0], "local") || (is(words[0], "session") && !is(words[1], "authorization")))
                words++;
        *ret = is(words[0], "session") || is(words[0], "session_authorization");
        if (*ret || !is(words[0], "role"))
                return 0;
        words++;
        if (is(words[0], "=") || is(words[0], "to"))
                words++;
        if (!words[0])
                return 0;
        role = unquote(words[0]);
        *ret = streq(role, "none") || is(words[0], "default");
        return *ret ? 0 : is_foreign(state, role, ret, err);
}

static int refused(const MigrateState *state, const char *path, int line, int column, const char *what, Error **err)
{
        int r = error_set_at(err, ERROR_DENIED, path, line, column, "%s would leave role \"%s\" in line %d: %s",
                             path_basename(path), state->borrowed_role, line, what);

        return error_hint(
                err, r,
                "Let the role log in over loopback with its own password; then the server itself sees to what it may "
                "do. It refused: %s",
                state->login_refusal);
}

int migrate_role_check(MigrateState *state, const char *path, const char *sql, Error **err)
{
        Statements statements = { 0 };
        int r = 0;

        if (!state->borrowed_role)
                return 0;
        statements_split(sql, &statements);
        for (size_t i = 0; r == 0 && i < statements.length; i++) {
                const Statement *statement = &statements.items[i];
                _cleanup_strv_ char **words = statements_first_words(sql, statement, WORDS);
                bool leaves = false;

                r = words ? leaves_role(state, words, &leaves, err) : 0;
                if (r == 0 && leaves) {
                        _cleanup_free_ char *excerpt = statements_excerpt(sql, statement, EXCERPT_LIMIT);
                        int line, column;

                        statements_locate(sql, statement->start, &line, &column);
                        r = refused(state, path, line, column, excerpt, err);
                }
        }
        vector_done(&statements);
        return r;
}

int migrate_role_return(MigrateState *state, const char *path, Error **err)
{
        const char *superuser = PQparameterStatus(state->connection, "is_superuser");
        bool left = superuser && streq(superuser, "on");
        int r;

        if (!state->borrowed_role)
                return 0;
        r = migrate_state_execute(state, "RESET SESSION AUTHORIZATION", NULL, NULL, err);
        if (r == 0)
                r = set_role(state, state->borrowed_role, err);
        if (r == 0 && left)
                r = refused(state, path, 1, 1, "it ended with the rights of a superuser, and what it did stays", err);
        return r;
}
