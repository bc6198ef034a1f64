/* volume …: looks at and changes the volumes of this machine; needs no keeper. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "cli/volume_archive.h"
#include "engine/local/volume.h"
#include "state/document.h"

typedef struct VolumeList {
        VolumeInfo **items;
        size_t length;
} VolumeList;

static void volume_list_done(VolumeList *list)
{
        for (size_t i = 0; i < list->length; i++)
                volume_info_free(list->items[i]);
        free(list->items);
}

/* ---- ls ---- */

static const ListingColumn columns[] = {
        { "DRIVER", "Driver" },      { "VOLUME NAME", "Name", .flexible = true }, { "PROJECT", "Project" },
        { "LAST USED", "LastUsed" }, { "WRITTEN BY", "WrittenBy", .flexible = true },    { NULL },
};

static const ListingColumn sized_columns[] = {
        { "DRIVER", "Driver" }, { "VOLUME NAME", "Name", .flexible = true }, { "PROJECT", "Project" }, { "SIZE", "Size" },
        { "LAST USED", "LastUsed" }, { "WRITTEN BY", "WrittenBy", .flexible = true }, { NULL },
};

static const ListingColumn trash_columns[] = {
        { "VOLUME NAME", "Name", .flexible = true }, { "PROJECT", "Project" }, { "SIZE", "Size" }, { "REMOVED", "LastUsed" },
        { "WRITTEN BY", "WrittenBy", .flexible = true }, { NULL },
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
                if (label && !strv_contains(info->labels, label) && !(strchr(label, '=') == NULL && strv_env_get(info->labels, label)))
                        return false;
        }
        return true;
}

static int list_volumes(Invocation *invocation, Engine *engine, VolumeList *ret, Error **err)
{
        if (invocation_flag(invocation, "trash"))
                return volume_trash_list(invocation->layout, &ret->items, &ret->length, err);
        return engine->operations->volume_list(engine, invocation_text(invocation, "project-name", NULL), &ret->items, &ret->length, err);
}

static int add_row(json_t *rows, Engine *engine, const VolumeInfo *info, bool with_size)
{
        _cleanup_(volume_info_freep) VolumeInfo *measured = NULL;

        if (with_size && !info->in_trash && engine->operations->volume_inspect(engine, info->name, true, &measured, NULL) >= 0)
                info = measured;
        return json_array_append_new(rows, describe_volume(info));
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(volume_list_done) VolumeList list = { 0 };
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
        return listing_print(rows, invocation_flag(invocation, "trash") ? trash_columns : with_size ? sized_columns : columns,
                             invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

/* ---- create, inspect ---- */

static int run_create(Invocation *invocation, Error **err)
{
        _cleanup_strv_ char **labels = invocation_list(invocation, "label"), **options = invocation_list(invocation, "opt");
        VolumeSpec spec = { .driver = (char *)invocation_text(invocation, "driver", NULL), .labels = labels, .options = options };
        int r;

        if (!invocation->arguments)
                return error_hint(err, error_set(err, ERROR_USAGE, "volume create needs a name"), "Usage: berth volume create NAME");
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

static int run_inspect(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_free_ char *text = NULL;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                _cleanup_(volume_info_freep) VolumeInfo *info = NULL;

                r = engine->operations->volume_inspect(engine, *name, true, &info, err);
                if (r < 0)
                        return error_hint(err, r, "\"berth volume ls\" lists the volumes, \"berth volume ls --trash\" the removed ones.");
                json_array_append_new(rows, describe_volume(info));
        }
        text = json_dumps(rows, JSON_INDENT(4));
        printf("%s\n", text);
        return 0;
}

/* ---- rm, restore, prune ---- */

static void add_loss(Table *losses, const VolumeInfo *info)
{
        _cleanup_free_ char *size = format_size(info->size_bytes), *used = time_ago(info->used_ns);

        table_add_row(losses, info->name, size, used, info->written_by ?: "");
}

static int check_unused(const VolumeInfo *info, Error **err)
{
        _cleanup_free_ char *users = NULL;

        if (!info->used_by || !*info->used_by)
                return 0;
        users = strv_join(info->used_by, ", ");
        return error_hint(err, error_set(err, ERROR_CONFLICT, "volume \"%s\" is used by %s", info->name, users),
                          "Remove the container first (\"berth rm\" or \"berth down\").");
}

static int run_rm(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(table_freep) Table *losses = table_create("VOLUME", "SIZE", "LAST USED", "WRITTEN BY", NULL);
        _cleanup_free_ char *what = NULL;
        bool purge = invocation_flag(invocation, "purge"), force = invocation_flag(invocation, "force");
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
                _cleanup_error_ Error *reason = NULL;

                r = engine->operations->volume_inspect(engine, *name, true, &info, &reason);
                if (r == -ERROR_NOT_FOUND && force)
                        continue;
                if (r < 0)
                        return error_move(err, &reason, r);
                r = check_unused(info, err);
                if (r < 0)
                        return r;
                add_loss(losses, info);
        }
        if (table_length(losses) == 0)
                return 0;
        what = xasprintf("remove %zu volume%s%s", table_length(losses), table_length(losses) == 1 ? "" : "s",
                         purge ? " for ever" : " (kept in the trash for seven days)");
        r = confirm(what, losses, invocation_flag(invocation, "yes"), "--yes", err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                r = volume_remove(invocation->layout, *name, purge, err);
                if (r < 0 && !(force && r == -ERROR_NOT_FOUND))
                        return r;
                printf("%s\n", *name);
        }
        return 0;
}

static int run_restore(Invocation *invocation, Error **err)
{
        STRV_FOREACH(name, invocation->arguments) {
                int r = volume_restore(invocation->layout, *name, err);

                if (r < 0)
                        return error_hint(err, r, "\"berth volume ls --trash\" lists what can be restored.");
                printf("%s\n", *name);
        }
        return 0;
}

/* Volumes that no container uses: anonymous ones, or with --all named ones too. */
static int find_unused(Engine *engine, bool all, char ***ret, Table *losses, Error **err)
{
        _cleanup_(volume_list_done) VolumeList list = { 0 };
        int r;

        r = engine->operations->volume_list(engine, NULL, &list.items, &list.length, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                VolumeInfo *info = list.items[i];

                if ((info->used_by && *info->used_by) || info->in_trash || (!info->anonymous && !all))
                        continue;
                info->size_bytes = info->size_bytes ?: (info->path ? fs_disk_usage(info->path) : 0);
                add_loss(losses, info);
                strv_add(ret, info->name);
        }
        return 0;
}

static int run_prune(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(volume_list_done) VolumeList trash = { 0 };
        _cleanup_(table_freep) Table *losses = table_create("VOLUME", "SIZE", "LAST USED", "WRITTEN BY", NULL);
        _cleanup_strv_ char **unused = NULL;
        _cleanup_free_ char *freed_text = NULL;
        uint64_t freed = 0;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = volume_trash_list(invocation->layout, &trash.items, &trash.length, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < trash.length; i++)
                add_loss(losses, trash.items[i]);
        r = find_unused(engine, invocation_flag(invocation, "all"), &unused, losses, err);
        if (r < 0)
                return r;
        if (table_length(losses) == 0) {
                printf("Nothing to remove\n");
                return 0;
        }
        r = confirm("delete the trash and unused volumes for ever", losses,
                    invocation_flag(invocation, "yes") || invocation_flag(invocation, "force"), "--yes", err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, unused) {
                r = volume_remove(invocation->layout, *name, false, err);
                if (r < 0)
                        return r;
        }
        r = volume_trash_empty(invocation->layout, 0, &freed, err);
        if (r < 0)
                return r;
        freed_text = format_size(freed);
        printf("Total reclaimed space: %s\n", freed_text);
        return 0;
}

/* ---- export, import ---- */

static int run_export(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = engine->operations->volume_inspect(engine, invocation->arguments[0], false, &info, err);
        if (r < 0)
                return r;
        r = check_not_running(engine, info, invocation_flag(invocation, "force"), err);
        return r < 0 ? r : volume_archive_write(info, invocation_text(invocation, "output", "-"), err);
}

static int run_import(Invocation *invocation, Error **err)
{
        const char *name = invocation->arguments[0], *path = invocation->arguments[1] ?: "-";
        VolumeSpec spec = { .name = (char *)name };
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = engine->operations->volume_inspect(engine, name, false, &info, NULL);
        if (r >= 0 && !volume_is_empty(info))
                return error_hint(err, error_set(err, ERROR_EXISTS, "volume \"%s\" exists and is not empty", name),
                                  "Choose another name, or remove it first: \"berth volume rm %s\".", name);
        if (r < 0) {
                r = layout_prepare(invocation->layout, err);
                if (r >= 0)
                        r = volume_create(invocation->layout, &spec, err);
                if (r >= 0)
                        r = engine->operations->volume_inspect(engine, name, false, &info, err);
                if (r < 0)
                        return r;
        }
        r = volume_archive_read(info, path, err);
        if (r < 0)
                return r;
        printf("%s\n", name);
        return 0;
}

#define YES_OPTIONS                                                     \
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" }

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
static const Option inspect_options[] = { { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "json" }, { NULL } };
static const Option rm_options[] = {
        { "force", 'f', OPTION_FLAG, NULL, "No error where a volume does not exist" },
        { "purge", 0, OPTION_FLAG, NULL, "Delete at once instead of keeping it in the trash" },
        YES_OPTIONS,
        { NULL },
};
static const Option prune_options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "Named volumes too that no container uses" },
        { "force", 'f', OPTION_FLAG, NULL, "", .flags = OPTION_HIDDEN },
        YES_OPTIONS,
        { NULL },
};
static const Option export_options[] = {
        { "force", 'f', OPTION_FLAG, NULL, "Even while a container that uses it runs" },
        { "output", 'o', OPTION_TEXT, "FILE", "Where to write (default: standard output)", .complete = COMPLETE_FILES },
        { NULL },
};

static const Command volume_ls = { .name = "volume ls", .summary = "List volumes", .flags = COMMAND_JSON, .options = ls_options,
                                   .function = run_ls, .aliases = (const char *const[]){ "list", NULL } };
static const Command volume_create_command = { .name = "volume create", .summary = "Create a volume", .arguments = "NAME",
                                               .flags = COMMAND_NEEDS_ROOT, .options = create_options, .max_arguments = 1,
                                               .function = run_create };
static const Command volume_inspect = { .name = "volume inspect", .summary = "Show all about volumes, as JSON",
                                        .arguments = "VOLUME...", .flags = COMMAND_JSON, .options = inspect_options,
                                        .min_arguments = 1, .max_arguments = -1, .function = run_inspect,
                                        .complete = COMPLETE_VOLUMES };
static const Command volume_rm = {
        .name = "volume rm",
        .summary = "Remove volumes",
        .arguments = "VOLUME...",
        .details = "Lists what would be lost and asks. What is removed stays in the trash for seven days.",
        .differences = "asks, and moves to a trash instead of deleting; `--force` means the same as docker's, `--yes` is the yes.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = rm_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_rm,
        .aliases = (const char *const[]){ "remove", NULL },
        .complete = COMPLETE_VOLUMES,
};
static const Command volume_restore_command = { .name = "volume restore", .summary = "Bring a removed volume back from the trash",
                                                .arguments = "VOLUME...", .flags = COMMAND_NEEDS_ROOT, .min_arguments = 1,
                                                .max_arguments = -1, .function = run_restore };
static const Command volume_prune = {
        .name = "volume prune",
        .summary = "Delete the trash, and anonymous volumes that no container uses",
        .details = "Lists what would be lost and asks. Nothing of it can be brought back.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = prune_options,
        .function = run_prune,
};
static const Command volume_export = {
        .name = "volume export",
        .summary = "Write a volume's files as a tar archive",
        .arguments = "VOLUME",
        .details = "Owners, modes, links and extended attributes are kept. A database must be stopped for its files to be consistent.",
        .examples = "berth volume export demo_db-data | zstd > db-data.tar.zst",
        .flags = COMMAND_NEEDS_ROOT,
        .options = export_options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_export,
        .complete = COMPLETE_VOLUMES,
};
static const Command volume_import = {
        .name = "volume import",
        .summary = "Fill a new volume from a tar archive",
        .arguments = "VOLUME [FILE]",
        .examples = "zstdcat db-data.tar.zst | berth volume import demo_db-data",
        .flags = COMMAND_NEEDS_ROOT,
        .min_arguments = 1,
        .max_arguments = 2,
        .function = run_import,
        .complete = COMPLETE_FILES,
};

static const Command *const children[] = {
        &volume_ls, &volume_create_command, &volume_inspect, &volume_rm, &volume_restore_command, &volume_prune, &volume_export,
        &volume_import, NULL,
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
        _cleanup_(volume_list_done) VolumeList list = { 0 };
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
