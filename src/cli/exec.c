/* exec: straight to the engine; needs no keeper. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/environment.h"
#include "cli/output/color.h"
#include "cli/scope.h"
#include "cli/verbs.h"

/* A child that nobody waits for, with no terminal; the command's fate is its own, as with docker compose's exec -d. */
static int run_detached(Engine *engine, const ContainerInfo *info, ExecSpec *spec, Error **err)
{
        pid_t pid = fork();
        int code = 0;

        if (pid < 0)
                return error_set(err, ERROR_IO, "start a process in the background");
        if (pid > 0)
                return 0;
        setsid();
        for (int fd = 0; fd < 3; fd++)
                close(fd);
        open("/dev/null", O_RDWR | O_CLOEXEC);
        spec->stdin_fd = spec->stdout_fd = spec->stderr_fd = -1;
        spec->tty = false;
        engine->operations->exec_stdio(engine, info->id, spec, &code, NULL);
        _exit(0);
}

static int run_attached(Engine *engine, const ContainerInfo *info, const ExecSpec *spec, Error **err)
{
        int code = 0, r;

        /* Ctrl-C is the command's: it stands in the same group of processes of the terminal. */
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        r = engine->operations->exec_stdio(engine, info->id, spec, &code, err);
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        return r < 0 ? r : code;
}

static int run_exec(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_strv_ char **environment = NULL;
        ExecSpec spec = { .stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2, .timeout_ms = -1 };
        int r;

        r = scope_open_container(invocation, invocation->arguments[0], &scope, &info, err);
        if (r < 0)
                return r;
        r = environment_options(invocation, &environment, err);
        if (r < 0)
                return r;
        spec.argv = invocation->arguments + 1;
        spec.environment = environment;
        spec.user = invocation_text(invocation, "user", NULL);
        spec.working_dir = invocation_text(invocation, "workdir", NULL);
        spec.privileged = invocation_flag(invocation, "privileged");
        spec.tty = !invocation_flag(invocation, "no-tty") && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        fflush(stdout);
        if (invocation_flag(invocation, "detach"))
                return run_detached(scope.engine, info, &spec, err);
        return run_attached(scope.engine, info, &spec, err);
}

static const Option options[] = {
        { "detach", 'd', OPTION_FLAG, NULL, "Run it in the background" },
        { "env", 'e', OPTION_TEXT, "KEY=VALUE", "Set a variable; KEY alone takes it from here",
          .flags = OPTION_REPEATABLE },
        { "index", 0, OPTION_NUMBER, "N", "The n-th container of a scaled service" },
        { "interactive", 'i', OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "no-tty", 'T', OPTION_FLAG, NULL, "No terminal, even where there is one here" },
        { "no-TTY", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "tty", 't', OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "privileged", 0, OPTION_FLAG, NULL, "With all rights" },
        { "user", 'u', OPTION_TEXT, "USER", "Run as this user" },
        { "workdir", 'w', OPTION_TEXT, "DIR", "Start in this folder" },
        { NULL },
};

const Command command_exec = {
        .name = "exec",
        .summary = "Run a command in a running container",
        .arguments = "SERVICE COMMAND [ARGS...]",
        .details = "Ends with the command's exit status; 126 where it cannot be run and 127 where it is not found. The "
                   "command belongs to the container: where this client is killed (SIGKILL) it goes on there, as with "
                   "docker, unless it has a terminal, which is hung up. \"berth top\" shows it, and it ends with the "
                   "container.",
        .examples = "berth exec db psql -U postgres\nberth exec -T db pg_dump -U postgres app > app.sql\n"
                    "# by the name of a container, from any folder\nberth exec demo-db-1 sh",
        .differences = "-it is accepted and does nothing: a terminal is used where there is one.",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_STOP_AT_ARGUMENT,
        .options = options,
        .min_arguments = 2,
        .max_arguments = -1,
        .function = run_exec,
        .complete = COMPLETE_SERVICES,
};
