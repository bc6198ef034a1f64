/* migrate: the migration command on the project's database, without an address or a password to write. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/output/listing.h"
#include "cli/verbs.h"
#include "operate/migration.h"
#include "state/document.h"

static const ListingColumn status_columns[] = {
        { "VERSION", "version" },
        { "NAME", "name", .flexible = true },
        { "STATE", "state" },
        { "APPLIED", "applied_at" },
        { NULL },
};

static int wait_for_program(Process *process, Error **err)
{
        int status = 0, r;

        /* Ctrl-C reaches it too, and it finishes the running migration. */
        signal(SIGINT, SIG_IGN);
        r = process_wait(process, -1, &status, err);
        signal(SIGINT, SIG_DFL);
        return r < 0 ? r : status;
}

static int run_create(const Invocation *invocation, const char *folder, Error **err)
{
        _cleanup_free_ char *program = migration_program(invocation->layout);
        _cleanup_strv_ char **argv = strv_new(program, "create", "-ext", "sql", "-dir", folder, "-seq", NULL);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int r;

        strv_add_all(&argv, invocation->arguments + 1);
        spec.argv = argv;
        spec.stdout_fd = STDOUT_FILENO;
        spec.stderr_fd = STDERR_FILENO;
        r = process_spawn(&spec, &process, err);
        return r < 0 ? r : wait_for_program(&process, err);
}

static void add_row(void *context, const json_t *event)
{
        json_t *row = json_deep_copy(event);

        json_object_del(row, "event");
        json_array_append_new(context, row);
}

/* `status --format json` is as good as `--format json status`. */
static const char *status_format(const Invocation *invocation)
{
        const char *first = invocation->arguments[1], *value;

        if (!first || !startswith(first, "-"))
                return invocation_text(invocation, "format", NULL);
        first += strspn(first, "-");
        value = startswith(first, "format=");
        return value ? value : streq(first, "format") ? invocation->arguments[2] : first;
}

static int show_status(const Invocation *invocation, const MigrationCommand *command, Error **err)
{
        char *arguments[] = { invocation->arguments[0], NULL };
        _cleanup_json_ json_t *rows = json_array();
        MigrationCommand status = *command;
        int r;

        status.arguments = arguments;
        r = migration_run(&status, add_row, rows, -1, err);
        return r < 0 ? r : listing_print(rows, status_columns, status_format(invocation), LISTING_LINES, err);
}

static int run_on_database(const Invocation *invocation, const MigrationCommand *command, Error **err)
{
        Process process;
        int r;

        if (streq(invocation->arguments[0], "status"))
                return show_status(invocation, command, err);
        fflush(stdout);
        r = migration_spawn(command, &process, err);
        return r < 0 ? r : wait_for_program(&process, err);
}

static int run_migrate(Invocation *invocation, Error **err)
{
        const char *service = invocation_text(invocation, "service", NULL);
        char *names[] = { (char *)service, NULL };
        bool creates = streq(invocation->arguments[0], "create");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *folder = NULL;
        _cleanup_(free_secretp) char *password = NULL;
        _cleanup_scope_ Scope scope = { 0 };
        const char *role = NULL;
        MigrationCommand command;
        XBerth settings;
        int r;

        r = scope_open(invocation, names, creates ? SCOPE_NEEDS_MODEL : 0, &scope, err);
        if (r == 0 && !creates)
                r = scope_database(&scope, service, &info, err);
        if (r < 0)
                return r;
        settings = scope_settings(&scope, info ? info->service : service);
        r = migration_find_folder(scope.project ? scope.project->working_dir : NULL, &settings, creates, &folder, err);
        if (r < 0)
                return r;
        if (scope.project && info) {
                role = migration_role(scope.project, project_find_service(scope.project, info->service));
                password = migration_role_password(scope.project, project_find_service(scope.project, info->service));
        }
        command = (MigrationCommand){ .layout = invocation->layout,
                                      .container = info,
                                      .settings = &settings,
                                      .folder = folder,
                                      .json = invocation_json(invocation),
                                      .role = role,
                                      .role_password = password,
                                      .arguments = invocation->arguments,
                                      .stdin_fd = STDIN_FILENO,
                                      .stdout_fd = STDOUT_FILENO,
                                      .stderr_fd = STDERR_FILENO };
        return creates ? run_create(invocation, folder, err) : run_on_database(invocation, &command, err);
}

static const Option options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "How listings and plans are printed", "table|json" },
        { "service", 0, OPTION_TEXT, "SERVICE", "The database, where the project has several",
          .complete = COMPLETE_SERVICES },
        { NULL },
};

const Command command_migrate = {
        .name = "migrate",
        .summary = "Run migrations on the project's database",
        .arguments = "up [N] | down [N] | goto V | force V | version | status | drop | create NAME",
        .details =
                "Files, table, lock and messages are golang-migrate's, so both can be used on one database. The "
                "folder is the one that x-berth's migrations.path names, else ./migrations or ./database/migrations. "
                "No address and no password is asked for.\n\n"
                "up, down and goto take --dry-run, which prints what would run. status lists every file: applied, "
                "pending, dirty, changed since it was applied, missing, or out of order (it came after later ones "
                "had been applied, so up passes over it). For that, what is applied is noted with a checksum in the "
                "database's table berth.migrations.",
        .examples =
                "berth migrate create add_users\nberth migrate up --dry-run\nberth migrate up\nberth migrate status\n"
                "berth migrate down 1\nberth migrate --format json status",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_STOP_AT_ARGUMENT | COMMAND_JSON,
        .options = options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_migrate,
};
