#include "compose/source_private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "compose/canonical.h"
#include "compose/interpolate.h"
#include "compose/merge.h"
#include "compose/schema.h"
#include "compose/short_syntax.h"
#include "compose/yaml_tree.h"

/* Services on the way of `extends`, to find cycles. */
typedef struct ExtendsChain {
        const struct ExtendsChain *parent;
        const char *file, *service;
} ExtendsChain;

static bool read_input(Loader *loader, const char *file, const Node *at, Strbuf *data)
{
        _cleanup_error_ Error *error = NULL;
        int r;

        if (streq(file, "-"))
                r = fs_read_fd(STDIN_FILENO, LOADER_FILE_LIMIT, data, &error);
        else if (fs_is_directory(file))
                r = error_set(&error, ERROR_INVALID, "read %s: is a directory", file);
        else
                r = fs_read_file(AT_FDCWD, file, LOADER_FILE_LIMIT, data, &error);
        if (r == 0)
                return true;
        if (r == -ERROR_NOT_FOUND) {
                error_freep(&error);
                error = NULL;
                error_set(&error, ERROR_NOT_FOUND, "open %s: no such file or directory", file);
        }
        if (at)
                loader_fail(loader, at, NULL, "%s", error->message);
        else
                loader_add_error(loader, &error);
        return false;
}

const YamlDocuments *source_documents(Loader *loader, const char *file, const Node *at)
{
        _cleanup_strbuf_ Strbuf data = STRBUF_INIT;
        YamlDocuments *documents = strmap_get(&loader->documents, file);
        Error *error = NULL;

        if (documents)
                return documents;
        if (!read_input(loader, file, at, &data))
                return NULL;
        documents = arena_new(loader->arena, YamlDocuments);
        if (yaml_parse(loader->arena, arena_strdup(loader->arena, file), strbuf_text(&data), data.length, documents,
                       &error) < 0) {
                loader_add_error(loader, &error);
                return NULL;
        }
        strmap_set(&loader->documents, file, documents);
        return documents;
}

static Node *load_documents(const Source *source, Node *dict);

bool source_is_remote(const char *path)
{
        static const char *const beginnings[] = { "oci://", "git://", "ssh://", "git@", "github.com/" };
        const char *end = path + strcspn(path, "#");

        for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
                if (startswith(path, beginnings[i]))
                        return true;
        return (startswith(path, "https://") || startswith(path, "http://")) && end - path > 4 &&
               strncmp(end - 4, ".git", 4) == 0;
}

void source_fail_remote(Loader *loader, const Node *at, const char *path)
{
        loader_fail_hint(loader, at, "Fetch it (git clone, oras pull) and name the file on this machine.", NULL,
                         "compose files of other machines are not read: %s", path);
}

/* The folder of path seen from base: "sub" for ("/a", "/a/sub"). Both absolute and clean. */
const char *source_relative_to(Loader *loader, const char *base, const char *path)
{
        _cleanup_strbuf_ Strbuf out = STRBUF_INIT;
        size_t common = 0, i = 0;

        for (; base[i] && base[i] == path[i]; i++)
                if (base[i] == '/')
                        common = i + 1;
        if ((!base[i] && path[i] == '/') || (!path[i] && base[i] == '/') || (!base[i] && !path[i]))
                common = i + 1;
        if (common < strlen(base))
                for (const char *c = base + common - 1; c && *c; c = strchr(c + 1, '/'))
                        strbuf_adds(&out, out.length ? "/.." : "..");
        if (common < strlen(path))
                strbuf_addf(&out, "%s%s", out.length ? "/" : "", path + common);
        return arena_strdup(loader->arena, out.length ? strbuf_text(&out) : ".");
}

const char *source_absolute_path(Loader *loader, const char *base, const char *path)
{
        if (*path == '/')
                return path;
        return short_clean_path(loader->arena, arena_printf(loader->arena, "%s/%s", base, path));
}

const char *source_folder_of(Loader *loader, const char *path)
{
        _cleanup_free_ char *folder = path_dirname(path);

        return arena_strdup(loader->arena, folder);
}

/* extends */

static Node *extend_service(const Source *source, Node *services, const char *name, const ExtendsChain *chain,
                            const char *file, const ResetPaths *resets);

static bool chain_has_cycle(Loader *loader, const ExtendsChain *chain, const char *file, const char *service,
                            const Node *at)
{
        for (const ExtendsChain *link = chain; link; link = link->parent) {
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                if (!streq(link->file, file) || !streq(link->service, service))
                        continue;
                for (const ExtendsChain *step = chain; step; step = step->parent)
                        strbuf_addf(&text, "%s%s", step == chain ? "" : " <- ", step->service);
                loader_fail(loader, at, NULL, "circular reference in extends: service \"%s\" extends itself (%s)",
                            service, strbuf_text(&text));
                return true;
        }
        return false;
}

/* What was read for one file that is extended: many services often extend the same one. */
typedef struct ExtendedFile {
        Node *services;
        ResetPaths resets;
        bool damaged; /* there were mistakes in it */
} ExtendedFile;

static void mark_damaged(Loader *loader, const char *service)
{
        const NodePath services = { .key = "services" };

        loader_damaged(loader, NODE_PATH_KEY(NODE_PATH_KEY(&services, service), "extends"));
}

/* The services of the file that is extended, with its paths seen from the main project. */
static Node *load_extended(const Source *source, const char *name, const Node *at, const char *file, ResetPaths *resets)
{
        Loader *loader = source->loader;
        const char *path = source_absolute_path(loader, source->options->project_dir, file);
        const char *folder = source_folder_of(loader, path);
        SourceOptions options = *source->options;
        Source extended = {
                .loader = loader, .options = &options, .file = path, .files = source->files, .extended = true
        };
        const YamlDocuments *documents;
        size_t errors = loader->n_errors;
        ExtendedFile *known;
        Node *dict, *services;
        const char *key;

        options.working_dir = source_relative_to(loader, source->options->project_dir, folder);
        options.project_dir = folder;
        options.at = at;
        key = arena_printf(loader->arena, "%s\n%s\n%p", path, options.working_dir, (const void *)options.variables);
        known = strmap_get(&loader->extended, key);
        if (known) {
                if (known->damaged)
                        mark_damaged(loader, name);
                *resets = known->resets;
                return known->services;
        }
        documents = source_documents(loader, path, at);
        if (!documents)
                return NULL;
        if (documents->length > 0) { /* what its last document resets counts for its own services */
                Node *last = node_copy(loader->arena, documents->roots[documents->length - 1]);
                reset_collect(loader, last, resets);
        }
        dict = load_documents(&extended, NULL);
        if (!dict)
                return NULL;
        services = node_get(dict, "services");
        if (!node_is(services, NODE_MAP)) {
                loader_fail(loader, at, NULL, "cannot extend service \"%s\" in %s: no services section", name, path);
                return NULL;
        }
        canonical_resolve_paths(loader, dict, options.working_dir);
        known = arena_new(loader->arena, ExtendedFile);
        *known = (ExtendedFile){ services, *resets, loader->n_errors > errors };
        strmap_set(&loader->extended, key, known);
        if (known->damaged)
                mark_damaged(loader, name);
        return services;
}

typedef struct ExtendsTarget {
        const char *service, *file; /* file: NULL where it is the same one */
} ExtendsTarget;

static bool read_extends(Loader *loader, const Node *extends, const char *name, ExtendsTarget *ret)
{
        const Node *file = node_get(extends, "file");

        *ret = (ExtendsTarget){ .service = extends->kind == NODE_STRING ? extends->text
                                                                        : node_text(node_get(extends, "service")) };
        if (!ret->service) {
                loader_fail(loader, extends, NULL, "services.%s.extends: \"service\" is missing", name);
                return false;
        }
        if (node_is_null(file))
                return true;
        ret->file = node_text(file);
        if (!ret->file)
                loader_fail(loader, file, NULL, "services.%s.extends.file: must be a string", name);
        if (!ret->file || !source_is_remote(ret->file))
                return ret->file;
        source_fail_remote(loader, file, ret->file);
        return false;
}

static Node *extend_service(const Source *source, Node *services, const char *name, const ExtendsChain *chain,
                            const char *file, const ResetPaths *resets)
{
        Loader *loader = source->loader;
        Node *service = node_get(services, name), *base, *base_services = services;
        const Node *extends = node_get(service, "extends");
        ResetPaths base_resets = { 0 };
        ExtendsChain link = { .parent = chain, .file = file, .service = name };
        ExtendsTarget target;

        if (node_is_null(service))
                return service;
        if (service->kind != NODE_MAP) {
                loader_fail(loader, service, NULL, "services.%s: must be a mapping, is a %s", name,
                            node_kind_name(service->kind));
                return NULL;
        }
        if (!extends)
                return service;
        if (!read_extends(loader, extends, name, &target))
                return NULL;
        if (target.file) {
                base_services = load_extended(source, name, extends, target.file, &base_resets);
                link.file = target.file;
                if (base_services && !node_find(base_services, target.service)) {
                        loader_fail(loader, extends, NULL,
                                    "cannot extend service \"%s\" in %s: service \"%s\" not found in %s", name, file,
                                    target.service, target.file);
                        return NULL;
                }
        } else if (!node_find(services, target.service)) {
                loader_fail(loader, extends, NULL, "cannot extend service \"%s\" in %s: service \"%s\" not found", name,
                            file, target.service);
                return NULL;
        }
        if (!base_services || chain_has_cycle(loader, chain, link.file, name, extends))
                return NULL;
        base = extend_service(source, base_services, target.service, &link, file, target.file ? &base_resets : NULL);
        if (node_is_null(base))
                return base ? service : NULL;
        base = node_copy(loader->arena, base);
        if (resets)
                reset_apply_service(resets, name, base);
        base = merge_service(loader, name, base, service);
        node_remove(base, "extends");
        node_set(loader->arena, services, name, base);
        return base;
}

static void apply_extends(const Source *source, Node *dict, const ResetPaths *resets)
{
        NodeEntry *entry = node_find(dict, "services");

        if (!entry)
                return;
        if (entry->value->kind != NODE_MAP) {
                loader_fail(source->loader, entry->value, NULL, "services: must be a mapping, is a %s",
                            node_kind_name(entry->value->kind));
                return;
        }
        for (size_t i = 0; i < entry->value->n_entries; i++) {
                const NodeEntry *service = &entry->value->entries[i];

                if (extend_service(source, entry->value, service->key, NULL, source->file, resets))
                        continue;
                mark_damaged(source->loader, service->key);
                if (service->value->kind == NODE_MAP)
                        node_remove(service->value, "extends");
        }
}

/* Documents and files */

static void validate(const Source *source, Node *dict)
{
        const NodeEntry *version = node_find(dict, "version");

        schema_validate(source->loader, &schema_compose, dict, NULL);
        if (!version)
                return;
        loader_warn(source->loader,
                    "%s: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential "
                    "confusion",
                    source->file);
        node_remove(dict, "version");
}

static Node *load_document(const Source *source, Node *root, Node *dict)
{
        Loader *loader = source->loader;
        bool lenient = loader->options->no_interpolate;
        ResetPaths resets;

        if (root->kind != NODE_MAP) {
                loader_fail(loader, root, NULL, "top-level object must be a mapping, is a %s",
                            node_kind_name(root->kind));
                return NULL;
        }
        reset_collect(loader, root, &resets);
        if (!lenient)
                interpolate_tree(loader, root, source->options->variables);
        loader_next_step(loader);
        if (!source->extended)
                apply_extends(source, root, &resets);
        if (dict)
                reset_apply(&resets, dict);
        if (!source->extended)
                source_apply_includes(source, root);
        dict = dict ? merge_trees(loader, dict, root) : root;
        merge_enforce_unique(loader, dict, false);
        loader_next_step(loader);
        if (!source->extended)
                validate(source, dict);
        loader_next_step(loader);
        canonical_transform(loader, dict, lenient);
        merge_enforce_unique(loader, dict, true);
        loader_next_step(loader);
        return dict;
}

static void mark_missing(const Source *source)
{
        if (source->options->including)
                source->loader->names_missing = true;
        else if (!source->extended)
                source->loader->files_missing = true;
}

static Node *load_documents(const Source *source, Node *dict)
{
        const YamlDocuments *documents = source_documents(source->loader, source->file, source->options->at);

        /* The trees are changed from here on: who needs this file again reads it again. Standard input is there once.
         */
        if (documents && !streq(source->file, "-"))
                strmap_remove(&source->loader->documents, source->file);
        for (size_t i = 0; documents && i < documents->length; i++) {
                Node *result = load_document(source, documents->roots[i], dict);

                if (result)
                        dict = result;
                else
                        mark_missing(source);
        }
        if (!documents) {
                mark_missing(source);
                return NULL;
        }
        return dict ? dict : node_new_map(source->loader->arena, NULL);
}

Node *source_load(Loader *loader, char *const *files, const SourceOptions *options)
{
        Node *dict = NULL;

        STRV_FOREACH(file, files) {
                const SourceFiles own = { .parent = options->including, .file = *file };
                Source source = {
                        .loader = loader, .options = options, .file = arena_strdup(loader->arena, *file), .files = &own
                };
                Node *result = load_documents(&source, dict);

                if (result)
                        dict = result;
        }
        if (!dict)
                return NULL;
        canonical_set_defaults(loader, dict);
        canonical_check(loader, dict);
        if (options->resolve_paths)
                canonical_resolve_paths(loader, dict, options->working_dir);
        canonical_resolve_variables(loader, dict, options->variables);
        return dict;
}
