/* inspect: all that is known of containers, volumes and networks, as JSON. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

/* The containers of a service of the project here. */
static int add_service(Invocation *invocation, const char *name, json_t *rows, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        char *names[] = { (char *)name, NULL };
        int r;

        r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        if (r < 0)
                return r;
        if (list.length == 0)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no containers", name),
                                  "\"berth up -d %s\" creates and starts it.", name);
        for (size_t i = 0; i < list.length; i++)
                json_array_append_new(rows, describe_container_fully(list.items[i]));
        return 0;
}

static int add_one(Invocation *invocation, Engine *engine, const char *name, const char *type, json_t *rows,
                   Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *container = NULL;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        _cleanup_(network_info_freep) NetworkInfo *network = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (!type || streq(type, "container")) {
                r = engine->operations->container_inspect(engine, name, &container, &reason);
                if (r >= 0)
                        return json_array_append_new(rows, describe_container_fully(container));
                if (r == -ERROR_DENIED || r == -ERROR_CORRUPT)
                        return error_move(err, &reason, r);
                error_free(TAKE_PTR(reason));
        }
        if ((!type || streq(type, "volume")) &&
            engine->operations->volume_inspect(engine, name, true, &volume, NULL) >= 0)
                return json_array_append_new(rows, describe_volume(volume));
        if ((!type || streq(type, "network")) && engine->operations->network_inspect(engine, name, &network, NULL) >= 0)
                return json_array_append_new(rows, describe_network(network));
        r = add_service(invocation, name, rows, &reason);
        if (r < 0 && (reason->kind == ERROR_NOT_FOUND || !invocation_given(invocation, "file")))
                return error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "no such service, container, volume or network: %s", name),
                        "\"berth ps -a\", \"berth volume ls\" and \"berth network ls\" list what there is.");
        return error_move(err, &reason, r);
}

static int run_inspect(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_free_ char *text = NULL;
        const char *format = invocation_text(invocation, "format", NULL);
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                r = add_one(invocation, engine, *name, invocation_text(invocation, "type", NULL), rows, err);
                if (r < 0)
                        return r;
        }
        if (format && !streq(format, "json"))
                return listing_print(rows, NULL, format, LISTING_LINES, err);
        text = json_dumps(rows, JSON_INDENT(4));
        printf("%s\n", text);
        return 0;
}

static const Option options[] = {
        { "format", 'f', OPTION_TEXT, "FORMAT", "json or a template" },
        { "type", 0, OPTION_CHOICE, "TYPE", "Look for this only", "container|volume|network" },
        { NULL },
};

const Command command_inspect = {
        .name = "inspect",
        .summary = "Show all about containers, volumes or networks, as JSON",
        .arguments = "NAME...",
        .group = GROUP_LOOK,
        .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_inspect,
        .complete = COMPLETE_SERVICES,
};
