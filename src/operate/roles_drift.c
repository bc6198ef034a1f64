#include "base/mem.h"
#include "base/strv.h"
#include "operate/login.h"
#include "operate/roles.h"
#include "operate/sql.h"
#include "state/document.h"

/* A line for each thing that is not as the kind of role has it; :role is the role. */
#define TABLES                                                                                                         \
        "(SELECT c.oid, c.relowner, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace "  \
        "n ON n.oid = "                                                                                                \
        "c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname NOT IN "         \
        "('information_schema', "                                                                                      \
        "'berth') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid " \
        "AND d.deptype = "                                                                                             \
        "'e')) AS t"

static const char connect_drift[] =
        "SELECT 'everybody may connect to ' || quote_ident(datname) FROM pg_database d WHERE datname = "
        "current_database() AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE "
        "a.grantee = 0 AND a.privilege_type = 'CONNECT');\nSELECT 'it may not connect to ' || "
        "quote_ident(current_database()) WHERE NOT has_database_privilege(:'role', current_database(), 'CONNECT');\n"
        "SELECT 'it is a superuser' FROM pg_roles WHERE rolname = :'role' AND rolsuper;\nSELECT 'it may not log in' "
        "FROM pg_roles WHERE rolname = :'role' AND NOT rolcanlogin;\n";

static const char *const kind_drift[] = {
        [X_ROLE_OWNER] = "SELECT 'database ' || quote_ident(datname) || ' belongs to ' || pg_get_userbyid(datdba) FROM "
                         "pg_database WHERE datname = current_database() AND pg_get_userbyid(datdba) <> :'role';\n"
                         "SELECT format('%s of the tables and views belong to %s (%s, for one)', count(*), "
                         "pg_get_userbyid(relowner), min(name)) "
                         "FROM " TABLES " WHERE pg_get_userbyid(relowner) <> :'role' GROUP BY relowner;\n",
        [X_ROLE_APP] =
                "SELECT format('it may not read and write %s of the tables (%s, for one)', count(*), min(name)) "
                "FROM " TABLES " WHERE NOT "
                "(has_table_privilege(:'role', t.oid, 'SELECT') AND has_table_privilege(:'role', t.oid, 'INSERT') AND "
                "has_table_privilege(:'role', t.oid, 'UPDATE') AND has_table_privilege(:'role', t.oid, 'DELETE')) "
                "HAVING count(*) > 0;\n",
        [X_ROLE_READONLY] =
                "SELECT format('it may not read %s of the tables (%s, for one)', count(*), min(name)) FROM " TABLES
                " WHERE NOT has_table_privilege(:'role', t.oid, 'SELECT') HAVING count(*) > 0;\n"
                "SELECT format('it may write to %s of the tables (%s, for one)', count(*), min(name)) FROM " TABLES
                " WHERE has_table_privilege(:'role', t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') HAVING count(*) > 0;\n",
        [X_ROLE_MONITOR] =
                "SELECT 'it is no member of pg_monitor' WHERE NOT pg_has_role(:'role', 'pg_monitor', 'MEMBER');\n",
};

static json_t *find_row(json_t *rows, const char *name)
{
        json_t *row;
        size_t i;

        json_array_foreach(rows, i, row)
                if (streq(json_get_string(row, "Name", ""), name))
                        return row;
        return NULL;
}

static int look_in(Engine *engine, const ContainerInfo *container, const XRole *role, const char *database,
                   json_t *drift, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *text = NULL;
        _cleanup_strv_ char **lines = NULL;
        int r;

        strbuf_adds(&sql, "SELECT ");
        sql_add_literal(&sql, role->name);
        strbuf_adds(&sql, " AS role \\gset\n");
        strbuf_adds(&sql, connect_drift);
        strbuf_adds(&sql, kind_drift[role->kind]);
        r = sql_run(engine, container, database, strbuf_text(&sql), &text, err);
        if (r < 0)
                return r;
        lines = strv_split(text, '\n');
        STRV_FOREACH(line, lines)
                if (**line)
                        json_array_append_new(drift, json_string(*line));
        return 0;
}

static int look_at(Engine *engine, const ContainerInfo *container, const XRole *role, json_t *row, Error **err)
{
        const char *kind = json_get_string(row, "Kind", "");
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_strv_ char **databases = NULL;
        json_t *drift = json_array();

        json_object_set_new(row, "Drift", drift);
        if (!streq(kind, x_role_kind_name(role->kind)))
                json_array_append_new(drift, *kind ? json_sprintf("it was made as %s", kind)
                                                   : json_string("it was made by somebody else"));
        database_login_of(container, &login);
        databases = role->databases ? strv_copy(role->databases) : strv_new(login.database, NULL);
        STRV_FOREACH(database, databases) {
                int r = look_in(engine, container, role, *database, drift, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int roles_find_drift(Engine *engine, const ContainerInfo *container, const XSecurity *wanted, json_t *rows, Error **err)
{
        for (size_t i = 0; i < wanted->n_roles; i++) {
                const XRole *role = &wanted->roles[i];
                json_t *row = find_row(rows, role->name);
                int r = 0;

                if (row)
                        r = look_at(engine, container, role, row, err);
                else
                        json_array_append_new(rows, json_pack("{s:s, s:s, s:[s]}", "Name", role->name, "Kind",
                                                              x_role_kind_name(role->kind), "Drift",
                                                              "it is not there: berth up makes it"));
                if (r < 0)
                        return error_prefix(err, r, "role \"%s\"", role->name);
        }
        return 0;
}
