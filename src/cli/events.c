/* events: what happens to the project's containers, from the keeper. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/interrupts.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "keeper/start.h"
#include "state/document.h"

typedef struct Listener {
        const Scope *scope;
        bool json;
} Listener;

/* As docker compose prints them: "time container action id (name=…, …)". */
static void print_event(const Listener *listener, const json_t *event)
{
        const json_t *attributes = json_object_get(event, "attributes");
        const char *service = json_get_string(event, "service", json_get_string(attributes, "service", ""));
        _cleanup_free_ char *time = clock_format_rfc3339(json_get_int(event, "time_ns", 0));
        const char *key;
        json_t *value;
        bool first = true;

        if (listener->scope->services && !strv_contains(listener->scope->services, service))
                return;
        if (listener->json) {
                _cleanup_json_ json_t *object =
                        json_pack("{s:s, s:s, s:s, s:s, s:s, s:O*}", "time", time, "type", "container", "action",
                                  json_get_string(event, "action", ""), "id", json_get_string(event, "id", ""),
                                  "service", service, "attributes", attributes);
                _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);

                printf("%s\n", text);
                return;
        }
        printf("%s container %s %s (", time, json_get_string(event, "action", ""), json_get_string(event, "id", ""));
        json_object_foreach((json_t *)attributes, key, value) {
                printf("%s%s=%s", first ? "" : ", ", key, json_is_string(value) ? json_string_value(value) : "");
                first = false;
        }
        printf(")\n");
}

static int listen_for(ChannelClient *client, const Listener *listener, Error **err)
{
        _cleanup_json_ json_t *request = json_pack("{s:s}", "method", "events");
        int r = channel_client_send(client, request, err);

        while (r >= 0) {
                _cleanup_json_ json_t *line = NULL;
                const json_t *failure;

                r = channel_client_receive(client, -1, interrupts_open(), &line, err);
                if (r < 0)
                        return r;
                failure = json_object_get(line, "error");
                if (failure && !json_object_get(line, "event"))
                        return error_from_json(err, failure);
                if (json_object_get(line, "result"))
                        return 0;
                if (!streq(json_get_string(line, "event", ""), "container"))
                        continue;
                print_event(listener, line);
                r = report_flush(err);
        }
        return r;
}

static int run_events(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_(channel_client_freep) ChannelClient *client = NULL;
        _cleanup_error_ Error *reason = NULL;
        Listener listener = { &scope, invocation_flag(invocation, "json") || invocation_json(invocation) };
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = keeper_connect(invocation->layout, scope.name, KEEPER_START, &client, err);
        if (r < 0)
                return r;
        r = listen_for(client, &listener, &reason);
        return r == -ERROR_CANCELLED ? r : error_move(err, &reason, r);
}

static const Option options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { "json", 0, OPTION_FLAG, NULL, "An object a line" },
        { NULL },
};

const Command command_events = {
        .name = "events",
        .summary = "Follow what happens to containers",
        .arguments = "[SERVICE...]",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = -1,
        .function = run_events,
        .complete = COMPLETE_SERVICES,
};
