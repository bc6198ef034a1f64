/* system …: what this installation has on the machine, and what of it has no owner any more. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "engine/local/network.h"
#include "engine/local/volume.h"
#include "operate/template.h"
#include "state/document.h"

static void print_removed(const LocalNetworkObjects *objects)
{
        for (size_t i = 0; i < objects->length; i++)
                printf("removed %s %s\n", objects->items[i].kind, objects->items[i].name);
}

static int prune_templates(const Invocation *invocation, uint64_t *freed, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_strv_ char **removed = NULL;
        int r = invocation_open_engine(invocation, &engine, err);

        if (r == 0)
                r = template_prune(invocation->layout, engine, &removed, freed, err);
        STRV_FOREACH(name, removed)
                printf("Deleted template: %s\n", *name);
        return r;
}

static int run_prune(Invocation *invocation, Error **err)
{
        _cleanup_local_network_objects_ LocalNetworkObjects removed = { 0 };
        _cleanup_free_ char *freed_text = NULL;
        uint64_t freed = 0;
        int r;

        r = layout_prepare(invocation->layout, err);
        if (r < 0)
                return r;
        r = local_network_prune(invocation->layout, &removed, err);
        if (r < 0)
                return r;
        print_removed(&removed);
        r = volume_trash_empty(invocation->layout, TRASH_KEPT_NS, &freed, err);
        if (r < 0)
                return r;
        r = prune_templates(invocation, &freed, err);
        if (r < 0)
                return r;
        freed_text = format_size(freed);
        printf("Total reclaimed space: %s\n", freed_text);
        return 0;
}

/* ---- df ---- */

static const ListingColumn columns[] = {
        { "TYPE", "Type" }, { "SIZE", "Size" }, { "PATH", "Path", .flexible = true }, { NULL }
};

static void add_folder(json_t *rows, const Layout *layout, const char *type, const char *name)
{
        _cleanup_free_ char *path = layout_data(layout, "%s", name);
        uint64_t bytes = fs_disk_usage(path);
        _cleanup_free_ char *size = format_size(bytes);

        json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:s}", "Type", type, "Size", size, "SizeBytes",
                                              (json_int_t)bytes, "Path", path));
}

static int run_df(Invocation *invocation, Error **err)
{
        _cleanup_json_ json_t *rows = json_array();

        add_folder(rows, invocation->layout, "Images", "images");
        add_folder(rows, invocation->layout, "Templates", "templates");
        add_folder(rows, invocation->layout, "Volumes", "volumes");
        add_folder(rows, invocation->layout, "Trash", "trash");
        add_folder(rows, invocation->layout, "Containers", "projects");
        add_folder(rows, invocation->layout, "Backups", "backups");
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

static const Option prune_options[] = {
        { "force", 'f', OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "yes", 'y', OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { NULL },
};
static const Option df_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { NULL },
};

static const Command system_prune = {
        .name = "system prune",
        .summary = "Remove what has no owner any more",
        .details = "Bridges, interfaces, rules and namespaces of this installation that belong to no network or "
                   "container, and volumes that were in the trash for more than seven days (found so twice, a day of "
                   "running apart: a clock that leaps deletes nothing), and templates of images that are gone or that "
                   "made no cluster for thirty days. Nothing that a project still knows is touched.",
        .differences = "does not remove stopped containers, unused networks or images: \"berth down\", \"berth network "
                       "rm\" and \"berth image prune\" do.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = prune_options,
        .function = run_prune,
};
static const Command system_df = { .name = "system df",
                                   .summary = "Show what takes space on the disk",
                                   .flags = COMMAND_JSON,
                                   .options = df_options,
                                   .function = run_df };

static const Command *const children[] = { &system_df, &system_prune, NULL };

const Command command_system = {
        .name = "system",
        .summary = "Look after this installation",
        .group = GROUP_MACHINE,
        .children = children,
};
