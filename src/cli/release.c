/* release: everything of ours out of a cluster. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

static void tell_change(const char *service, const json_t *change)
{
        const char *name = json_get_string(change, "name", ""), *value = json_get_string(change, "value", "");
        const char *before = json_get_string(change, "before", NULL);

        if (streq(json_get_string(change, "what", ""), "slot"))
                printf("%s: replication slot %s is dropped\n", service, name);
        else if (!streq(json_get_string(change, "done", ""), "taken back"))
                printf("%s: %s stays \"%s\": somebody has changed it since\n", service, name, value);
        else if (before)
                printf("%s: %s is \"%s\" again (was \"%s\")\n", service, name, before, value);
        else
                printf("%s: %s is reset (was \"%s\")\n", service, name, value);
}

static void tell_service(const json_t *row)
{
        const char *service = json_get_string(row, "service", "");
        const json_t *changes = json_object_get(row, "changes"), *change;
        size_t i;

        json_array_foreach(changes, i, change)
                tell_change(service, change);
        if (!json_array_size(changes))
                printf("%s: nothing of Berth is in it\n", service);
        printf("%s: it is not backed up until the next \"berth up\"; its backups stay in %s\n", service,
               json_get_string(row, "repository", ""));
}

static int run_release(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *result = NULL;
        const json_t *row;
        size_t i;
        int r = scope_open(invocation, invocation->arguments, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r >= 0)
                r = client_request_quietly(invocation, scope.name, "release",
                                           json_pack("{s:o}", "services", json_from_strv(scope.services)), &result,
                                           err);
        if (r < 0)
                return r;
        if (invocation_json(invocation)) {
                _cleanup_free_ char *text = json_dumps(json_object_get(result, "services"), JSON_COMPACT);
                printf("%s\n", text);
                return 0;
        }
        json_array_foreach(json_object_get(result, "services"), i, row)
                tell_service(row);
        return 0;
}

static const Option options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_release = {
        .name = "release",
        .summary = "Take everything of Berth out of a running database: settings and replication slot",
        .arguments = "[SERVICE...]",
        .details =
                "Before another tool takes a database over, or where commits hang. Settings are as they were before "
                "Berth changed them (\"berth status\" lists them), except for those that somebody has changed since; "
                "the replication slot is dropped, commits wait for nobody. It can be repeated. The database goes on "
                "running, and is not backed up any more until the next \"berth up\", which then takes a new base "
                "backup where the log has a gap. What was backed up stays.",
        .examples = "berth release db",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .max_arguments = -1,
        .function = run_release,
        .complete = COMPLETE_SERVICES,
};
