#include "cli/attach.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/describe.h"
#include "cli/interrupts.h"
#include "state/document.h"

#define RESTART_POLL_MS 100

typedef struct Attached { /* a container */
        char *id, *label, *service;
        int64_t shown_from_ns; /* start of the run whose output is (or was) shown */
        bool reading;
        bool shown;       /* --attach and --no-attach choose */
        bool ended;       /* for good */
        int64_t restarts; /* before the run whose output is shown; the keeper counts the next one as soon as it ends */
        int exit_code;
} Attached;

typedef struct Attachment {
        const Invocation *invocation;
        const Scope *scope;
        const AttachOptions *options;
        LogView *view;
        VECTOR(Attached) containers;
        int first_exit_code; /* -1: none ended */
} Attachment;

static void attachment_done(Attachment *attachment)
{
        log_view_free(attachment->view);
        VECTOR_FOREACH(container, &attachment->containers) {
                free(container->id);
                free(container->label);
                free(container->service);
        }
        vector_done(&attachment->containers);
}

static bool is_shown(const AttachOptions *options, const ContainerInfo *info)
{
        if (!info->service)
                return true;
        if (strv_contains(options->not_services, info->service))
                return false;
        return !options->services || strv_contains(options->services, info->service);
}

static bool runs(const ContainerInfo *info)
{
        return info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;
}

/* The keeper starts it again after its end. */
static bool will_restart(const Attached *container, const ContainerInfo *info)
{
        const char *policy = info->spec && info->spec->restart ? info->spec->restart : "no";

        if (container_was_told_to_stop(info) || info->state == CONTAINER_DEAD)
                return false;
        if (startswith(policy, "on-failure")) {
                const char *limit = strchr(policy, ':');

                return info->exit_code != 0 && (!limit || container->restarts < atoll(limit + 1));
        }
        return streq(policy, "always") || streq(policy, "unless-stopped");
}

static int follow(Attachment *attachment, Attached *container, const ContainerInfo *info, int64_t since_ns, Error **err)
{
        LogQuery query = { .follow = true, .tail = -1, .since_ns = since_ns, .cancel_fd = -1 };

        container->shown_from_ns = info->started_ns;
        container->restarts = info->restart_count;
        container->reading = true;
        if (!container->shown) /* its end is noticed all the same */
                query.since_ns = INT64_MAX;
        return log_view_add(attachment->view, container->id, container->label, &query, err);
}

static int add_containers(Attachment *attachment, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        int r;

        r = attachment->scope->engine->operations->container_list(attachment->scope->engine, attachment->scope->name,
                                                                  &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++)
                if (!list.items[i]->oneoff && is_shown(attachment->options, list.items[i]))
                        log_view_reserve_width(attachment->view, container_short_name(list.items[i]));
        for (size_t i = 0; i < list.length; i++) {
                ContainerInfo *info = list.items[i];
                Attached *container;

                if (info->oneoff || info->started_ns == 0)
                        continue;
                /* What ended before this `up` and was not started by it says nothing new. */
                if (!runs(info) && info->finished_ns < attachment->options->since_ns)
                        continue;
                container = vector_add_zero(&attachment->containers);
                *container = (Attached){ .id = xstrdup(info->id),
                                         .label = xstrdup(container_short_name(info)),
                                         .service = xstrdup(info->service ?: ""),
                                         .shown = is_shown(attachment->options, info) };
                r = follow(attachment, container, info, MAX(attachment->options->since_ns, (int64_t)0), err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static Attached *find_attached(Attachment *attachment, const char *id)
{
        VECTOR_FOREACH(container, &attachment->containers)
                if (streq(container->id, id))
                        return container;
        return NULL;
}

/* 1: this end ends everything. */
static int container_ended(Attachment *attachment, Attached *container, const ContainerInfo *info)
{
        const AttachOptions *options = attachment->options;
        _cleanup_free_ char *note = xasprintf("%s exited with code %d", container->label, info->exit_code);
        bool counts = !options->exit_code_from || streq(options->exit_code_from, container->service);

        container->ended = !will_restart(container, info);
        container->exit_code = info->exit_code;
        if (container->shown)
                log_view_note(attachment->view, container->id, note);
        if (counts && attachment->first_exit_code < 0)
                attachment->first_exit_code = info->exit_code;
        return (options->abort_on_exit && (!options->exit_code_from || counts)) ||
               (options->abort_on_failure && info->exit_code != 0);
}

/* The state of a container whose output has ended or that waits to be started again. 1: everything ends. */
static int look_again(Attachment *attachment, Attached *container, bool output_ended, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        Engine *engine = attachment->scope->engine;
        int r;

        r = engine->operations->container_inspect(engine, container->id, &info, NULL);
        if (r < 0) { /* removed, or recreated by somebody else */
                container->ended = true;
                return 0;
        }
        if (info->started_ns > container->shown_from_ns)
                return follow(attachment, container, info, info->started_ns, err);
        if (!output_ended) {
                container->ended = !will_restart(container, info);
                return 0;
        }
        if (runs(info)) /* its end is being written down */
                return 0;
        return container_ended(attachment, container, info);
}

static int look_at_waiting(Attachment *attachment, bool *ret_any, Error **err)
{
        *ret_any = false;
        for (size_t i = 0; i < attachment->containers.length; i++) {
                Attached *container = &attachment->containers.items[i];
                int r;

                if (container->reading || container->ended)
                        continue;
                r = look_again(attachment, container, false, err);
                if (r != 0)
                        return r;
                *ret_any |= !container->reading && !container->ended;
        }
        return 0;
}

/* Of the services that were named, as docker compose: what they depend on may serve others, and goes on. */
static json_t *named_services(const Scope *scope)
{
        json_t *params = json_object();

        if (scope->services)
                json_object_set_new(params, "services", json_from_strv(scope->services));
        return params;
}

static int stop(const Invocation *invocation, const Scope *scope, Error **err)
{
        json_t *params = named_services(scope);

        if (invocation_given(invocation, "timeout"))
                json_object_set_new(params, "timeout_ms",
                                    json_integer(invocation_number(invocation, "timeout", 0) * 1000));
        return client_request(invocation, scope->name, "stop", params, "Stopping", NULL, err);
}

int attach_stop(const Invocation *invocation, const Scope *scope, Error **err)
{
        int r;

        fprintf(stderr, "Gracefully stopping... (press Ctrl+C again to force)\n");
        r = stop(invocation, scope, err);
        if (r == -ERROR_CANCELLED)
                r = client_request(invocation, scope->name, "kill", named_services(scope), "Killing", NULL, err);
        return r;
}

/* 0: all have ended; 1: one end ends everything; ERROR_CANCELLED: Ctrl-C. */
static int watch(Attachment *attachment, Error **err)
{
        for (;;) {
                const char *id = NULL;
                bool waiting;
                int r = look_at_waiting(attachment, &waiting, err);

                if (r != 0)
                        return r;
                r = log_view_run(attachment->view, false, interrupts_open(), waiting ? RESTART_POLL_MS : -1, &id, err);
                if (r < 0)
                        return r;
                if (r == LOG_VIEW_INTERRUPTED) {
                        interrupts_take();
                        return -ERROR_CANCELLED;
                }
                if (r == LOG_VIEW_ALL_ENDED)
                        return 0;
                if (r == LOG_VIEW_ONE_ENDED) {
                        Attached *container = find_attached(attachment, id);

                        container->reading = false;
                        r = look_again(attachment, container, true, err);
                        if (r != 0)
                                return r;
                }
        }
}

int attach_to_project(const Invocation *invocation, const Scope *scope, const AttachOptions *options, Error **err)
{
        _cleanup_(attachment_done) Attachment attachment = {
                .invocation = invocation,
                .scope = scope,
                .options = options,
                .first_exit_code = -1,
                .view = log_view_create(scope->engine, options->style),
        };
        int r, stopped;

        interrupts_open();
        r = add_containers(&attachment, err);
        if (r < 0)
                return r;
        r = watch(&attachment, err);
        if (r == 0)
                return options->exit_code_from ? MAX(attachment.first_exit_code, 0) : 0;
        if (r < 0 && r != -ERROR_CANCELLED)
                return r;
        stopped = r == 1 ? stop(invocation, scope, err) : attach_stop(invocation, scope, err);
        if (stopped < 0)
                return stopped;
        return r == 1 ? MAX(attachment.first_exit_code, 0) : r;
}
