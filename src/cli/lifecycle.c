/* start, stop, restart, kill, rm, pause, unpause: requests to the keeper about containers that exist. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

/* {"services": […]} where some are named, and the time limit where it is given. */
static json_t *base_params(const Invocation *invocation, const Scope *scope)
{
        json_t *params = json_object();

        if (scope->services)
                json_object_set_new(params, "services", json_from_strv(scope->services));
        if (invocation_given(invocation, "timeout"))
                json_object_set_new(params, "timeout_ms",
                                    json_integer(invocation_number(invocation, "timeout", 0) * 1000));
        return params;
}

/* A service that is named and has no container is an error, as it is with docker compose's start. */
static int check_existing(const Scope *scope, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        int r;

        r = scope_containers(scope, false, &list, err);
        if (r < 0)
                return r;
        STRV_FOREACH(service, scope->services) {
                bool found = false;

                for (size_t i = 0; i < list.length; i++)
                        found |= streq_ptr(list.items[i]->service, *service);
                if (!found)
                        return error_hint(
                                err,
                                error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container to start", *service),
                                "\"berth up -d %s\" creates and starts it.", *service);
        }
        if (list.length == 0)
                return error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no containers to start", scope->name),
                        "\"berth up -d\" creates and starts them.");
        return 0;
}

static int run_start(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        json_t *params;
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = check_existing(&scope, err);
        if (r < 0)
                return r;
        params = base_params(invocation, &scope);
        if (invocation_flag(invocation, "wait"))
                json_object_set_new(params, "wait", json_true());
        return client_request(invocation, scope.name, "start", params, "Starting", NULL, err);
}

/* Without containers there is nothing to ask a keeper for. */
static int request_if_any(Invocation *invocation, const char *method, const char *title,
                          json_t *(*more)(const Invocation *, json_t *), Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        json_t *params;
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        if (r < 0 || list.length == 0)
                return r;
        params = base_params(invocation, &scope);
        if (more)
                params = more(invocation, params);
        return client_request(invocation, scope.name, method, params, title, NULL, err);
}

static int run_stop(Invocation *invocation, Error **err)
{
        return request_if_any(invocation, "stop", "Stopping", NULL, err);
}

static json_t *restart_params(const Invocation *invocation, json_t *params)
{
        if (invocation_flag(invocation, "no-deps"))
                json_object_set_new(params, "no_deps", json_true());
        return params;
}

static int run_restart(Invocation *invocation, Error **err)
{
        return request_if_any(invocation, "restart", "Restarting", restart_params, err);
}

static json_t *kill_params(const Invocation *invocation, json_t *params)
{
        const char *signal = invocation_text(invocation, "signal", "SIGKILL");

        json_object_set_new(params, "signal", json_string(signal));
        return params;
}

static int run_kill(Invocation *invocation, Error **err)
{
        return request_if_any(invocation, "kill", "Killing", kill_params, err);
}

static int run_pause(Invocation *invocation, Error **err)
{
        return request_if_any(invocation, "pause", "Pausing", NULL, err);
}

static int run_unpause(Invocation *invocation, Error **err)
{
        return request_if_any(invocation, "unpause", "Resuming", NULL, err);
}

static bool can_be_removed(const ContainerInfo *info, bool stop)
{
        return stop || (info->state != CONTAINER_RUNNING && info->state != CONTAINER_PAUSED);
}

static int run_rm(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_(table_freep) Table *losses = table_create("CONTAINER", "STATUS", NULL);
        _cleanup_free_ char *what = NULL;
        bool stop = invocation_flag(invocation, "stop");
        json_t *params;
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                _cleanup_free_ char *status = container_status_text(list.items[i]);

                if (can_be_removed(list.items[i], stop))
                        table_add_row(losses, list.items[i]->name, status);
        }
        if (table_length(losses) == 0) {
                fprintf(stderr, "No stopped containers\n");
                return 0;
        }
        what = xasprintf("remove %zu container%s", table_length(losses), table_length(losses) == 1 ? "" : "s");
        r = confirm(what, losses, invocation_flag(invocation, "force"), "--force", err);
        if (r < 0)
                return r;
        params = base_params(invocation, &scope);
        json_object_set_new(params, "stop", json_boolean(stop));
        json_object_set_new(params, "volumes", json_boolean(invocation_flag(invocation, "volumes")));
        return client_request(invocation, scope.name, "rm", params, "Removing", NULL, err);
}

#define TIMEOUT_OPTION                                                                                                 \
        {                                                                                                              \
                "timeout", 't', OPTION_NUMBER, "SECONDS", "How long to wait before a container is killed"              \
        }

static const Option start_options[] = {
        { "wait", 0, OPTION_FLAG, NULL, "Wait until services are running or healthy" },
        { "wait-timeout", 0, OPTION_NUMBER, "SECONDS", "Longest time to wait" },
        { NULL },
};
static const Option stop_options[] = { TIMEOUT_OPTION, { NULL } };
static const Option restart_options[] = {
        { "no-deps", 0, OPTION_FLAG, NULL, "Not the services that depend on it" },
        TIMEOUT_OPTION,
        { NULL },
};
static const Option kill_options[] = {
        { "remove-orphans", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "signal", 's', OPTION_TEXT, "SIGNAL", "Signal to send (default: SIGKILL)" },
        { NULL },
};
static const Option rm_options[] = {
        { "force", 'f', OPTION_FLAG, NULL, "Do not ask" },
        { "yes", 'y', OPTION_FLAG, NULL, "", .flags = OPTION_HIDDEN },
        { "stop", 's', OPTION_FLAG, NULL, "Stop running containers first" },
        { "volumes", 'v', OPTION_FLAG, NULL, "Their anonymous volumes too" },
        { NULL },
};

#define ON_SERVICES                                                                                           \
        .arguments = "[SERVICE...]", .group = GROUP_RUN, .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT, \
        .max_arguments = -1, .complete = COMPLETE_SERVICES

const Command command_start = { .name = "start",
                                .summary = "Start containers that exist",
                                .options = start_options,
                                .function = run_start,
                                ON_SERVICES };
const Command command_stop = {
        .name = "stop", .summary = "Stop containers", .options = stop_options, .function = run_stop, ON_SERVICES
};
const Command command_restart = { .name = "restart",
                                  .summary = "Restart containers",
                                  .options = restart_options,
                                  .function = run_restart,
                                  ON_SERVICES };
const Command command_kill = { .name = "kill",
                               .summary = "Send a signal to containers",
                               .options = kill_options,
                               .function = run_kill,
                               ON_SERVICES };
const Command command_pause = { .name = "pause", .summary = "Freeze containers", .function = run_pause, ON_SERVICES };
const Command command_unpause = {
        .name = "unpause", .summary = "Let frozen containers go on", .function = run_unpause, ON_SERVICES
};
const Command command_rm = {
        .name = "rm",
        .summary = "Remove stopped containers",
        .details = "Named volumes stay. What a container wrote outside of volumes is lost.",
        .differences =
                "without a terminal it needs --force; docker compose reads the answer from whatever standard input is.",
        .options = rm_options,
        .function = run_rm,
        ON_SERVICES,
};
