/* attach: joined to the input and output of a container that runs. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/scope.h"
#include "cli/session.h"
#include "cli/verbs.h"

static int run_attach(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        bool passes_signals = !streq(invocation_text(invocation, "sig-proxy", "true"), "false");
        ExecSpec spec = { .stdin_fd = invocation_flag(invocation, "no-stdin") ? -1 : STDIN_FILENO,
                          .stdout_fd = STDOUT_FILENO,
                          .stderr_fd = STDERR_FILENO,
                          .timeout_ms = -1 };
        Session session;
        int r, code = 0;

        r = scope_open_container(invocation, invocation->arguments[0], &scope, &info, err);
        if (r < 0)
                return r;
        spec.tty = info->spec && info->spec->tty && spec.stdin_fd >= 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        r = session_begin(&session, scope.engine, info->id, &spec, err);
        if (r >= 0)
                r = session_end(&session, passes_signals, &code, err);
        return r < 0 ? r : code;
}

static const Option options[] = {
        { "index", 0, OPTION_NUMBER, "N", "The n-th container of a scaled service" },
        { "no-stdin", 0, OPTION_FLAG, NULL, "Without input" },
        { "sig-proxy", 0, OPTION_CHOICE, "WHETHER", "Pass Ctrl-C on to the container", "true|false" },
        { NULL },
};

const Command command_attach = {
        .name = "attach",
        .summary = "Join the input and output of a running container",
        .arguments = "SERVICE",
        .details =
                "Shows what it writes from now on, and ends with its exit status. Input is passed on where the service "
                "has \"stdin_open: true\". Ctrl-C is for the container; Ctrl-P Ctrl-Q leaves one that has a terminal.",
        .examples = "berth attach --sig-proxy=false db",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_attach,
        .complete = COMPLETE_SERVICES,
};
