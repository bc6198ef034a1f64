/* volume rm, restore, prune, export, import: what changes volumes. Nothing is lost without its name and a yes. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/scope.h"
#include "cli/volume.h"
#include "cli/volume_archive.h"
#include "engine/local/volume.h"

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
        _cleanup_volume_list_ VolumeList list = { 0 };
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
        _cleanup_volume_list_ VolumeList trash = { 0 };
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

#define YES_OPTIONS                                                                                                    \
        {                                                                                                              \
                "yes", 'y', OPTION_FLAG, NULL, "Do not ask"                                                            \
        }

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

const Command command_volume_rm = {
        .name = "volume rm",
        .summary = "Remove volumes",
        .arguments = "VOLUME...",
        .details = "Lists what would be lost and asks. What is removed stays in the trash for seven days.",
        .differences = "asks, and moves to a trash instead of deleting; `--force` means the same as docker's, `--yes` "
                       "is the yes.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = rm_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_rm,
        .aliases = (const char *const[]){ "remove", NULL },
        .complete = COMPLETE_VOLUMES,
};
const Command command_volume_restore = { .name = "volume restore",
                                         .summary = "Bring a removed volume back from the trash",
                                         .arguments = "VOLUME...",
                                         .flags = COMMAND_NEEDS_ROOT,
                                         .min_arguments = 1,
                                         .max_arguments = -1,
                                         .function = run_restore };
const Command command_volume_prune = {
        .name = "volume prune",
        .summary = "Delete the trash, and anonymous volumes that no container uses",
        .details = "Lists what would be lost and asks. Nothing of it can be brought back.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = prune_options,
        .function = run_prune,
};
const Command command_volume_export = {
        .name = "volume export",
        .summary = "Write a volume's files as a tar archive",
        .arguments = "VOLUME",
        .details = "Owners, modes, links and extended attributes are kept. A database must be stopped for its files to "
                   "be consistent.",
        .examples = "berth volume export demo_db-data | zstd > db-data.tar.zst",
        .flags = COMMAND_NEEDS_ROOT,
        .options = export_options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_export,
        .complete = COMPLETE_VOLUMES,
};
const Command command_volume_import = {
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
