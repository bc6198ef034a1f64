#include "postgres/migrate/role.h"

#include "base/mem.h"
#include "base/strbuf.h"

/* Statements that hand over what notes the migrations: %1$s the role, %2$s and %3$s schema and table, as literals. */
static const char notes_query[] =
        "SELECT format('ALTER SCHEMA %%I OWNER TO %%I', nspname, %1$s) FROM pg_namespace WHERE nspname = 'berth' AND "
        "pg_get_userbyid(nspowner) = session_user UNION ALL SELECT format('ALTER TABLE %%I.%%I OWNER TO %%I', "
        "n.nspname, c.relname, "
        "%1$s) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND "
        "pg_get_userbyid(c.relowner) = session_user AND ((n.nspname = 'berth' AND c.relname = 'migrations') OR "
        "(n.nspname = %2$s AND "
        "c.relname = %3$s))";

/* Extensions' own tables apart. */
static const char others_query[] =
        "SELECT count(*), min(format('%I.%I', n.nspname, c.relname)), session_user FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = "
        "c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname NOT IN "
        "('information_schema', 'berth') AND pg_get_userbyid(c.relowner) = session_user AND NOT EXISTS (SELECT FROM "
        "pg_depend d WHERE "
        "d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

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

int migrate_role_assume(MigrateState *state, const char *role, const MigrateLog *log, Error **err)
{
        _cleanup_free_ char *literal = migrate_state_quote_literal(state, role);
        _cleanup_free_ char *sql = xasprintf("SELECT set_config('role', %s, false)", literal);
        int r = check_role(state, role, literal, err);

        if (r == 0)
                r = hand_over_notes(state, literal, err);
        if (r == 0)
                r = tell_of_others(state, role, log, err);
        if (r == 0)
                r = migrate_state_execute(state, sql, NULL, NULL, err);
        return error_prefix(err, r, "failed to open database");
}
