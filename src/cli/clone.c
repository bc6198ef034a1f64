/* clone: a second database beside a first one, what copies there are, and their end. */
#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/copy.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/restore.h"
#include "cli/verbs.h"
#include "engine/local/volume.h"
#include "state/document.h"

int copy_remove(const Invocation *invocation, const Scope *scope, const CopyRecord *record, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        Engine *engine = scope->engine;
        int r = 0;

        if (engine->operations->volume_inspect(engine, record->volume, false, &volume, NULL) >= 0) {
                STRV_FOREACH(name, volume->used_by) {
                        json_t *params = json_pack("{s:[s], s:b}", "services", *name, "stop", 1);

                        r = client_request_quietly(invocation, scope->name, "rm", params, NULL, err);
                        if (r < 0)
                                return r;
                }
                r = volume_remove(invocation->layout, record->volume, true, err);
        }
        return r < 0 ? r : copy_record_remove(invocation->layout, record->project, record->name, err);
}

/* ---- ls ---- */

static const ListingColumn columns[] = {
        { "NAME", "Name" }, { "OF", "Of" },         { "STATE", "State" }, { "PORT", "Port" }, { "POINT", "Point" },
        { "MADE", "Made" }, { "BACKUP", "Backup" }, { "SIZE", "Size" },   { NULL },
};

static const ContainerInfo *container_of(const ContainerList *list, const CopyRecord *record)
{
        for (size_t i = 0; i < list->length; i++)
                if (!list->items[i]->oneoff && streq_ptr(list->items[i]->service, record->name))
                        return list->items[i];
        return NULL;
}

static json_t *row_of(const Scope *scope, const CopyRecord *record, const ContainerInfo *container)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        _cleanup_free_ char *made = time_ago(record->made_ns), *size = NULL;
        _cleanup_free_ char *port = record->port ? xasprintf("127.0.0.1:%lld", (long long)record->port) : xstrdup("");
        const char *state = !record->ready ? "unfinished" : container ? container_state_name(container->state) : "down";

        if (scope->engine->operations->volume_inspect(scope->engine, record->volume, true, &volume, NULL) >= 0)
                size = format_size(volume->size_bytes);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Name", record->name, "Of", record->service,
                         "State", state, "Port", port, "Point", record->point, "Made", made, "Backup", record->backup,
                         "Size", size ? size : "", "Volume", record->volume);
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **names = NULL;
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r == 0)
                r = scope.engine->operations->container_list(scope.engine, scope.name, &list, err);
        if (r < 0)
                return r;
        names = copy_names(invocation->layout, scope.name);
        STRV_FOREACH(name, names) {
                _cleanup_copy_record_ CopyRecord record = { 0 };

                r = copy_record_load(invocation->layout, scope.name, *name, &record, err);
                if (r < 0)
                        return r;
                if (!record.ready || copy_is_whole(invocation->layout, &record)) /* else its volume is gone: so is it */
                        json_array_append_new(rows, row_of(&scope, &record, container_of(&list, &record)));
        }
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

static const Option ls_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};

const Command command_clone_ls = {
        .name = "clone ls",
        .summary = "List the copies of databases that the project has",
        .details = "Also those that \"berth restore --as\" made. A copy that is \"down\" has its data and no "
                   "container: \"berth up NAME\" brings it back. One that is \"unfinished\" was cut off while it was "
                   "made: \"berth clone rm NAME\" clears it away.",
        .examples = "berth clone ls",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = ls_options,
        .function = run_ls,
};

/* ---- rm ---- */

static int remove_one(const Invocation *invocation, const Scope *scope, const char *name, Error **err)
{
        _cleanup_copy_record_ CopyRecord record = { 0 };
        _cleanup_free_ char *what = NULL;
        int r = copy_record_load(invocation->layout, scope->name, name, &record, err);

        if (r < 0)
                return r;
        what = xasprintf("remove \"%s\", a copy of %s, with its data", record.name, record.service);
        r = confirm(what, NULL, invocation_flag(invocation, "yes"), "--yes", err);
        if (r >= 0)
                r = copy_remove(invocation, scope, &record, err);
        if (r >= 0)
                printf("%s\n", record.name);
        return r;
}

static int run_rm(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        for (char **name = invocation->arguments; r >= 0 && *name; name++)
                r = remove_one(invocation, &scope, *name, err);
        return r;
}

static const Option rm_options[] = {
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

const Command command_clone_rm = {
        .name = "clone rm",
        .summary = "Remove copies with their data",
        .arguments = "NAME...",
        .details =
                "Of each its container, its volume (for good: not into the trash) and its port go. The database that "
                "it is a copy of is left alone.",
        .examples = "berth clone rm staging yesterday",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = rm_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_rm,
};

/* ---- clone ---- */

static int run_clone(Invocation *invocation, Error **err)
{
        _cleanup_restore_ Restore restore = { .invocation = invocation };
        bool of_backups = invocation_given(invocation, "to") || invocation_given(invocation, "backup") ||
                          invocation_given(invocation, "timeline");
        const char *name = invocation->arguments[1];

        return of_backups ? restore_beside(&restore, name, err) : restore_reflinked(&restore, name, err);
}

static const Option options[] = {
        RESTORE_POINT_OPTIONS,
        { "port", 0, OPTION_NUMBER, "PORT",
          "Publish it on this port of 127.0.0.1 (default: a free one, where the service publishes one)" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

static const Command *const children[] = { &command_clone_ls, &command_clone_rm, NULL };

const Command command_clone = {
        .name = "clone",
        .summary = "Make a second database beside a first one",
        .arguments = "SERVICE NAME",
        .details =
                "The copy is the service NAME of the project from then on, with a volume and a container of its own, "
                "on the same networks, with the same passwords: ps, psql, logs, stop and up know it. The first "
                "database is not touched and goes on. The copy is not backed up itself, and nothing that it logs "
                "reaches an archive.\n\nWhere the data of a running database lies on a file system that shares blocks "
                "between files (btrfs, XFS), it is copied by reflink, as it is now: that takes a checkpoint and a "
                "moment, whatever its size, and room only for what changes later. Elsewhere, and with --to, --backup "
                "or --timeline, the copy is restored from the newest backup and the log that was received. Which way "
                "was taken is said.\n\n\"berth down\" removes its container and leaves its data, \"berth down -v\" "
                "removes both.",
        .examples = "berth clone db staging\nberth clone db yesterday --to '2026-11-20 18:00' --port 5433\nberth clone "
                    "ls\nberth clone rm staging",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .min_arguments = 2,
        .max_arguments = 2,
        .function = run_clone,
        .children = children,
        .complete = COMPLETE_SERVICES,
};
