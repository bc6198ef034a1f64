#include "compose/project.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "compose/canonical.h"
#include "compose/ignored.h"
#include "compose/output.h"
#include "compose/typed.h"
#include "compose/typed_values.h"
#include "compose/xsecurity.h"
#include "compose/yaml_tree.h"

char **typed_texts(Arena *arena, const Node *list)
{
        char **texts;
        size_t n = 0;

        if (!node_is(list, NODE_LIST) || list->n_items == 0)
                return NULL;
        texts = arena_new_array(arena, char *, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        if (node_text(*item))
                texts[n++] = (char *)(*item)->text;
        return texts;
}

KeyValues typed_pairs(Arena *arena, const Node *map)
{
        KeyValues values = { 0 };

        if (!node_is(map, NODE_MAP) || map->n_entries == 0)
                return values;
        values.items = arena_new_array(arena, KeyValue, map->n_entries);
        NODE_FOREACH_ENTRY(entry, map)
        values.items[values.length++] = (KeyValue){ (char *)entry->key, (char *)node_text(entry->value) };
        return values;
}

const char *key_values_get(const KeyValues *values, const char *key)
{
        for (size_t i = 0; i < values->length; i++)
                if (streq(values->items[i].key, key))
                        return values->items[i].value;
        return NULL;
}

static size_t map_length(const Node *map)
{
        return node_is(map, NODE_MAP) ? map->n_entries : 0;
}

static void fill_pools(Arena *arena, const Node *list, Network *network)
{
        if (!node_is(list, NODE_LIST))
                return;
        network->pools = arena_new_array(arena, IpamPool, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        network->pools[network->n_pools++] = (IpamPool){
                .subnet = typed_text(arena, *item, "subnet"),
                .gateway = typed_text(arena, *item, "gateway"),
                .ip_range = typed_text(arena, *item, "ip_range"),
                .aux_addresses = typed_pairs(arena, node_get(*item, "aux_addresses")),
        };
}

static char *resource_name(const Project *project, const NodeEntry *entry)
{
        char *name = typed_text(project->arena, entry->value, "name");

        return name ? name : arena_printf(project->arena, "%s_%s", project->name, entry->key);
}

static void fill_networks(Project *project, const Node *section)
{
        Arena *arena = project->arena;

        project->networks = arena_new_array(arena, Network, map_length(section) + 1);
        for (size_t i = 0; i < map_length(section); i++) {
                const NodeEntry *entry = &section->entries[i];
                Network *network = &project->networks[project->n_networks++];

                network->key = (char *)entry->key;
                network->name = resource_name(project, entry);
                network->driver = typed_text(arena, entry->value, "driver");
                network->driver_opts = typed_pairs(arena, node_get(entry->value, "driver_opts"));
                network->labels = typed_pairs(arena, node_get(entry->value, "labels"));
                network->external = typed_bool(entry->value, "external");
                network->internal = typed_bool(entry->value, "internal");
                network->attachable = typed_bool(entry->value, "attachable");
                network->enable_ipv6 = typed_bool(entry->value, "enable_ipv6");
                fill_pools(arena, node_get(node_get(entry->value, "ipam"), "config"), network);
                network->node = entry->value;
        }
}

static void fill_volumes(Project *project, const Node *section)
{
        Arena *arena = project->arena;

        project->volumes = arena_new_array(arena, Volume, map_length(section) + 1);
        for (size_t i = 0; i < map_length(section); i++) {
                const NodeEntry *entry = &section->entries[i];

                project->volumes[project->n_volumes++] = (Volume){
                        .key = (char *)entry->key,
                        .name = resource_name(project, entry),
                        .driver = typed_text(arena, entry->value, "driver"),
                        .driver_opts = typed_pairs(arena, node_get(entry->value, "driver_opts")),
                        .labels = typed_pairs(arena, node_get(entry->value, "labels")),
                        .external = typed_bool(entry->value, "external"),
                        .node = entry->value,
                };
        }
}

static FileSource *fill_files(Project *project, const Node *section, size_t *ret_length)
{
        Arena *arena = project->arena;
        FileSource *files = arena_new_array(arena, FileSource, map_length(section) + 1);

        for (size_t i = 0; i < map_length(section); i++) {
                const NodeEntry *entry = &section->entries[i];

                files[(*ret_length)++] = (FileSource){
                        .key = (char *)entry->key,
                        .name = resource_name(project, entry),
                        .external = typed_bool(entry->value, "external"),
                        .file = typed_text(arena, entry->value, "file"),
                        .environment = typed_text(arena, entry->value, "environment"),
                        .content = typed_text(arena, entry->value, "content"),
                        .labels = typed_pairs(arena, node_get(entry->value, "labels")),
                        .node = entry->value,
                };
        }
        return files;
}

static Service *fill_services(Arena *arena, const Node *section, size_t *ret_length)
{
        Service *services = arena_new_array(arena, Service, map_length(section) + 1);

        for (size_t i = 0; i < map_length(section); i++)
                typed_service(arena, section->entries[i].key, section->entries[i].value, &services[(*ret_length)++]);
        return services;
}

void typed_fill(Project *project, const Node *model, const Node *disabled)
{
        project->model = model;
        project->x_berth = node_get(model, "x-berth");
        project->services = fill_services(project->arena, node_get(model, "services"), &project->n_services);
        project->disabled_services = fill_services(project->arena, disabled, &project->n_disabled_services);
        fill_networks(project, node_get(model, "networks"));
        fill_volumes(project, node_get(model, "volumes"));
        project->secrets = fill_files(project, node_get(model, "secrets"), &project->n_secrets);
        project->configs = fill_files(project, node_get(model, "configs"), &project->n_configs);
        x_berth_fill_secrets(project);
}

/* What variables held when the files were loaded. */
static void fill_contents(Project *project, const Node *root)
{
        for (size_t i = 0; i < project->n_secrets; i++) {
                FileSource *secret = &project->secrets[i];

                secret->content =
                        typed_text(project->arena, node_get(node_get(root, "secrets"), secret->key), SECRET_VALUE_KEY);
        }
        for (size_t i = 0; i < project->n_configs; i++) {
                FileSource *config = &project->configs[i];

                if (!config->content)
                        config->content =
                                typed_text(project->arena, node_get(node_get(root, "configs"), config->key), "content");
        }
}

Project *typed_project(Loader *loader, const Node *root, const Node *model, const Node *disabled,
                       const char *working_dir)
{
        Project *project = arena_new(loader->arena, Project);

        project->arena = loader->arena;
        project->name = arena_strdup(loader->arena, loader->project_name);
        project->name_given = loader->name_given;
        project->working_dir = arena_strdup(loader->arena, working_dir);
        project->root = root;
        project->model = model;
        project->is_template = loader->options->no_interpolate;
        if (project->is_template || loader->options->untyped)
                return project;
        typed_fill(project, model, disabled);
        fill_contents(project, root);
        project->ignored = ignored_keys(project->arena, project);
        return project;
}

int project_from_json(const char *json, size_t size, const char *working_dir, Project **ret, Error **err)
{
        Arena *arena = arena_create();
        YamlDocuments documents = { 0 };
        Project *project;
        int r;

        r = yaml_parse(arena, "model", json, size, &documents, err);
        if (r == 0 && (documents.length != 1 || !node_text(node_get(documents.roots[0], "name"))))
                r = error_set(err, ERROR_INVALID, "the model of a project is not complete");
        if (r < 0) {
                arena_free(arena);
                return error_prefix(err, r, "read the model of a project");
        }
        project = arena_new(arena, Project);
        project->arena = arena;
        project->name = typed_text(arena, documents.roots[0], "name");
        project->working_dir = arena_strdup(arena, working_dir);
        typed_fill(project, documents.roots[0], NULL);
        project->ignored = ignored_keys(arena, project);
        *ret = project;
        return 0;
}

void project_free(Project *project)
{
        if (project)
                arena_free(project->arena);
}

const Service *project_find_service(const Project *project, const char *name)
{
        for (size_t i = 0; i < project->n_services; i++)
                if (streq(project->services[i].name, name))
                        return &project->services[i];
        return NULL;
}

const Network *project_find_network(const Project *project, const char *key)
{
        for (size_t i = 0; i < project->n_networks; i++)
                if (streq(project->networks[i].key, key))
                        return &project->networks[i];
        return NULL;
}

const Volume *project_find_volume(const Project *project, const char *key)
{
        for (size_t i = 0; i < project->n_volumes; i++)
                if (streq(project->volumes[i].key, key))
                        return &project->volumes[i];
        return NULL;
}

static const FileSource *find_file(const FileSource *files, size_t length, const char *key)
{
        for (size_t i = 0; i < length; i++)
                if (streq(files[i].key, key))
                        return &files[i];
        return NULL;
}

const FileSource *project_find_secret(const Project *project, const char *key)
{
        return find_file(project->secrets, project->n_secrets, key);
}

const FileSource *project_find_config(const Project *project, const char *key)
{
        return find_file(project->configs, project->n_configs, key);
}

char *project_to_json(const Project *project)
{
        Output out = { 0 };

        output_json(&out, project->model, JSON_TRAVEL);
        return strbuf_take(&out.text);
}

/* Without interpolation a $ is a variable still, and stays single. */
void project_print(const Project *project, bool json, void (*write)(void *context, const char *text, size_t length),
                   void *context)
{
        _cleanup_output_ Output out = { .write = write, .context = context, .escape_dollars = !project->is_template };

        if (json)
                output_json(&out, project->model, JSON_INDENTED);
        else
                output_yaml(&out, project->model);
}

static void gather(void *context, const char *text, size_t length)
{
        strbuf_add(context, text, length);
}

char *project_config_text(const Project *project, bool json)
{
        Strbuf text = STRBUF_INIT;

        project_print(project, json, gather, &text);
        return strbuf_take(&text);
}

char *service_container_name(const Project *project, const Service *service, int number)
{
        if (service->container_name)
                return xstrdup(service->container_name);
        return xasprintf("%s-%s-%d", project->name, service->name, number);
}

/* The service without what can change without a new container. */
static void hash_text(const Service *service, JsonStyle style, Output *out)
{
        static const char *const left_out[] = { "build", "pull_policy", "scale", "depends_on", "profiles" };
        static const char *const of_x_berth[] = { "access", "migrations", "roles", "silence", "tls" };
        Arena *arena = arena_create();
        Node *copy = node_copy(arena, service->node), *deploy = node_get(copy, "deploy"),
             *x_berth = node_get(copy, "x-berth");

        for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
                node_remove(copy, left_out[i]);
        for (size_t i = 0; node_is(x_berth, NODE_MAP) && i < ARRAY_SIZE(of_x_berth); i++)
                node_remove(x_berth, of_x_berth[i]);
        if (node_is(x_berth, NODE_MAP) && x_berth->n_entries == 0)
                node_remove(copy, "x-berth");
        if (deploy)
                node_remove(deploy, "replicas");
        output_json(out, copy, style);
        arena_free(arena);
}

char *service_config_hash(const Service *service)
{
        _cleanup_output_ Output out = { 0 };

        hash_text(service, JSON_COMPACT, &out);
        return sha256_hex(strbuf_text(&out.text), out.text.length);
}

static void add_contents(Strbuf *text, const FileReference *references, size_t length, const FileSource *sources,
                         size_t n_sources)
{
        for (size_t i = 0; i < length; i++) {
                const FileSource *source = find_file(sources, n_sources, references[i].source);

                if (source)
                        strbuf_addf(text, "\n%s=%s%s", source->key, source->file ? source->file : "",
                                    source->content ? source->content : "");
        }
}

char *service_hash(const Project *project, const Service *service)
{
        _cleanup_output_ Output out = { 0 };

        hash_text(service, JSON_TRAVEL, &out);
        add_contents(&out.text, service->secrets, service->n_secrets, project->secrets, project->n_secrets);
        add_contents(&out.text, service->configs, service->n_configs, project->configs, project->n_configs);
        return sha256_hex(strbuf_text(&out.text), out.text.length);
}
