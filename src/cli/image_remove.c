/* image rm, prune: what containers use stays. */
#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/confirm.h"
#include "cli/image.h"
#include "cli/scope.h"
#include "image/reference.h"
#include "image/remove.h"

/* Of every container of this installation, running or not. */
static int find_used(const Invocation *invocation, char ***ret, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_container_list_ ContainerList containers = { 0 };
        int r = invocation_open_engine(invocation, &engine, err);

        if (r == 0)
                r = engine->operations->container_list(engine, NULL, &containers, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < containers.length; i++)
                if (containers.items[i]->image_id)
                        strv_add(ret, containers.items[i]->image_id);
        return 0;
}

static void print_removal(const ImageRemoval *removal)
{
        STRV_FOREACH(name, removal->untagged) {
                _cleanup_free_ char *familiar = reference_familiar(*name);

                printf("Untagged: %s\n", familiar);
        }
        STRV_FOREACH(id, removal->deleted)
                printf("Deleted: %s\n", *id);
}

static int run_rm(Invocation *invocation, Error **err)
{
        _cleanup_image_removal_ ImageRemoval removal = { 0 };
        _cleanup_strv_ char **used = NULL;
        int r = layout_prepare(invocation->layout, err);

        if (r == 0)
                r = find_used(invocation, &used, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                r = image_remove(invocation->layout, *name, invocation_flag(invocation, "force"), used, &removal, err);
                if (r < 0)
                        break;
        }
        print_removal(&removal);
        return r;
}

static Table *list_losses(const ImageRemoval *removal)
{
        Table *table = table_create("IMAGE", NULL);

        STRV_FOREACH(name, removal->untagged) {
                _cleanup_free_ char *familiar = reference_familiar(*name);

                table_add_row(table, familiar);
        }
        if (!removal->untagged)
                STRV_FOREACH(id, removal->deleted)
                        table_add_row(table, *id);
        return table;
}

static int run_prune(Invocation *invocation, Error **err)
{
        _cleanup_image_removal_ ImageRemoval planned = { 0 }, removal = { 0 };
        _cleanup_(table_freep) Table *losses = NULL;
        _cleanup_strv_ char **used = NULL;
        _cleanup_free_ char *size = NULL;
        bool all = invocation_flag(invocation, "all");
        bool yes = invocation_flag(invocation, "yes") || invocation_flag(invocation, "force");
        int r = layout_prepare(invocation->layout, err);

        if (r == 0)
                r = find_used(invocation, &used, err);
        if (r == 0)
                r = image_prune(invocation->layout, all, true, used, &planned, err);
        if (r < 0)
                return r;
        losses = list_losses(&planned);
        /* Nameless images can be had again by nobody's name: only those with one are asked about. */
        if (all && planned.deleted) {
                _cleanup_free_ char *what = xasprintf("remove %zu image%s that no container uses",
                                                      strv_length(planned.deleted), planned.deleted[1] ? "s" : "");

                r = confirm(what, losses, yes, "--yes", err);
                if (r < 0)
                        return r;
        }
        r = image_prune(invocation->layout, all, false, used, &removal, err);
        if (r < 0)
                return r;
        print_removal(&removal);
        size = format_size(removal.freed_bytes);
        printf("Total reclaimed space: %s\n", size);
        return 0;
}

static const Option rm_options[] = {
        { "force", 'f', OPTION_FLAG, NULL, "By id, even where the image has several names" },
        { NULL },
};
static const Option prune_options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "Every image that no container uses, not only those without a name" },
        { "force", 'f', OPTION_FLAG, NULL, "Same as --yes", .flags = OPTION_HIDDEN },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

const Command command_image_rm = {
        .name = "image rm",
        .summary = "Remove images",
        .arguments = "IMAGE...",
        .details = "A name goes alone where the image has others; with the last one the image goes, and layers that no "
                   "other image has. An image that a container uses, running or not, is refused.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = rm_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_rm,
        .complete = COMPLETE_IMAGES,
        .aliases = (const char *const[]){ "remove", NULL },
};
const Command command_image_prune = {
        .name = "image prune",
        .summary = "Remove images that nothing uses",
        .details = "Also layers and unfinished pulls that belong to no image.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = prune_options,
        .function = run_prune,
};
