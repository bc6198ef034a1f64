/* psql: the database's own client, inside its container, with the names and the password that the container was given.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/verbs.h"
#include "keeper/readiness.h"

#define FRESH_NS (10 * NSEC_PER_SEC)
#define LOOK_NS  (20 * NSEC_PER_MSEC)

/* One that was started a moment ago may not listen yet. Where it is something else, psql says it better. */
static void await_fresh(const ContainerInfo *info)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        _cleanup_free_ char *path = readiness_path(info);

        while (path && !readiness_reached(path) && kill(info->pid, 0) == 0 &&
               clock_realtime_ns() - info->started_ns < FRESH_NS)
                nanosleep(&pause, NULL);
}

static int run_psql(Invocation *invocation, Error **err)
{
        char **arguments = invocation->arguments;
        bool named = arguments[0] && arguments[0][0] != '-';
        char *names[] = { named ? arguments[0] : NULL, NULL };
        _cleanup_strv_ char **command = strv_new("psql", NULL), **argv = NULL;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        ExecSpec spec = { .stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2, .timeout_ms = -1 };
        _cleanup_scope_ Scope scope = { 0 };
        int code = 0, r;

        r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, names[0], &info, err);
        if (r < 0)
                return r;
        await_fresh(info);
        arguments += named;
        if (arguments[0] && streq(arguments[0], "--")) /* as people write who are used to kubectl */
                arguments++;
        strv_add_all(&command, arguments);
        argv = database_client(command);
        spec.argv = argv;
        spec.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        fflush(stdout);
        /* Ctrl-C cancels a query, and is psql's. */
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        r = scope.engine->operations->exec_stdio(scope.engine, info->id, &spec, &code, err);
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        return r < 0 ? r : code;
}

const Command command_psql = {
        .name = "psql",
        .summary = "Open psql in a database's container",
        .arguments = "[SERVICE] [ARGS...]",
        .details = "User, database and password are the ones that the container was given (POSTGRES_USER, POSTGRES_DB, "
                   "their _FILE forms), so none is asked for. SERVICE can be left out where the project has one "
                   "database. What follows goes to psql; without SERVICE it begins with an option, after --.",
        .examples = "berth psql\nberth psql db -c 'SELECT version()'\nberth psql -- -c 'SELECT 1'\nberth psql db < "
                    "dump.sql",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_STOP_AT_ARGUMENT,
        .min_arguments = 0,
        .max_arguments = -1,
        .function = run_psql,
        .complete = COMPLETE_SERVICES,
};
