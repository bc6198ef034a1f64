/* volume …: looks at and changes the volumes of this machine; needs no keeper. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/describe.h"
#include "cli/inspect_each.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "cli/volume.h"
#include "engine/local/volume.h"
#include "state/document.h"

void volume_list_done(VolumeList *list)
{
        for (size_t i = 0; i < list->length; i++)
                volume_info_free(list->items[i]);
        free(list->items);
}

/* ---- ls ---- */

static const ListingColumn columns[] = {
        { "DRIVER", "Driver" },      { "VOLUME NAME", "Name", .flexible = true },     { "PROJECT", "Project" },
        { "LAST USED", "LastUsed" }, { "WRITTEN BY", "WrittenBy", .flexible = true }, { NULL },
};

static const ListingColumn sized_columns[] = {
        { "DRIVER", "Driver" },
        { "VOLUME NAME", "Name", .flexible = true },
        { "PROJECT", "Project" },
        { "SIZE", "Size" },
        { "LAST USED", "LastUsed" },
        { "WRITTEN BY", "WrittenBy", .flexible = true },
        { NULL },
};

static const ListingColumn trash_columns[] = {
        { "VOLUME NAME", "Name", .flexible = true },
        { "PROJECT", "Project" },
        { "SIZE", "Size" },
        { "REMOVED", "LastUsed" },
        { "WRITTEN BY", "WrittenBy", .flexible = true },
        { NULL },
};

static bool matches(const VolumeInfo *info, char *const *filters)
{
        STRV_FOREACH(filter, filters) {
                const char *name = startswith(*filter, "name="), *dangling = startswith(*filter, "dangling=");
                const char *label = startswith(*filter, "label=");

                if (name && !strstr(info->name, name))
                        return false;
                if (dangling && streq(dangling, "true") != (info->used_by == NULL))
                        return false;
                if (label && !strv_contains(info->labels, label) &&
                    !(strchr(label, '=') == NULL && strv_env_get(info->labels, label)))
                        return false;
        }
        return true;
}

static int list_volumes(Invocation *invocation, Engine *engine, VolumeList *ret, Error **err)
{
        if (invocation_flag(invocation, "trash"))
                return volume_trash_list(invocation->layout, &ret->items, &ret->length, err);
        return engine->operations->volume_list(engine, invocation_text(invocation, "project-name", NULL), &ret->items,
                                               &ret->length, err);
}

static int add_row(json_t *rows, Engine *engine, const VolumeInfo *info, bool with_size)
{
        _cleanup_(volume_info_freep) VolumeInfo *measured = NULL;

        if (with_size && !info->in_trash &&
            engine->operations->volume_inspect(engine, info->name, true, &measured, NULL) >= 0)
                info = measured;
        return json_array_append_new(rows, describe_volume(info));
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_volume_list_ VolumeList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **filters = invocation_list(invocation, "filter");
        bool quiet = invocation_flag(invocation, "quiet"), with_size = invocation_flag(invocation, "size");
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = list_volumes(invocation, engine, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                if (!matches(list.items[i], filters))
                        continue;
                if (quiet)
                        printf("%s\n", list.items[i]->name);
                else
                        add_row(rows, engine, list.items[i], with_size);
        }
        if (quiet)
                return 0;
        return listing_print(rows,
                             invocation_flag(invocation, "trash") ? trash_columns
                             : with_size                          ? sized_columns
                                                                  : columns,
                             invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

/* ---- create, inspect ---- */

static int run_create(Invocation *invocation, Error **err)
{
        _cleanup_strv_ char **labels = invocation_list(invocation, "label"),
                            **options = invocation_list(invocation, "opt");
        VolumeSpec spec = { .driver = (char *)invocation_text(invocation, "driver", NULL),
                            .labels = labels,
                            .options = options };
        int r;

        if (!invocation->arguments)
                return error_hint(err, error_set(err, ERROR_USAGE, "volume create needs a name"),
                                  "Usage: berth volume create NAME");
        spec.name = invocation->arguments[0];
        r = layout_prepare(invocation->layout, err);
        if (r < 0)
                return r;
        r = volume_create(invocation->layout, &spec, err);
        if (r < 0)
                return r;
        printf("%s\n", spec.name);
        return 0;
}

static int inspect_one(const Invocation *invocation, Engine *engine, const char *name, json_t **ret, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
        int r = engine->operations->volume_inspect(engine, name, true, &info, err);

        if (r < 0)
                return error_hint(
                        err, r, "\"berth volume ls\" lists the volumes, \"berth volume ls --trash\" the removed ones.");
        *ret = describe_volume(info);
        return 0;
}

static int run_inspect(Invocation *invocation, Error **err)
{
        return inspect_each(invocation, inspect_one, err);
}

static const Option ls_options[] = {
        { "filter", 0, OPTION_TEXT, "FILTER", "name=…, label=…, dangling=true", .flags = OPTION_REPEATABLE },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Names only" },
        { "size", 's', OPTION_FLAG, NULL, "Measure how much each holds" },
        { "trash", 0, OPTION_FLAG, NULL, "What was removed in the last seven days" },
        { NULL },
};
static const Option create_options[] = {
        { "driver", 'd', OPTION_TEXT, "DRIVER", "Driver (default: local)" },
        { "label", 0, OPTION_TEXT, "KEY=VALUE", "Label", .flags = OPTION_REPEATABLE },
        { "opt", 'o', OPTION_TEXT, "KEY=VALUE", "Option of the driver: type, o, device", .flags = OPTION_REPEATABLE },
        { NULL },
};
static const Command volume_ls = { .name = "volume ls",
                                   .summary = "List volumes",
                                   .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                   .options = ls_options,
                                   .function = run_ls,
                                   .aliases = (const char *const[]){ "list", NULL } };
static const Command volume_create_command = { .name = "volume create",
                                               .summary = "Create a volume",
                                               .arguments = "NAME",
                                               .flags = COMMAND_NEEDS_ROOT,
                                               .options = create_options,
                                               .max_arguments = 1,
                                               .function = run_create };
static const Command volume_inspect = { .name = "volume inspect",
                                        .summary = "Show all about volumes, as JSON",
                                        .arguments = "VOLUME...",
                                        .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                        .options = inspect_each_options,
                                        .min_arguments = 1,
                                        .max_arguments = -1,
                                        .function = run_inspect,
                                        .complete = COMPLETE_VOLUMES };
static const Command *const children[] = {
        &volume_ls,
        &volume_create_command,
        &volume_inspect,
        &command_volume_rm,
        &command_volume_restore,
        &command_volume_prune,
        &command_volume_export,
        &command_volume_import,
        NULL,
};

const Command command_volume = {
        .name = "volume",
        .summary = "Look at and manage volumes",
        .group = GROUP_DATA,
        .children = children,
};

/* `berth volumes`, as docker compose has it: those of this project. */
static int run_volumes(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_volume_list_ VolumeList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        int r;

        r = scope_open(invocation, NULL, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope.engine->operations->volume_list(scope.engine, scope.name, &list.items, &list.length, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                if (invocation_flag(invocation, "quiet"))
                        printf("%s\n", list.items[i]->name);
                else
                        json_array_append_new(rows, describe_volume(list.items[i]));
        }
        if (invocation_flag(invocation, "quiet"))
                return 0;
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

static const Option volumes_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Names only" },
        { NULL },
};

const Command command_volumes = {
        .name = "volumes",
        .summary = "List the project's volumes",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = volumes_options,
        .function = run_volumes,
};
