/* wait: until containers end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/interrupts.h"
#include "cli/scope.h"
#include "cli/verbs.h"

/* Until descriptor is readable; ERROR_CANCELLED after Ctrl-C. */
static int await(int fd, Error **err)
{
        struct pollfd pollers[] = { { .fd = fd, .events = POLLIN }, { .fd = interrupts_open(), .events = POLLIN } };

        while (poll(pollers, 2, -1) < 0)
                if (errno != EINTR)
                        return error_set_errno(err, errno, "wait");
        return pollers[1].revents ? -ERROR_CANCELLED : 0;
}

/* How a container ended, once it has. */
static int await_container(Engine *engine, const ContainerInfo *before, int *ret_code, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *after = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        r = engine->operations->container_exit_fd(engine, before->id, &fd, NULL);
        if (r >= 0) {
                r = await(fd, err);
                if (r < 0)
                        return r;
        }
        r = engine->operations->container_inspect(engine, before->id, &after, err);
        if (r == -ERROR_NOT_FOUND)
                return error_prefix(err, r, "container %s was removed meanwhile", before->name);
        if (r < 0)
                return r;
        *ret_code = after->exit_code;
        return 0;
}

static int run_wait(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        int code = 0, r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        if (r < 0)
                return r;
        if (list.length == 0)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "no containers for project \"%s\"", scope.name),
                                  "\"berth up -d\" creates and starts them.");
        for (size_t i = 0; i < list.length; i++) {
                r = await_container(scope.engine, list.items[i], &code, err);
                if (r < 0)
                        return r;
                printf("%d\n", code);
                fflush(stdout);
                if (invocation_flag(invocation, "down-project"))
                        break;
        }
        if (invocation_flag(invocation, "down-project")) {
                r = client_request(invocation, scope.name, "down", json_object(), "Removing", NULL, err);
                if (r < 0)
                        return r;
        }
        return code;
}

static const Option options[] = {
        { "down-project", 0, OPTION_FLAG, NULL, "Take the project down when the first one ends" },
        { NULL },
};

const Command command_wait = {
        .name = "wait",
        .summary = "Wait until containers end, and print their exit status",
        .arguments = "SERVICE [SERVICE...]",
        .details = "Ends with the exit status of the last one.",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_PROJECT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_wait,
        .complete = COMPLETE_SERVICES,
};
