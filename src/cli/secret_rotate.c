#include "cli/secret_rotate.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/database.h"
#include "compose/xsecurity.h"
#include "operate/login.h"
#include "operate/rotate.h"
#include "operate/secret_source.h"
#include "state/document.h"

typedef struct Call {
        Invocation *invocation;
        Scope scope;
        ContainerInfo *database;
        char *role;
        const FileSource *source; /* of the project; NULL: only its file is known */
        char *file;               /* NULL: the secret is no file */
        char **users;             /* services that read the file, without databases */
} Call;

static void call_done(Call *call)
{
        container_info_free(call->database);
        scope_done(&call->scope);
        free(call->role);
        free(call->file);
        strv_free(call->users);
}

/* ---- whose password, kept where ---- */

/* The file behind POSTGRES_PASSWORD_FILE, as the container has it. */
static char *file_of_superuser(const ContainerSpec *spec)
{
        const char *target = strv_env_get(spec->environment, "POSTGRES_PASSWORD_FILE");

        for (size_t i = 0; target && i < spec->n_files; i++)
                if (streq(spec->files[i].target, target) && spec->files[i].host_path)
                        return xstrdup(spec->files[i].host_path);
        for (size_t i = 0; target && i < spec->n_mounts; i++)
                if (spec->mounts[i].kind == SPEC_MOUNT_BIND && streq(spec->mounts[i].target, target))
                        return xstrdup(spec->mounts[i].source);
        return NULL;
}

static const FileSource *source_of_superuser(const Call *call, const Service *service)
{
        const char *target = strv_env_get(call->database->spec->environment, "POSTGRES_PASSWORD_FILE");

        for (size_t i = 0; target && service && i < service->n_secrets; i++)
                if (streq_ptr(service->secrets[i].target, target))
                        return project_find_secret(call->scope.project, service->secrets[i].source);
        return NULL;
}

static const FileSource *source_of_role(const Call *call, const Service *service)
{
        XSecurity wanted;

        x_security_read(call->scope.project, service, &wanted);
        for (size_t i = 0; i < wanted.n_roles; i++)
                if (streq(wanted.roles[i].name, call->role))
                        return project_find_secret(call->scope.project, wanted.roles[i].secret);
        return NULL;
}

/* Where `role add` keeps it. */
static char *file_by_custom(const Call *call)
{
        _cleanup_free_ char *name = xasprintf("secrets/%s_password", call->role), *path = NULL;

        if (!call->scope.project || !path_is_component(call->role))
                return NULL;
        path = path_join(call->scope.project->working_dir, name);
        return fs_exists(path) ? TAKE_PTR(path) : NULL;
}

static int find_secret(Call *call, bool is_superuser, Error **err)
{
        const Service *service =
                call->scope.project ? project_find_service(call->scope.project, call->database->service) : NULL;

        if (is_superuser) {
                call->source = source_of_superuser(call, service);
                call->file = file_of_superuser(call->database->spec);
        } else if (call->scope.project)
                call->source = source_of_role(call, service);
        if (!call->file && call->source)
                call->file = xstrdup(call->source->file);
        if (!call->file && !call->source && !is_superuser)
                call->file = file_by_custom(call);
        if (call->file || (call->source && invocation_flag(call->invocation, "adopt")))
                return 0;
        if (call->source)
                return error_hint(err,
                                  error_set(err, ERROR_UNSUPPORTED,
                                            "secret \"%s\" is no file: it can only be changed where it is kept",
                                            call->source->key),
                                  "Change it there, then bring the database up to it with --adopt.");
        if (is_superuser)
                return error_hint(
                        err,
                        error_set(err, ERROR_UNSUPPORTED,
                                  "the password of \"%s\" is in the compose file or its environment, "
                                  "not in a secret",
                                  call->role),
                        "Make it a secret and name its file in POSTGRES_PASSWORD_FILE; \"berth secret check\" says how.");
        return error_hint(err,
                          error_set(err, ERROR_NOT_FOUND,
                                    "it is not known which secret holds the password of role \"%s\"", call->role),
                          "Say it: x-berth: {roles: {%s: {kind: app, secret: NAME}}}.", call->role);
}

/* ---- who reads it ---- */

static bool reads(const ContainerSpec *spec, const char *file)
{
        for (size_t i = 0; i < spec->n_files; i++)
                if (streq_ptr(spec->files[i].host_path, file))
                        return true;
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (spec->mounts[i].kind == SPEC_MOUNT_BIND && streq_ptr(spec->mounts[i].source, file))
                        return true;
        return false;
}

static int find_users(Call *call, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        int r = call->scope.engine->operations->container_list(call->scope.engine, call->database->project, &list, err);

        for (size_t i = 0; r >= 0 && call->file && i < list.length; i++) {
                const ContainerInfo *info = list.items[i];
                if (info->state == CONTAINER_RUNNING && !info->oneoff && info->service &&
                    !container_is_database(info) && reads(info->spec, call->file) &&
                    !strv_contains(call->users, info->service))
                        strv_add(&call->users, info->service);
        }
        return r < 0 ? r : 0;
}

static int bring_to_containers(const Call *call, Error **err)
{
        bool restart = !invocation_flag(call->invocation, "no-restart");
        int r = client_request_quietly(call->invocation, call->database->project, "refresh", NULL, NULL, err);

        if (r < 0 || !call->users || !restart)
                return r;
        return client_request(call->invocation, call->database->project, "restart",
                              json_pack("{s:o, s:b}", "services", json_from_strv(call->users), "no_deps", true),
                              "Restarting", NULL, err);
}

/* ---- all of it ---- */

static int open_call(Call *call, const char *service, const char *role, Error **err)
{
        char *names[] = { (char *)service, NULL };
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        int r = scope_open(call->invocation, names, 0, &call->scope, err);

        if (r == 0)
                r = scope_database(&call->scope, service, &call->database, err);
        if (r < 0)
                return r;
        database_login_of(call->database, &login);
        call->role = xstrdup(role ? role : login.user);
        r = find_secret(call, streq(call->role, login.user), err);
        return r < 0 ? r : find_users(call, err);
}

static void tell(const Call *call, bool resumed)
{
        _cleanup_free_ char *users = call->users ? strv_join(call->users, ", ") : NULL;
        bool restarted = !invocation_flag(call->invocation, "no-restart");

        if (resumed)
                printf("the change that was cut off is finished\n");
        printf("role %s has %s password%s%s\n", call->role,
               invocation_flag(call->invocation, "adopt") ? "the secret's" : "a new", call->file ? ", kept in " : "",
               call->file ? call->file : "");
        if (users)
                printf("%s: %s\n",
                       restarted ? "restarted, because they read it" : "to be restarted, because they read it", users);
}

int secret_rotate(Invocation *invocation, const char *service, const char *role, Error **err)
{
        _cleanup_(call_done) Call call = { .invocation = invocation };
        _cleanup_(free_secretp) char *adopted = NULL;
        _cleanup_close_ int lock = -1;
        bool resumed = false;
        Rotation rotation;
        int r = open_call(&call, service, role, err);

        if (r == 0 && invocation_flag(invocation, "adopt"))
                r = call.file ? secret_file_read(call.file, &adopted, err)
                              : secret_source_read(call.source, &adopted, err);
        if (r == 0)
                r = rotation_lock(invocation->layout, call.database->project, &lock, err);
        if (r < 0)
                return r;
        rotation = (Rotation){ .layout = invocation->layout,
                               .engine = call.scope.engine,
                               .database = call.database,
                               .role = call.role,
                               .secret = call.file,
                               .adopt = adopted };
        r = rotation_run(&rotation, &resumed, err);
        if (r == 0)
                r = bring_to_containers(&call, err);
        if (r == 0)
                r = rotation_finish(&rotation, err);
        if (r < 0)
                return error_hint(err, r, "Ask for it again: it goes on where it ended.");
        tell(&call, resumed);
        return 0;
}

static int run_rotate(Invocation *invocation, Error **err)
{
        return secret_rotate(invocation, invocation->arguments ? invocation->arguments[0] : NULL,
                             invocation_text(invocation, "role", NULL), err);
}

static const Option options[] = {
        { "role", 0, OPTION_TEXT, "NAME", "The role (default: POSTGRES_USER)" },
        ROTATE_OPTIONS,
        { NULL },
};

const Command command_secret_rotate = {
        .name = "secret rotate",
        .summary = "Give a role of a database another password",
        .arguments = "[SERVICE]",
        .details =
                "The database gets a verifier of a new password, the secret's file is replaced, running containers get "
                "it, and the services that read it are restarted; the old password is refused from then on. Killed "
                "anywhere, it can be asked for again and goes on. With --adopt the database gets the password that the "
                "secret holds: for secrets that are kept in a vault, or that somebody edited.",
        .examples = "berth secret rotate db\nberth secret rotate db --role app\nberth secret rotate db --adopt",
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = options,
        .max_arguments = 1,
        .function = run_rotate,
        .complete = COMPLETE_SERVICES,
};
