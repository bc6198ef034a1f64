/* Loading a project: what comes after which. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "compose/canonical.h"
#include "compose/consistency.h"
#include "compose/discover.h"
#include "compose/dotenv.h"
#include "compose/model.h"
#include "compose/select.h"
#include "compose/source.h"
#include "compose/typed.h"

/* Variables for the values in an env_file: those of the project, then the service's own. */
typedef struct EnvironmentContext {
        const Loader *loader;
        const Node *environment;
        Variable own;
} EnvironmentContext;

static const Variable *lookup_environment(const void *context, const char *name)
{
        EnvironmentContext *own = (EnvironmentContext *)context;
        const Variable *variable = variables_get(&own->loader->variables, name);
        const char *text;

        if (variable)
                return variable;
        text = node_text(node_get(own->environment, name));
        if (!text)
                return NULL;
        own->own = (Variable){ text, "environment" };
        return &own->own;
}

static bool read_variables_file(Loader *loader, const Node *at, const char *path, const char *format, bool required,
                                const char *what, TemplateLookup lookup, const void *context, Variables *out)
{
        _cleanup_strbuf_ Strbuf data = STRBUF_INIT;
        const char *name = arena_strdup(loader->arena, path);
        Error *error = NULL;
        int r;

        if (access(path, F_OK) < 0 && errno == ENOENT) {
                if (required)
                        loader_fail(loader, at, NULL, "%s file %s not found", what, path);
                return false;
        }
        r = fs_read_file(AT_FDCWD, path, LOADER_FILE_LIMIT, &data, &error);
        if (r == 0 && format && streq(format, "raw"))
                r = dotenv_parse_raw(loader, name, strbuf_text(&data), lookup, context, out, &error);
        else if (r == 0 && !isempty(format))
                r = error_set(&error, ERROR_INVALID, "unsupported env_file format \"%s\"", format);
        else if (r == 0)
                r = dotenv_parse(loader, name, strbuf_text(&data), lookup, context, out, &error);
        if (r < 0)
                loader_add_error(loader, &error);
        return r == 0;
}

static void variables_into_map(Loader *loader, const Variables *variables, Node *map, const Node *at)
{
        STRMAP_FOREACH(entry, &variables->map) {
                const Variable *variable = entry->value;
                Node *node;

                if (node_find(map, entry->key))
                        continue;
                node = node_new_string(loader->arena, variable->value, at);
                if (!streq(variable->origin, "environment"))
                        node_set_note(loader->arena, node, variable->origin);
                node_set(loader->arena, map, arena_strdup(loader->arena, entry->key), node);
        }
        node_sort(map);
}

static void resolve_environment(Loader *loader, Node *service)
{
        Node *environment = node_get(service, "environment"), *files = node_get(service, "env_file");
        EnvironmentContext context = { .loader = loader };
        _cleanup_(variables_done) Variables variables = { 0 };

        if (environment)
                NODE_FOREACH_ENTRY(entry, environment)
                {
                        const Variable *variable =
                                entry->value->kind == NODE_NULL ? variables_get(&loader->variables, entry->key) : NULL;

                        if (!variable)
                                continue;
                        entry->value = node_new_string(loader->arena, variable->value, entry->value);
                        node_set_note(loader->arena, entry->value,
                                      arena_printf(loader->arena, "%s from %s", entry->key, variable->origin));
                }
        if (!files)
                return;
        if (!environment)
                environment = node_new_map(loader->arena, files);
        context.environment = environment;
        NODE_FOREACH_ENTRY(entry, environment)
        if (node_text(entry->value))
                variables_set(loader, &variables, entry->key, entry->value->text, "environment");
        NODE_FOREACH_ITEM(item, files)
        read_variables_file(loader, *item, node_text(node_get(*item, "path")), node_text(node_get(*item, "format")),
                            node_get(*item, "required")->boolean, "env", lookup_environment, &context, &variables);
        variables_into_map(loader, &variables, environment, files);
        if (environment->n_entries > 0)
                node_set(loader->arena, service, "environment", environment);
}

static const Variable *lookup_labels(const void *context, const char *name)
{
        return variables_get(context, name);
}

static void resolve_labels(Loader *loader, Node *service)
{
        Node *labels = node_get(service, "labels"), *files = node_get(service, "label_file");
        _cleanup_(variables_done) Variables all = { 0 };

        if (!files)
                return;
        NODE_FOREACH_ITEM(item, files)
        {
                _cleanup_(variables_done) Variables own = { 0 };

                read_variables_file(loader, *item, (*item)->text, NULL, true, "label", lookup_labels, &all, &own);
                variables_copy(&all, &own);
        }
        if (!labels)
                labels = node_new_map(loader->arena, files);
        variables_into_map(loader, &all, labels, files);
        if (labels->n_entries > 0)
                node_set(loader->arena, service, "labels", labels);
        node_remove(service, "label_file");
}

/* A file that must be there is printed as its path alone. */
static void shorten_env_files(Node *service)
{
        Node *files = node_get(service, "env_file");

        if (files)
                NODE_FOREACH_ITEM(item, files)
        if (node_get(*item, "required")->boolean)
                *item = node_get(*item, "path");
}

static void resolve_services(Loader *loader, Node *model)
{
        NODE_FOREACH_ENTRY(entry, node_get(model, "services"))
        {
                if (loader->options->no_env_resolution) {
                        shorten_env_files(entry->value);
                } else {
                        resolve_environment(loader, entry->value);
                        node_remove(entry->value, "env_file");
                }
                resolve_labels(loader, entry->value);
        }
}

static int typed_model(Loader *loader, Node *root, Discovered *discovered, Node **ret_model, Node **ret_disabled)
{
        Node *model = model_build(loader, root), *disabled = node_new_map(loader->arena, NULL);

        loader_next_step(loader);
        select_profiles(loader, model, disabled, discovered->profiles);
        if (!loader->options->no_consistency)
                consistency_check(loader, model, disabled);
        select_enable_named(loader, model, disabled, &discovered->profiles);
        resolve_services(loader, model);
        select_only_named(loader, model, disabled);
        if (!loader->options->all_resources)
                select_prune(loader, model);
        if (!loader->options->no_consistency)
                consistency_check_container_names(loader, model);
        *ret_model = model;
        *ret_disabled = disabled;
        return loader->n_errors > 0 ? -ERROR_INVALID : 0;
}

static Node *load_root(Loader *loader, const Discovered *discovered)
{
        const SourceOptions options = {
                .working_dir = arena_strdup(loader->arena, discovered->working_dir),
                .project_dir = arena_strdup(loader->arena, discovered->working_dir),
                .variables = &loader->variables,
                .resolve_paths = !loader->options->no_path_resolution,
        };
        Node *root = source_load(loader, discovered->files, &options);

        if (!root)
                return NULL;
        if (root->n_entries == 0 && loader->n_errors == 0) {
                loader_fail(loader, NULL, NULL, "empty compose file");
                return NULL;
        }
        if (!*loader->project_name && loader->n_errors == 0)
                loader_fail(loader, NULL, NULL, "project name must not be empty");
        loader_next_step(loader);
        if (!loader->options->no_normalize) {
                node_set(loader->arena, root, "name",
                         node_new_string(loader->arena, loader->project_name, node_get(root, "name")));
                canonical_normalize(loader, root, &loader->variables);
        }
        return root;
}

static void loader_done(Loader *loader)
{
        arena_free(loader->arena);
        arena_free(loader->scratch);
        error_free(loader->errors);
        strmap_done(&loader->warnings);
        strmap_done(&loader->error_texts);
        strmap_done(&loader->error_steps);
        strmap_done(&loader->damaged);
        strmap_done(&loader->documents);
        strmap_done(&loader->extended);
        variables_done(&loader->variables);
}

static void keep_warnings(Loader *loader, Project *project)
{
        _cleanup_strv_ char **warnings = NULL, **variables = NULL;

        STRMAP_FOREACH(entry, &loader->warnings)
                strv_add(&warnings, entry->key);
        STRMAP_FOREACH(entry, &loader->variables.map)
                strv_addf(&variables, "%s=%s", entry->key, ((const Variable *)entry->value)->value);
        strv_sort(variables);
        project->warnings = arena_strv(project->arena, warnings);
        project->variables = arena_strv(project->arena, variables);
}

/* Untyped lists without items are null in JSON, as the reference prints them. */
static void null_empty_lists(Node *node)
{
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
        null_empty_lists(entry->value);
        else if (node->kind == NODE_LIST && node->n_items > 0) NODE_FOREACH_ITEM(item, node) null_empty_lists(*item);
        else if (node->kind == NODE_LIST) node->flags |= NODE_NIL;
}

static int load(Loader *loader, Discovered *discovered, Project **ret, Error **err)
{
        Node *root, *model = NULL, *disabled = NULL;
        int r;

        r = discover(loader, discovered, err);
        if (r < 0)
                return r;
        r = discover_name(loader, discovered, err);
        if (r < 0)
                return r;
        root = load_root(loader, discovered);
        if (!root)
                return -ERROR_INVALID;
        if (!loader->options->no_interpolate) {
                r = typed_model(loader, root, discovered, &model, &disabled);
                if (r < 0)
                        return r;
        } else {
                model = root; /* values may still be variables: nothing to type */
                null_empty_lists(model);
                if (loader->n_errors > 0)
                        return -ERROR_INVALID;
        }
        *ret = typed_project(loader, root, model, disabled, discovered->working_dir);
        (*ret)->files = arena_strv(loader->arena, discovered->files);
        (*ret)->profiles = arena_strv(loader->arena, discovered->profiles);
        keep_warnings(loader, *ret);
        return 0;
}

int project_load(const LoadOptions *options, Project **ret, Error **err)
{
        _cleanup_(loader_done)
                Loader loader = { .arena = arena_create(), .scratch = arena_create(), .options = options };
        _cleanup_(discovered_done) Discovered discovered = { 0 };
        _cleanup_free_ char *here = options->working_dir ? xstrdup(options->working_dir) : getcwd(NULL, 0);
        int r;

        if (!here)
                return error_set_errno(err, errno, "find the working folder");
        loader.working_dir = arena_strdup(loader.arena, here);
        r = load(&loader, &discovered, ret, err);
        if (loader.n_errors > 0) {
                Error *errors = loader_take_errors(&loader);

                r = -(int)errors->kind;
                error_move(err, &errors, r);
                return r;
        }
        if (r == 0)
                loader.arena = NULL; /* the project's now */
        return r;
}
