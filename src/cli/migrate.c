/* migrate: the migration command on the project's database, without an address or a password to write. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/verbs.h"
#include "compose/xberth.h"

#define NANOSECONDS INT64_C(1000000000)

/* Everything but letters, digits and -._~ as %XX. */
static char *encode(const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
        _cleanup_strbuf_ Strbuf encoded = STRBUF_INIT;

        for (; *text; text++) {
                if (strchr(plain, *text))
                        strbuf_addc(&encoded, *text);
                else
                        strbuf_addf(&encoded, "%%%02X", (unsigned char)*text);
        }
        return strbuf_take(&encoded);
}

static XBerth settings_of(const Scope *scope, const char *service)
{
        const Service *found = NULL;
        XBerth settings = { .migrations_lock_timeout_ns = -1 };

        for (size_t i = 0; service && scope->project && i < scope->project->n_services; i++)
                if (streq(scope->project->services[i].name, service))
                        found = &scope->project->services[i];
        if (scope->project)
                x_berth_read(scope->project, found, &settings);
        return settings;
}

/* x-berth's, or the usual places. */
static int find_folder(const Scope *scope, const XBerth *settings, bool make, char **ret, Error **err)
{
        static const char *const usual[] = { "migrations", "database/migrations", "db/migrations" };
        const char *base = scope->project && scope->project->working_dir ? scope->project->working_dir : ".";
        _cleanup_free_ char *working = getcwd(NULL, 0), *root = path_clean(working ? working : "/", base);
        int r;

        if (settings->migrations_path) {
                *ret = path_clean(root, settings->migrations_path);
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
                _cleanup_free_ char *path = path_join(root, usual[i]);
                if (fs_is_directory(path)) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        if (make) {
                *ret = path_join(root, usual[0]);
                return 0;
        }
        r = error_set(err, ERROR_NOT_FOUND, "no folder of migrations: neither %s nor %s is in %s", usual[0], usual[1],
                      root);
        return error_hint(err, r,
                          "Name it: x-berth: {migrations: {path: FOLDER}}; or make one: berth migrate create NAME.");
}

/* Over loopback inside the container's network, where a server of the image asks for no password; if it does, it is the
 * container's own. */
static char *database_url(const ContainerInfo *info, const XBerth *settings)
{
        _cleanup_free_ char *user = container_variable(info, "POSTGRES_USER", "postgres");
        _cleanup_free_ char *name = container_variable(info, "POSTGRES_DB", user), *user_text = encode(user);
        _cleanup_free_ char *name_text = encode(name), *port = container_variable(info, "PGPORT", "5432");
        _cleanup_free_ char *table = settings->migrations_table ? encode(settings->migrations_table) : NULL;

        return xasprintf("postgres://%s@127.0.0.1:%s/%s?sslmode=prefer%s%s", user_text, port, name_text,
                         table ? "&x-migrations-table=" : "", table ? table : "");
}

static int run_program(char *const *argv, char *const *environment, int netns_fd, Error **err)
{
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int status = 0, r;

        spec.argv = argv;
        spec.environment = environment;
        spec.stdin_fd = STDIN_FILENO;
        spec.stdout_fd = STDOUT_FILENO;
        spec.stderr_fd = STDERR_FILENO;
        spec.netns_fd = netns_fd;
        fflush(stdout);
        r = process_spawn(&spec, &process, err);
        if (r < 0)
                return r;
        /* Ctrl-C reaches it too, and it finishes the running migration. */
        signal(SIGINT, SIG_IGN);
        r = process_wait(&process, -1, &status, err);
        signal(SIGINT, SIG_DFL);
        return r < 0 ? r : status;
}

static int run_create(const char *program, const char *folder, char *const *arguments, Error **err)
{
        _cleanup_strv_ char **argv = strv_new(program, "create", "-ext", "sql", "-dir", folder, "-seq", NULL);

        strv_add_all(&argv, arguments);
        return run_program(argv, NULL, -1, err);
}

static int run_on_database(Scope *scope, const XBerth *settings, const char *program, const char *folder,
                           const ContainerInfo *info, char *const *arguments, Error **err)
{
        _cleanup_free_ char *url = database_url(info, settings),
                            *namespace = xasprintf("/proc/%d/ns/net", (int)info->pid);
        _cleanup_(free_secretp) char *password = container_variable(info, "POSTGRES_PASSWORD", "");
        _cleanup_strv_ char **argv = strv_new(program, "-path", folder, "-database", url, NULL);
        _cleanup_strv_ char **environment = strv_copy(environ);
        _cleanup_close_ int netns_fd = open(namespace, O_RDONLY | O_CLOEXEC);

        if (netns_fd < 0)
                return error_set(err, ERROR_UNSUPPORTED, "the network of container %s cannot be entered from here",
                                 info->name);
        if (settings->migrations_lock_timeout_ns >= 0) {
                strv_add(&argv, "-lock-timeout");
                strv_addf(&argv, "%lld",
                          (long long)((settings->migrations_lock_timeout_ns + NANOSECONDS - 1) / NANOSECONDS));
        }
        strv_add_all(&argv, arguments);
        strv_env_set(&environment, "PGPASSWORD", password);
        return run_program(argv, environment, netns_fd, err);
}

static int run_migrate(Invocation *invocation, Error **err)
{
        const char *service = invocation_text(invocation, "service", NULL);
        char *names[] = { (char *)service, NULL };
        bool creates = streq(invocation->arguments[0], "create");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *folder = NULL, *program = layout_libexec(invocation->layout, "berth-migrate");
        _cleanup_scope_ Scope scope = { 0 };
        XBerth settings;
        int r;

        r = scope_open(invocation, names, creates ? SCOPE_NEEDS_MODEL : 0, &scope, err);
        if (r == 0 && !creates)
                r = scope_database(&scope, service, &info, err);
        if (r < 0)
                return r;
        settings = settings_of(&scope, info ? info->service : service);
        r = find_folder(&scope, &settings, creates, &folder, err);
        if (r < 0)
                return r;
        return creates ? run_create(program, folder, invocation->arguments + 1, err)
                       : run_on_database(&scope, &settings, program, folder, info, invocation->arguments, err);
}

static const Option options[] = {
        { "service", 0, OPTION_TEXT, "SERVICE", "The database, where the project has several" },
        { NULL },
};

const Command command_migrate = {
        .name = "migrate",
        .summary = "Run migrations on the project's database",
        .arguments = "up [N] | down [N] | goto V | force V | version | drop | create NAME",
        .details = "Files, table, lock and messages are golang-migrate's, so both can be used on one database. The "
                   "folder is the "
                   "one that x-berth's migrations.path names, else ./migrations or ./database/migrations. No address "
                   "and no "
                   "password is asked for.",
        .examples =
                "berth migrate create add_users\nberth migrate up\nberth migrate up -dry-run\nberth migrate down 1\n"
                "berth migrate version",
        .group = GROUP_DATA,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_STOP_AT_ARGUMENT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_migrate,
};
