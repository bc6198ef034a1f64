/* seed: what x-berth names: a folder of SQL files, a program, or both. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/verbs.h"
#include "operate/migration.h"

static int run_folder(const Invocation *invocation, const Scope *scope, const ContainerInfo *info,
                      const XBerth *settings, char *folder, Error **err)
{
        char *arguments[] = { (char[]){ "seed" }, folder, NULL };
        const Service *service = project_find_service(scope->project, info->service);
        _cleanup_(free_secretp) char *password = migration_role_password(scope->project, service);
        MigrationCommand command = { .layout = invocation->layout,
                                     .container = info,
                                     .settings = settings,
                                     .role = migration_role(scope->project, service),
                                     .role_password = password,
                                     .arguments = arguments,
                                     .stdin_fd = -1,
                                     .stdout_fd = STDOUT_FILENO,
                                     .stderr_fd = STDERR_FILENO };
        Process process;
        int status = 0, r;

        fflush(stdout);
        r = migration_spawn(&command, &process, err);
        if (r < 0)
                return r;
        signal(SIGINT, SIG_IGN); /* it reaches the program, which ends after the file that runs */
        r = process_wait(&process, -1, &status, err);
        signal(SIGINT, SIG_DFL);
        return r < 0 ? r : status;
}

static int run_program(const Invocation *invocation, const Scope *scope, const ContainerInfo *info,
                       const XBerth *settings, Error **err)
{
        _cleanup_strv_ char **words = NULL, **argv = NULL;
        ExecSpec spec = { .stdin_fd = -1, .stdout_fd = STDOUT_FILENO, .stderr_fd = STDERR_FILENO, .timeout_ms = -1 };
        int code = 0, r;

        if (settings->seed_service) {
                words = strv_new("run", "--rm", "--no-TTY", settings->seed_service, NULL);
                strv_add_all(&words, settings->seed_command);
                return invocation_run_words(invocation, words, err);
        }
        spec.argv = argv = database_client(settings->seed_command);
        fflush(stdout);
        r = scope->engine->operations->exec_stdio(scope->engine, info->id, &spec, &code, err);
        return r < 0 ? r : code;
}

static int nothing_to_run(Error **err)
{
        int r = error_set(err, ERROR_NOT_FOUND,
                          "no seeds: x-berth names none, and neither seeds nor database/seeds exists");

        return error_hint(err, r,
                          "Name a folder of SQL files, x-berth: {seed: FOLDER}, or a program, x-berth: {seed: "
                          "{service: SERVICE, command: [PROGRAM]}}.");
}

static int run_seed(Invocation *invocation, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *folder = NULL;
        _cleanup_scope_ Scope scope = { 0 };
        XBerth settings;
        int r;

        r = scope_open(invocation, invocation->arguments, SCOPE_NEEDS_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, invocation->arguments ? invocation->arguments[0] : NULL, &info, err);
        if (r < 0)
                return r;
        settings = scope_settings(&scope, info->service);
        if (settings.seed_path || !settings.seed_command)
                folder = migration_find_seeds(scope.project->working_dir, &settings);
        if (!folder && !settings.seed_command)
                return nothing_to_run(err);
        r = folder ? run_folder(invocation, &scope, info, &settings, folder, err) : 0;
        return r != 0 || !settings.seed_command ? r : run_program(invocation, &scope, info, &settings, err);
}

const Command command_seed = {
        .name = "seed",
        .summary = "Fill a database with what x-berth names as its seeds",
        .arguments = "[SERVICE]",
        .details =
                "A folder of SQL files (x-berth: {seed: FOLDER}; ./seeds or ./database/seeds where nothing is said), a "
                "program (x-berth: {seed: {service: api, command: [./seed]}}), or both, the files first.\n\n"
                "All *.sql files run in the order of their names, and all of them each time: write them so that a "
                "second run does no harm (INSERT ... ON CONFLICT DO NOTHING). Each file is one transaction; the first "
                "that fails ends it, with the statement and its place in the file, and what the files before it did "
                "stays. A program runs in a one-off container of its service, or, where no service is named, in the "
                "database's container with PGUSER, PGPASSWORD and PGDATABASE set.",
        .examples = "berth seed\nberth seed db",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT,
        .max_arguments = 1,
        .function = run_seed,
        .complete = COMPLETE_SERVICES,
};
