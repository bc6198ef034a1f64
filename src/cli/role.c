/* role …: the roles of a database, by what they are for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/database.h"
#include "cli/output/listing.h"
#include "cli/secret_rotate.h"
#include "cli/verbs.h"
#include "compose/xsecurity.h"
#include "operate/roles.h"
#include "operate/secret_source.h"
#include "postgres/password.h"
#include "state/document.h"

typedef struct RoleCall {
        Scope scope;
        ContainerInfo *info;
        XSecurity wanted;
} RoleCall;

static void role_call_done(RoleCall *call)
{
        container_info_free(call->info);
        scope_done(&call->scope);
}

static int role_open(Invocation *invocation, const char *service, RoleCall *ret, Error **err)
{
        char *names[] = { (char *)service, NULL };
        int r = scope_open(invocation, names, 0, &ret->scope, err);

        if (r == 0)
                r = scope_database(&ret->scope, service, &ret->info, err);
        if (r == 0 && ret->scope.project)
                x_security_read(ret->scope.project, project_find_service(ret->scope.project, ret->info->service),
                                &ret->wanted);
        return r;
}

static const XRole *find_wanted(const RoleCall *call, const char *name)
{
        for (size_t i = 0; i < call->wanted.n_roles; i++)
                if (streq(call->wanted.roles[i].name, name))
                        return &call->wanted.roles[i];
        return NULL;
}

/* ---- ls ---- */

static const ListingColumn columns[] = {
        { "NAME", "Name", false },           { "KIND", "Kind", false },         { "LOGIN", "Login", false },
        { "SUPERUSER", "Superuser", false }, { "PASSWORD", "Password", false }, { "SECRET", "Secret", false },
        { "MEMBER OF", "MemberOf", true },   { "DRIFT", "Drift", true },        { NULL, NULL, false },
};

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_(role_call_done) RoleCall call = { 0 };
        _cleanup_json_ json_t *rows = NULL;
        json_t *row;
        size_t i;
        int r = role_open(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &call, err);

        if (r == 0)
                r = roles_list(call.scope.engine, call.info, &rows, err);
        if (r == 0)
                r = roles_find_drift(call.scope.engine, call.info, &call.wanted, rows, err);
        if (r < 0)
                return r;
        json_array_foreach(rows, i, row) {
                const XRole *wanted = find_wanted(&call, json_get_string(row, "Name", ""));
                json_object_set_new(row, "Secret", json_string(wanted ? wanted->secret : ""));
        }
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

/* ---- add, grant ---- */

static int find_role(const RoleCall *call, const char *name, bool *ret_found, Error **err)
{
        _cleanup_json_ json_t *rows = NULL;
        const json_t *row;
        size_t i;
        int r = roles_list(call->scope.engine, call->info, &rows, err);

        *ret_found = false;
        json_array_foreach(rows, i, row)
                *ret_found |= streq(json_get_string(row, "Name", ""), name);
        return r;
}

/* The owners that x-berth names are part of the wish: default privileges are about what they make. */
static json_t *make_wishes(const RoleCall *call, const Invocation *invocation, const char *name, const char *kind,
                           const char *password)
{
        _cleanup_strv_ char **databases = invocation_list(invocation, "database");
        json_t *wish = json_pack("{s:s, s:s}", "name", name, "kind", kind), *wishes = json_array();

        json_set_string(wish, "password", password);
        if (databases)
                json_object_set_new(wish, "databases", json_from_strv(databases));
        json_array_append_new(wishes, wish);
        for (size_t i = 0; i < call->wanted.n_roles; i++) {
                const XRole *role = &call->wanted.roles[i];
                if (role->kind != X_ROLE_OWNER || streq(role->name, name))
                        continue;
                wish = json_pack("{s:s, s:s}", "name", role->name, "kind", "owner");
                if (role->databases)
                        json_object_set_new(wish, "databases", json_from_strv(role->databases));
                json_array_append_new(wishes, wish);
        }
        return wishes;
}

/* A password of the file where it is there already: an add that was cut off goes on. */
static int make_secret(const char *path, char **ret, Error **err)
{
        _cleanup_free_ char *folder = path_dirname(path);
        int r;

        if (fs_exists(path))
                return secret_file_read(path, ret, err);
        r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        *ret = password_generate();
        return fs_write_file(AT_FDCWD, path, *ret, strlen(*ret), 0600, err);
}

static int run_add(Invocation *invocation, Error **err)
{
        const char *name = invocation->arguments[0], *kind = invocation_text(invocation, "kind", "app");
        _cleanup_(role_call_done) RoleCall call = { 0 };
        _cleanup_(free_secretp) char *password = NULL;
        _cleanup_strv_ char **changed = NULL, **notes = NULL;
        _cleanup_free_ char *path = NULL, *relative = xasprintf("secrets/%s_password", name);
        json_t *wishes;
        bool found;
        int r;

        if (!path_is_component(name))
                return error_set(err, ERROR_USAGE, "\"%s\" cannot be a file's name, which a role's secret has", name);
        r = role_open(invocation, invocation_text(invocation, "service", NULL), &call, err);
        if (r == 0 && !call.scope.project)
                r = error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "no compose file: it is not known where the secret goes"),
                        "Run it in the project's folder.");
        if (r == 0)
                r = find_role(&call, name, &found, err);
        if (r == 0 && found)
                r = error_hint(
                        err, error_set(err, ERROR_EXISTS, "role \"%s\" exists", name),
                        "\"berth role grant %s KIND\" gives it rights, \"berth role rotate %s\" another password.",
                        name, name);
        if (r < 0)
                return r;
        path = path_join(call.scope.project->working_dir, relative);
        r = make_secret(path, &password, err);
        if (r < 0)
                return r;
        wishes = make_wishes(&call, invocation, name, kind, password);
        r = roles_apply(call.scope.engine, call.info, wishes, &changed, &notes, err);
        roles_wish_free(wishes);
        if (r < 0)
                return r;
        printf("role %s (%s) is there; its password is in %s\n\nTo have it made wherever the project is brought up, "
               "write:\n"
               "  services: {%s: {x-berth: {roles: {%s: {kind: %s, secret: %s_password}}}}}\n"
               "  secrets: {%s_password: {file: ./%s}}\n",
               name, kind, relative, call.info->service, name, kind, name, name, relative);
        return 0;
}

static int run_grant(Invocation *invocation, Error **err)
{
        const char *name = invocation->arguments[0], *kind = invocation->arguments[1];
        _cleanup_(role_call_done) RoleCall call = { 0 };
        _cleanup_strv_ char **changed = NULL, **notes = NULL;
        _cleanup_json_ json_t *wishes = NULL;
        XRoleKind parsed;
        bool found;
        int r;

        if (!x_role_kind_parse(kind, &parsed))
                return error_set(err, ERROR_USAGE, "\"%s\" is no kind of role: owner, app, readonly or monitor", kind);
        r = role_open(invocation, invocation_text(invocation, "service", NULL), &call, err);
        if (r == 0)
                r = find_role(&call, name, &found, err);
        if (r == 0 && !found)
                r = error_hint(err, error_set(err, ERROR_NOT_FOUND, "no role \"%s\"", name),
                               "\"berth role add %s --kind %s\" makes it.", name, kind);
        if (r < 0)
                return r;
        wishes = make_wishes(&call, invocation, name, kind, NULL);
        json_object_set_new(json_array_get(wishes, 0), "hand_over", json_boolean(parsed == X_ROLE_OWNER));
        r = roles_apply(call.scope.engine, call.info, wishes, &changed, &notes, err);
        if (r == 0)
                printf("role %s is %s now\n", name, kind);
        return r;
}

static int run_rotate(Invocation *invocation, Error **err)
{
        return secret_rotate(invocation, invocation_text(invocation, "service", NULL), invocation->arguments[0], err);
}

#define SERVICE_OPTION                                                                                      \
        {                                                                                                   \
                "service", 0, OPTION_TEXT, "SERVICE", "The database; not needed where the project has one", \
                        .complete = COMPLETE_SERVICES                                                       \
        }
#define DATABASE_OPTION                                                                                                \
        {                                                                                                              \
                "database", 'd', OPTION_TEXT, "NAME", "In this database (default: POSTGRES_DB)",                       \
                        .flags = OPTION_REPEATABLE                                                                     \
        }

static const Option ls_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};
static const Option add_options[] = {
        { "kind", 0, OPTION_CHOICE, "KIND", "What it is for (default: app)", "owner|app|readonly|monitor" },
        DATABASE_OPTION,
        SERVICE_OPTION,
        { NULL },
};
static const Option grant_options[] = { DATABASE_OPTION, SERVICE_OPTION, { NULL } };
static const Option rotate_options[] = { SERVICE_OPTION, ROTATE_OPTIONS, { NULL } };

static const Command command_role_ls = {
        .name = "role ls",
        .summary = "List the roles of a database",
        .arguments = "[SERVICE]",
        .details = "DRIFT tells of the roles of x-berth what is not as their kinds have it: rights that are missing or "
                   "too many, tables of others, a database to which everybody may connect.",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = ls_options,
        .max_arguments = 1,
        .function = run_ls,
        .aliases = (const char *const[]){ "list", NULL },
        .complete = COMPLETE_SERVICES,
};

static const Command command_role_add = {
        .name = "role add",
        .summary = "Make a role with a password of its own",
        .arguments = "NAME",
        .details = "Kinds: owner (owns database and schemas), app (reads and writes data), readonly (reads data), "
                   "monitor (reads statistics). The generated password is kept in secrets/NAME_password of the "
                   "project's folder; what to write into the compose file is printed.",
        .examples = "berth role add reports --kind readonly",
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = add_options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_add,
};

static const Command command_role_grant = {
        .name = "role grant",
        .summary = "Give a role what a kind of role may do",
        .arguments = "NAME KIND",
        .details = "owner gets, besides, what the superuser owns in the database: schemas, tables, views, sequences, "
                   "functions and types, such as migrations made that ran as the superuser.",
        .examples = "berth role grant reports app",
        .flags = COMMAND_NEEDS_ROOT,
        .options = grant_options,
        .min_arguments = 2,
        .max_arguments = 2,
        .function = run_grant,
};

static const Command command_role_rotate = {
        .name = "role rotate",
        .summary = "Give a role another password (secret rotate --role)",
        .arguments = "NAME",
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = rotate_options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_rotate,
};

static const Command *const children[] = { &command_role_ls, &command_role_add, &command_role_grant,
                                           &command_role_rotate, NULL };

const Command command_role = {
        .name = "role",
        .summary = "Look after the roles of a database",
        .group = GROUP_DATABASE,
        .children = children,
};
