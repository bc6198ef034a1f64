/* port, top, images: short answers from the engine's records. */
#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/output/table.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "image/store.h"
#include "state/document.h"

/* ---- port ---- */

static int run_port(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        const char *wanted = invocation->arguments[1], *protocol = invocation_text(invocation, "protocol", "tcp");
        const char *slash = strchr(wanted, '/');
        _cleanup_free_ char *digits = slash ? xstrndup(wanted, (size_t)(slash - wanted)) : xstrdup(wanted);
        int64_t port;
        int r;

        if (slash)
                protocol = slash + 1;
        if (!parse_int64(digits, 1, 65535, &port))
                return error_set(err, ERROR_USAGE, "\"%s\" is no port", wanted);
        r = scope_open_container(invocation, invocation->arguments[0], &scope, &info, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < info->n_ports; i++) {
                const ContainerPort *published = &info->ports[i];
                bool ipv6 = published->host_ip && strchr(published->host_ip, ':');

                if (published->container_port != port || published->udp != streq(protocol, "udp"))
                        continue;
                printf("%s%s%s:%u\n", ipv6 ? "[" : "", published->host_ip ?: "0.0.0.0", ipv6 ? "]" : "",
                       published->host_port);
                return 0;
        }
        return error_hint(err,
                          error_set(err, ERROR_NOT_FOUND, "no port %lld/%s for container %s", (long long)port, protocol,
                                    info->name),
                          "\"berth ps\" lists the ports that are published.");
}

static const Option port_options[] = {
        { "index", 0, OPTION_NUMBER, "N", "The n-th container of a scaled service" },
        { "protocol", 0, OPTION_CHOICE, "PROTOCOL", "Protocol", "tcp|udp" },
        { NULL },
};

const Command command_port = {
        .name = "port",
        .summary = "Print the address that a port is published at",
        .arguments = "SERVICE PORT",
        .examples = "psql -h 127.0.0.1 -p \"$(berth port db 5432 | cut -d: -f2)\" -U postgres",
        .group = GROUP_LOOK,
        .options = port_options,
        .min_arguments = 2,
        .max_arguments = 2,
        .function = run_port,
        .complete = COMPLETE_SERVICES,
};

/* ---- top ---- */

static json_t *top_as_json(const ContainerInfo *info, char ***rows, size_t length)
{
        json_t *processes = json_array();

        for (size_t i = 1; i < length; i++) {
                json_t *process = json_object();

                for (size_t c = 0; rows[0][c] && rows[i][c]; c++)
                        json_object_set_new(process, rows[0][c], json_string(rows[i][c]));
                json_array_append_new(processes, process);
        }
        return json_pack("{s:s, s:s, s:o}", "Name", info->name, "Service", info->service ?: "", "Processes", processes);
}

static void print_top(const ContainerInfo *info, char ***rows, size_t length)
{
        _cleanup_(table_freep) Table *table = table_create(NULL, NULL);
        size_t n_columns = strv_length(rows[0]);

        for (size_t c = 0; c < n_columns; c++)
                table_add_heading(table, rows[0][c]);
        if (n_columns > 0)
                table_set_flexible(table, n_columns - 1);
        for (size_t i = 1; i < length; i++)
                if (strv_length(rows[i]) == n_columns)
                        table_add(table, (const char *const *)rows[i]);
        printf("%s\n", info->name);
        table_print(table, stdout);
        fputc('\n', stdout);
}

static int show_top(Engine *engine, const ContainerInfo *info, bool json, Error **err)
{
        char ***rows = NULL;
        size_t length = 0;
        int r;

        r = engine->operations->top(engine, info->id, &rows, &length, err);
        if (r < 0)
                return r;
        if (json) {
                _cleanup_json_ json_t *object = length > 0 ? top_as_json(info, rows, length) : json_object();
                _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);

                printf("%s\n", text);
        } else if (length > 0) {
                print_top(info, rows, length);
        }
        for (size_t i = 0; i < length; i++)
                strv_free(rows[i]);
        free(rows);
        return 0;
}

static int run_top(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        for (size_t i = 0; r >= 0 && i < list.length; i++)
                if (list.items[i]->state == CONTAINER_RUNNING || list.items[i]->state == CONTAINER_PAUSED)
                        r = show_top(scope.engine, list.items[i], invocation_json(invocation), err);
        return r;
}

static const Option top_options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_top = {
        .name = "top",
        .summary = "Show the processes of containers",
        .arguments = "[SERVICE...]",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = top_options,
        .max_arguments = -1,
        .function = run_top,
        .complete = COMPLETE_SERVICES,
};

/* ---- images ---- */

static const ListingColumn image_columns[] = {
        { "CONTAINER", "ContainerName" },
        { "REPOSITORY", "Repository", .flexible = true },
        { "TAG", "Tag" },
        { "PLATFORM", "Platform" },
        { "IMAGE ID", "ID" },
        { "SIZE", "Size" },
        { "CREATED", "Created" },
        { NULL },
};

static json_t *describe_image(const Layout *layout, const ContainerInfo *info)
{
        _cleanup_(image_freep) Image *image = NULL;
        const char *reference = info->image ?: "", *colon = strrchr(reference, ':'), *slash = strrchr(reference, '/');
        bool tagged = colon && (!slash || colon > slash);
        _cleanup_free_ char *repository =
                tagged ? xstrndup(reference, (size_t)(colon - reference)) : xstrdup(reference);
        const char *hex = info->image_id ? startswith(info->image_id, "sha256:") ?: info->image_id : "";
        _cleanup_free_ char *id = xstrndup(hex, 12), *size = NULL, *created = NULL;

        image_find(layout, info->image_id ?: reference, IMAGES_AUTO, &image, NULL);
        size = image ? format_size(image->size_bytes) : xstrdup("");
        created = image ? time_ago(image->created_ns) : xstrdup("");
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ContainerName", info->name, "Repository", repository,
                         "Tag", tagged ? colon + 1 : "latest", "Platform",
                         image && image->platform ? image->platform : "", "ID", id, "Size", size, "Created", created);
}

static int run_images(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **seen = NULL;
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, true, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                const char *id = list.items[i]->image_id ?: "";

                if (!invocation_flag(invocation, "quiet")) {
                        json_array_append_new(rows, describe_image(invocation->layout, list.items[i]));
                } else if (!strv_contains(seen, id)) {
                        strv_add(&seen, id);
                        printf("%s\n", startswith(id, "sha256:") ?: id);
                }
        }
        if (invocation_flag(invocation, "quiet"))
                return 0;
        return listing_print(rows, image_columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

static const Option images_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Ids only" },
        { NULL },
};

const Command command_images = {
        .name = "images",
        .summary = "List the images that the project's containers use",
        .arguments = "[SERVICE...]",
        .details = "\"berth image ls\" lists all images of this machine's store.",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = images_options,
        .max_arguments = -1,
        .function = run_images,
        .complete = COMPLETE_SERVICES,
};
