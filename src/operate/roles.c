#include "operate/roles.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "operate/login.h"
#include "operate/roles_private.h"
#include "operate/secret_source.h"
#include "operate/sql.h"
#include "postgres/guard.h"
#include "postgres/scram.h"
#include "state/document.h"

#define MARK "berth role: " /* then the kind and twelve digits of the wish */

/* What is done for a role in each of its databases. %r the role, %d the database, %o each owner in turn; $ marks
 * statements that are made by a query, one for each schema that is not the system's, as %s. */
static const char *const statements[][14] = {
        [X_ROLE_OWNER] = { "ALTER DATABASE %d OWNER TO %r;", "GRANT CONNECT, TEMPORARY, CREATE ON DATABASE %d TO %r;",
                           "REVOKE CREATE ON SCHEMA public FROM PUBLIC;", "ALTER SCHEMA public OWNER TO %r;", NULL },
        [X_ROLE_APP] = { "GRANT CONNECT, TEMPORARY ON DATABASE %d TO %r;", "$GRANT USAGE ON SCHEMA %s TO %r",
                         "$GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %r",
                         "$GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %s TO %r",
                         "ALTER DEFAULT PRIVILEGES FOR ROLE %o GRANT USAGE ON SCHEMAS TO %r;",
                         "ALTER DEFAULT PRIVILEGES FOR ROLE %o GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %r;",
                         "ALTER DEFAULT PRIVILEGES FOR ROLE %o GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO %r;", NULL },
        [X_ROLE_READONLY] = { "GRANT CONNECT ON DATABASE %d TO %r;", "$GRANT USAGE ON SCHEMA %s TO %r",
                              "$GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %r",
                              "ALTER DEFAULT PRIVILEGES FOR ROLE %o GRANT USAGE ON SCHEMAS TO %r;",
                              "ALTER DEFAULT PRIVILEGES FOR ROLE %o GRANT SELECT ON TABLES TO %r;", NULL },
        [X_ROLE_MONITOR] = { "GRANT CONNECT ON DATABASE %d TO %r;", "GRANT pg_monitor TO %r;", NULL },
};

/* ---- wishes ---- */

int roles_wish(const Project *project, const XSecurity *wanted, json_t **ret, Error **err)
{
        _cleanup_(json_decrefp_) json_t *wishes = json_array();

        for (size_t i = 0; i < wanted->n_roles; i++) {
                const XRole *role = &wanted->roles[i];
                const FileSource *secret = project_find_secret(project, role->secret);
                _cleanup_(free_secretp) char *password = NULL;
                json_t *wish;
                int r;

                if (!secret)
                        return error_hint(
                                err,
                                error_set(err, ERROR_NOT_FOUND, "role \"%s\": the project has no secret \"%s\"",
                                          role->name, role->secret),
                                "Define it: secrets: {%s: {file: ./secrets/%s}}.", role->secret, role->secret);
                r = secret_source_read(secret, &password, err);
                if (r < 0)
                        return error_prefix(err, r, "role \"%s\"", role->name);
                wish = json_pack("{s:s, s:s, s:b}", "name", role->name, "kind", x_role_kind_name(role->kind),
                                 "declared", true);
                json_set_string(wish, "password", password);
                if (role->databases)
                        json_object_set_new(wish, "databases", json_from_strv(role->databases));
                json_array_append_new(wishes, wish);
        }
        *ret = TAKE_PTR(wishes);
        return 0;
}

void roles_wish_free(json_t *wishes)
{
        const json_t *wish;
        size_t i;

        json_array_foreach(wishes, i, wish) {
                char *password = (char *)json_get_string(wish, "password", NULL);
                if (password)
                        erase_memory(password, strlen(password));
        }
        json_decref(wishes);
}

static XRoleKind kind_of(const json_t *wish)
{
        XRoleKind kind = X_ROLE_READONLY;

        x_role_kind_parse(json_get_string(wish, "kind", ""), &kind);
        return kind;
}

/* The names of the owners; without one, the superuser's. */
static char **owners_of(const json_t *wishes, const DatabaseLogin *login)
{
        char **owners = NULL;
        const json_t *wish;
        size_t i;

        json_array_foreach(wishes, i, wish)
                if (kind_of(wish) == X_ROLE_OWNER)
                        strv_add(&owners, json_get_string(wish, "name", ""));
        strv_add(&owners, login->user);
        return owners;
}

static char **databases_of(const json_t *wish, const DatabaseLogin *login)
{
        char **databases = json_get_strv(wish, "databases");

        return databases ? databases : strv_new(login->database, NULL);
}

/* ---- one role in one database ---- */

static void add_filled(Strbuf *sql, const char *text, const char *role, const char *database, const char *owner)
{
        const char *const values[] = { ['r'] = role, ['d'] = database, ['o'] = owner };

        for (; *text; text++) {
                if (*text == '%' && (text[1] == 'r' || text[1] == 'd' || text[1] == 'o'))
                        sql_add_identifier(sql, values[(unsigned char)*++text]);
                else
                        strbuf_addc(sql, *text);
        }
}

/* SELECT format('… %1$I …', nspname) … \gexec */
static void add_for_schemas(Strbuf *sql, const char *text, const char *role)
{
        _cleanup_strbuf_ Strbuf format = STRBUF_INIT;

        for (; *text; text++) {
                if (startswith(text, "%s")) {
                        strbuf_adds(&format, "%1$I");
                        text++;
                } else if (startswith(text, "%r")) {
                        strbuf_adds(&format, "%2$I");
                        text++;
                } else
                        strbuf_addc(&format, *text);
        }
        strbuf_adds(sql, "SELECT format(");
        sql_add_literal(sql, strbuf_text(&format));
        strbuf_adds(sql, ", nspname, ");
        sql_add_literal(sql, role);
        strbuf_adds(sql, ") FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \\gexec\n");
}

static void add_statement(Strbuf *sql, const char *statement, const char *role, const char *database,
                          char *const *owners)
{
        if (*statement == '$') {
                add_for_schemas(sql, statement + 1, role);
                return;
        }
        STRV_FOREACH(owner, owners) {
                if (strstr(statement, "%o") && streq(*owner, role))
                        continue;
                add_filled(sql, statement, role, database, *owner);
                strbuf_addc(sql, '\n');
                if (!strstr(statement, "%o"))
                        return;
        }
}

/* Where roles are declared, nobody else may connect: what PUBLIC has by default goes. */
static void add_privileges(Strbuf *sql, const json_t *wish, const char *database, char *const *owners)
{
        const char *const *list = statements[kind_of(wish)];

        strbuf_adds(sql, "BEGIN;\n");
        if (json_get_bool(wish, "declared", false))
                add_statement(sql, "REVOKE CONNECT, TEMPORARY ON DATABASE %d FROM PUBLIC;",
                              json_get_string(wish, "name", ""), database, owners);
        for (; *list; list++)
                add_statement(sql, *list, json_get_string(wish, "name", ""), database, owners);
        strbuf_adds(sql, "COMMIT;\n");
}

/* The comment: the same wish has the same digits. */
static char *mark_of(const json_t *wish, const DatabaseLogin *login, char *const *owners)
{
        _cleanup_strv_ char **databases = databases_of(wish, login);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *digits = NULL;

        STRV_FOREACH(database, databases)
                add_privileges(&text, wish, *database, owners);
        digits = sha256_hex(strbuf_text(&text), text.length);
        return xasprintf(MARK "%s %.12s", json_get_string(wish, "kind", ""), digits);
}

/* ---- what there is ---- */

typedef struct RoleFound {
        bool exists;
        char *verifier, *mark;
} RoleFound;

static void role_found_done(RoleFound *found)
{
        free(found->verifier);
        free(found->mark);
}

static int look_at(Engine *engine, const ContainerInfo *container, const char *name, RoleFound *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *text = NULL;
        _cleanup_strv_ char **columns = NULL;
        int r;

        strbuf_adds(
                &sql,
                "SELECT coalesce(rolpassword, ''), coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_authid "
                "WHERE rolname = ");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, ";\n");
        r = sql_run(engine, container, NULL, strbuf_text(&sql), &text, err);
        if (r < 0 || !*text)
                return r;
        text[strcspn(text, "\n")] = '\0';
        columns = strv_split(text, '\t');
        ret->exists = true;
        ret->verifier = xstrdup(columns[0]);
        ret->mark = xstrdup(columns[1] ? columns[1] : "");
        return 0;
}

static bool has_password(const RoleFound *found, const char *password)
{
        return scram_is_plain(password) && startswith(found->verifier, "SCRAM-SHA-256$") &&
               guard_password_matches(found->verifier, password);
}

/* ---- applying ---- */

static int add_role(Strbuf *sql, const RoleFound *found, const char *name, const char *password, bool *ret_needed,
                    Error **err)
{
        *ret_needed = !found->exists || (password && !has_password(found, password));
        if (!found->exists) {
                strbuf_adds(sql, "CREATE ROLE ");
                sql_add_identifier(sql, name);
                strbuf_adds(sql, " LOGIN;\n");
        }
        return *ret_needed && password ? sql_add_password(sql, name, password, err) : 0;
}

static int close_databases(Engine *engine, const ContainerInfo *container, const json_t *wish, const json_t *wishes,
                           const DatabaseLogin *login, char ***notes, Error **err)
{
        _cleanup_strv_ char **databases = databases_of(wish, login);

        STRV_FOREACH(database, databases) {
                _cleanup_free_ char *losers = NULL;
                int r = json_get_bool(wish, "declared", false)
                                ? roles_find_losers(engine, container, *database, wishes, &losers, err)
                                : 0;

                if (r < 0)
                        return r;
                if (losers && *losers)
                        strv_addf(notes,
                                  "database \"%s\" is for the roles of x-berth now, and no longer for everybody: %s "
                                  "cannot connect to it any more; \"berth role grant NAME KIND\" lets a role in",
                                  *database, losers);
        }
        return 0;
}

static int apply_privileges(Engine *engine, const ContainerInfo *container, const json_t *wish,
                            const DatabaseLogin *login, char *const *owners, Error **err)
{
        _cleanup_strv_ char **databases = databases_of(wish, login);

        STRV_FOREACH(database, databases) {
                _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
                int r;

                add_privileges(&sql, wish, *database, owners);
                r = sql_run(engine, container, *database, strbuf_text(&sql), NULL, err);
                if (r == 0 && json_get_bool(wish, "hand_over", false))
                        r = roles_hand_over(engine, container, *database, login->user,
                                            json_get_string(wish, "name", ""), err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_mark(Engine *engine, const ContainerInfo *container, const char *name, const char *mark, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;

        strbuf_adds(&sql, "COMMENT ON ROLE ");
        sql_add_identifier(&sql, name);
        strbuf_adds(&sql, " IS ");
        sql_add_literal(&sql, mark);
        strbuf_adds(&sql, ";\n");
        return sql_run(engine, container, NULL, strbuf_text(&sql), NULL, err);
}

static int apply_one(Engine *engine, const ContainerInfo *container, const json_t *wish, const json_t *wishes,
                     const DatabaseLogin *login, char *const *owners, bool *ret_changed, char ***notes, Error **err)
{
        const char *name = json_get_string(wish, "name", ""), *password = json_get_string(wish, "password", NULL);
        _cleanup_free_ char *mark = mark_of(wish, login, owners);
        _cleanup_(role_found_done) RoleFound found = { 0 };
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        bool needed = false, differs;
        int r;

        if (streq(name, login->user))
                return error_hint(err,
                                  error_set(err, ERROR_INVALID, "it is the superuser that the container was given"),
                                  "Choose another name: applications and migrations need no superuser.");
        r = look_at(engine, container, name, &found, err);
        if (r == 0)
                r = add_role(&sql, &found, name, password, &needed, err);
        if (r == 0 && needed)
                r = sql_run(engine, container, NULL, strbuf_text(&sql), NULL, err);
        strbuf_erase(&sql);
        differs = !found.exists || !streq(found.mark, mark) || json_get_bool(wish, "hand_over", false);
        *ret_changed = needed || differs;
        if (r == 0 && differs)
                r = close_databases(engine, container, wish, wishes, login, notes, err);
        if (r == 0 && differs)
                r = apply_privileges(engine, container, wish, login, owners, err);
        if (r == 0 && differs)
                r = set_mark(engine, container, name, mark, err);
        return r;
}

int roles_apply(Engine *engine, const ContainerInfo *container, const json_t *wishes, char ***changed, char ***notes,
                Error **err)
{
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_strv_ char **owners = NULL;
        const json_t *wish;
        size_t i;

        database_login_of(container, &login);
        owners = owners_of(wishes, &login);
        /* Owners first: the others' default privileges are about what they make. */
        for (int pass = 0; pass < 2; pass++)
                json_array_foreach(wishes, i, wish) {
                        const char *name = json_get_string(wish, "name", "");
                        bool is_changed = false;
                        int r = (kind_of(wish) == X_ROLE_OWNER) == (pass == 0)
                                        ? apply_one(engine, container, wish, wishes, &login, owners, &is_changed, notes,
                                                    err)
                                        : 0;

                        if (r < 0)
                                return error_prefix(err, r, "role \"%s\"", name);
                        if (is_changed)
                                strv_add(changed, name);
                }
        return 0;
}

int roles_list(Engine *engine, const ContainerInfo *container, json_t **ret, Error **err)
{
        static const char sql[] = "SELECT json_build_object('Name', r.rolname, 'Kind', "
                                  "coalesce(substring(shobj_description(r.oid, 'pg_authid') from '^berth role: "
                                  "([a-z]+)'), ''), 'Login', r.rolcanlogin, 'Superuser', r.rolsuper, 'Password', CASE "
                                  "WHEN a.rolpassword IS NULL THEN 'none' WHEN a.rolpassword LIKE 'SCRAM-SHA-256$%' "
                                  "THEN 'scram-sha-256' ELSE 'md5' END, 'MemberOf', (SELECT "
                                  "coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]') FROM pg_auth_members m JOIN "
                                  "pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)) FROM pg_roles r JOIN "
                                  "pg_authid a ON a.oid = r.oid WHERE r.rolname !~ '^pg_' ORDER BY r.rolname;\n";
        _cleanup_free_ char *text = NULL;
        _cleanup_strv_ char **lines = NULL;
        int r = sql_run(engine, container, NULL, sql, &text, err);

        if (r < 0)
                return r;
        *ret = json_array();
        lines = strv_split(text, '\n');
        STRV_FOREACH(line, lines)
                if (**line)
                        json_array_append_new(*ret, json_loads(*line, 0, NULL));
        return 0;
}
