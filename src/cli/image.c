/* image …: looks at the store; see image_fill.c and image_remove.c for what changes it. */
#include "cli/image.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/describe.h"
#include "cli/inspect_each.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "image/reference.h"
#include "image/store.h"
#include "state/document.h"

#define SHORT_ID 12

static const ListingColumn columns[] = {
        { "REPOSITORY", "Repository", .flexible = true },
        { "TAG", "Tag" },
        { "IMAGE ID", "ID" },
        { "CREATED", "CreatedSince" },
        { "SIZE", "Size" },
        { "SOURCE", "Source" },
        { NULL },
};

static const char *source_name(const Image *image)
{
        return image->source == IMAGE_SOURCE_HOST ? "packages" : "store";
}

/* A row for one of the image's names; NULL: it has none. */
static json_t *describe_name(const Image *image, const char *name, bool no_trunc)
{
        _cleanup_free_ char *familiar = name ? reference_familiar(name) : xstrdup("<none>:<none>");
        _cleanup_free_ char *size = format_size(image->size_bytes), *since = time_ago(image->created_ns);
        _cleanup_free_ char *created = time_text(image->created_ns);
        _cleanup_free_ char *id = no_trunc ? xstrdup(image->id) : xstrndup(digest_hex(image->id), SHORT_ID);
        char *tag = strrchr(familiar, ':');
        json_t *row;

        *tag++ = '\0';
        row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "Repository", familiar, "Tag", tag, "ID", id,
                        "CreatedSince", since, "CreatedAt", created, "Size", size, "SizeBytes",
                        (json_int_t)image->size_bytes, "Source", source_name(image), "Platform", image->platform);
        json_set_string(row, "Libc", image->libc);
        json_object_set_new(row, "Digests", json_from_strv(image->digests));
        return row;
}

static bool is_wanted(const char *name, char *const *wanted)
{
        if (!wanted)
                return true;
        STRV_FOREACH(item, wanted) {
                _cleanup_free_ char *normalized = NULL, *any_tag = NULL;

                if (!name || image_reference_normalize(*item, &normalized, NULL) < 0)
                        continue;
                if (streq(name, normalized))
                        return true;
                /* A repository without a tag stands for all of its tags. */
                any_tag = xstrndup(normalized, (size_t)(strrchr(normalized, ':') - normalized) + 1);
                if (!strchr(path_basename(*item), ':') && startswith(name, any_tag))
                        return true;
        }
        return false;
}

static void add_rows(json_t *rows, const Image *image, char *const *wanted, bool no_trunc)
{
        if (!image->names && !wanted)
                json_array_append_new(rows, describe_name(image, NULL, no_trunc));
        STRV_FOREACH(name, image->names)
                if (is_wanted(*name, wanted))
                        json_array_append_new(rows, describe_name(image, *name, no_trunc));
}

static void print_ids(const json_t *rows)
{
        const char *last = "";
        const json_t *row;
        size_t i;

        json_array_foreach((json_t *)rows, i, row) {
                const char *id = json_get_string(row, "ID", "");

                if (!streq(id, last))
                        printf("%s\n", id);
                last = id;
        }
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_json_ json_t *rows = json_array();
        Image **images = NULL;
        size_t length = 0;
        int r = image_list(invocation->layout, &images, &length, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < length; i++)
                add_rows(rows, images[i], invocation->arguments, invocation_flag(invocation, "no-trunc"));
        image_list_free(images, length);
        if (invocation_flag(invocation, "quiet")) {
                print_ids(rows);
                return 0;
        }
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

/* ---- inspect ---- */

static json_t *describe_config(const ImageConfig *config)
{
        json_t *object = json_object();

        json_object_set_new(object, "Env", json_from_strv(config->environment));
        json_object_set_new(object, "Entrypoint", json_from_strv(config->entrypoint));
        json_object_set_new(object, "Cmd", json_from_strv(config->command));
        json_object_set_new(object, "Volumes", json_from_strv(config->volumes));
        json_object_set_new(object, "ExposedPorts", json_from_strv(config->exposed_ports));
        json_object_set_new(object, "Labels", describe_pairs(config->labels));
        json_set_string(object, "User", config->user);
        json_set_string(object, "WorkingDir", config->working_dir);
        json_set_string(object, "StopSignal", config->stop_signal);
        if (config->healthcheck.test)
                json_object_set_new(object, "Healthcheck", json_from_strv(config->healthcheck.test));
        return object;
}

static json_t *describe_binds(const Image *image)
{
        json_t *binds = json_array();

        for (size_t i = 0; i < image->n_binds; i++)
                json_array_append_new(binds, json_pack("{s:s, s:s}", "Source", image->binds[i].source, "Target",
                                                       image->binds[i].target));
        return binds;
}

static json_t *describe_image(const Image *image)
{
        _cleanup_free_ char *created = time_text(image->created_ns);
        json_t *object = json_pack(
                "{s:s, s:o, s:o, s:s, s:s, s:I, s:s, s:s}", "Id", image->id, "RepoTags", json_from_strv(image->names),
                "RepoDigests", json_from_strv(image->digests), "Created", created, "Platform", image->platform, "Size",
                (json_int_t)image->size_bytes, "Source", source_name(image), "SourceLine", image->source_line);

        json_set_string(object, "Libc", image->libc);
        json_object_set_new(object, "Config", describe_config(&image->config));
        json_object_set_new(object, "Layers", json_from_strv(image->layers));
        json_object_set_new(object, "Binds", describe_binds(image));
        return object;
}

static int inspect_one(const Invocation *invocation, Engine *engine, const char *name, json_t **ret, Error **err)
{
        _cleanup_image_ Image *image = NULL;
        int r = image_find_made(invocation->layout, name, &image, err);

        if (r == 0)
                *ret = describe_image(image);
        return r;
}

static int run_inspect(Invocation *invocation, Error **err)
{
        return inspect_each(invocation, inspect_one, err);
}

static const Option ls_options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "no-trunc", 0, OPTION_FLAG, NULL, "Whole ids" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Ids only" },
        { NULL },
};

static const Command image_ls = { .name = "image ls",
                                  .summary = "List images",
                                  .arguments = "[NAME...]",
                                  .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                  .options = ls_options,
                                  .max_arguments = -1,
                                  .function = run_ls,
                                  .complete = COMPLETE_IMAGES,
                                  .aliases = (const char *const[]){ "list", NULL } };
static const Command image_inspect = { .name = "image inspect",
                                       .summary = "Show all about images, as JSON",
                                       .arguments = "IMAGE...",
                                       .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                       .options = inspect_each_options,
                                       .min_arguments = 1,
                                       .max_arguments = -1,
                                       .function = run_inspect,
                                       .complete = COMPLETE_IMAGES };

static const Command *const children[] = {
        &image_ls,
        &image_inspect,
        &command_image_pull,
        &command_image_load,
        &command_image_import,
        &command_image_rm,
        &command_image_prune,
        NULL,
};

const Command command_image = {
        .name = "image",
        .summary = "Look at and manage images",
        .group = GROUP_DATA,
        .children = children,
};
