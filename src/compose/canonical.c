#include "compose/canonical.h"

#include <string.h>

#include "base/mem.h"
#include "compose/place.h"
#include "compose/short_syntax.h"

typedef struct Transform {
        Loader *loader;
        bool lenient;
} Transform;

typedef Node *(*Transformer)(const Transform *transform, Node *node, const NodePath *path);

/* NULL, which takes the value out. */
static Node *fail_kind(const Transform *transform, Node *node, const NodePath *path, const char *expected)
{
        loader_fail(transform->loader, node, path, "must be %s, is a %s", expected, node_kind_name(node->kind));
        return NULL;
}

/* What may hold variables still is left as it is. */
static Node *fail_short(const Transform *transform, Node *node, const NodePath *path, const char *error)
{
        if (transform->lenient)
                return node;
        loader_fail(transform->loader, node, path, "%s", error);
        return NULL;
}

static Node *single_map(const Transform *transform, Node *node, const char *key)
{
        Node *map = node_new_map(transform->loader->arena, node);

        node_set(transform->loader->arena, map, key, node);
        return map;
}

static Node *to_build(const Transform *transform, Node *node, const NodePath *path)
{
        if (node->kind == NODE_STRING)
                return single_map(transform, node, "context");
        return node->kind == NODE_MAP ? node : fail_kind(transform, node, path, "a string or a mapping");
}

static Node *to_text(const Transform *transform, Node *node, const NodePath *path)
{
        if (node->kind == NODE_STRING)
                return node;
        return node_new_string(transform->loader->arena, node_scalar_text(transform->loader->arena, node), node);
}

static Node *to_pairs(const Transform *transform, Node *node, const NodePath *path)
{
        Arena *arena = transform->loader->arena;
        Node *map;

        if (node->kind == NODE_MAP)
                return node;
        if (node->kind != NODE_LIST)
                return fail_kind(transform, node, path, "a list or a mapping");
        map = node_new_map(arena, node);
        for (size_t i = 0; i < node->n_items; i++) {
                Node *item = node->items[i];
                const char *equals = item->kind == NODE_STRING ? strchr(item->text, '=') : NULL;

                if (!equals) {
                        return fail_short(transform, item, NODE_PATH_ITEM(path, i), "expected key=value") ? node : NULL;
                }
                node_set(arena, map, arena_strndup(arena, item->text, (size_t)(equals - item->text)),
                         node_new_string(arena, equals + 1, item));
        }
        return map;
}

static Node *new_dependency(Loader *loader, const Node *at)
{
        Node *map = node_new_map(loader->arena, at);

        map->flags |= NODE_LIST_FORM;
        node_set(loader->arena, map, "condition", node_new_string(loader->arena, "service_started", at));
        node_set(loader->arena, map, "required", node_new_bool(loader->arena, true, at));
        return map;
}

static Node *to_dependencies(const Transform *transform, Node *node, const NodePath *path)
{
        Arena *arena = transform->loader->arena;
        Node *map;

        if (node->kind == NODE_MAP) {
                NODE_FOREACH_ENTRY(entry, node)
                {
                        if (entry->value->kind != NODE_MAP)
                                return fail_kind(transform, entry->value, NODE_PATH_KEY(path, entry->key), "a mapping");
                        if (!node_find(entry->value, "condition"))
                                node_set(arena, entry->value, "condition",
                                         node_new_string(arena, "service_started", entry->value));
                        if (!node_find(entry->value, "required"))
                                node_set(arena, entry->value, "required", node_new_bool(arena, true, entry->value));
                }
                return node;
        }
        if (node->kind != NODE_LIST)
                return fail_kind(transform, node, path, "a list or a mapping");
        map = node_new_map(arena, node);
        NODE_FOREACH_ITEM(item, node)
        if ((*item)->kind == NODE_STRING)
                node_set(arena, map, (*item)->text, new_dependency(transform->loader, *item));
        return map;
}

static Node *to_env_file(const Transform *transform, Node *node)
{
        Arena *arena = transform->loader->arena;
        Node *map = node;

        if (node->kind == NODE_STRING)
                map = single_map(transform, node, "path");
        if (map->kind == NODE_MAP && !node_find(map, "required"))
                node_set(arena, map, "required", node_new_bool(arena, true, node));
        return map;
}

static Node *to_env_files(const Transform *transform, Node *node, const NodePath *path)
{
        Node *list = node;

        if (node->kind == NODE_STRING) {
                list = node_new_list(transform->loader->arena, node);
                node_add(transform->loader->arena, list, node);
        }
        if (list->kind != NODE_LIST)
                return fail_kind(transform, node, path, "a string or a list");
        NODE_FOREACH_ITEM(item, list)
        *item = to_env_file(transform, *item);
        return list;
}

static Node *to_list(const Transform *transform, Node *node, const NodePath *path)
{
        Node *list;

        if (node->kind != NODE_STRING)
                return node;
        list = node_new_list(transform->loader->arena, node);
        node_add(transform->loader->arena, list, node);
        return list;
}

static Node *to_extends(const Transform *transform, Node *node, const NodePath *path)
{
        if (node->kind == NODE_STRING)
                return single_map(transform, node, "service");
        return node->kind == NODE_MAP ? node : fail_kind(transform, node, path, "a string or a mapping");
}

static Node *to_gpus(const Transform *transform, Node *node, const NodePath *path)
{
        Node *list;

        if (node->kind != NODE_STRING)
                return node->kind == NODE_LIST ? node : fail_kind(transform, node, path, "a string or a list");
        list = node_new_list(transform->loader->arena, node);
        node_add(transform->loader->arena, list,
                 single_map(transform, node_new_string(transform->loader->arena, "all", node), "count"));
        return list;
}

static Node *to_names(const Transform *transform, Node *node, const NodePath *path)
{
        Node *map;

        if (node->kind != NODE_LIST)
                return node;
        map = node_new_map(transform->loader->arena, node);
        NODE_FOREACH_ITEM(item, node)
        if ((*item)->kind == NODE_STRING)
                node_set(transform->loader->arena, map, (*item)->text,
                         node_new(transform->loader->arena, NODE_NULL, *item));
        return map;
}

static Node *to_written_out(const Transform *transform, Node *node, const NodePath *path,
                            Node *(*parse)(Arena *arena, const Node *at, const char *text, const char **ret_error))
{
        const char *error = NULL;
        Node *result;

        if (node->kind != NODE_STRING)
                return node->kind == NODE_MAP ? node : fail_kind(transform, node, path, "a string or a mapping");
        result = parse(transform->loader->arena, node, node->text, &error);
        return result ? result : fail_short(transform, node, path, error);
}

static Node *to_volume(const Transform *transform, Node *node, const NodePath *path)
{
        return to_written_out(transform, node, path, short_volume);
}

static Node *to_device(const Transform *transform, Node *node, const NodePath *path)
{
        return to_written_out(transform, node, path, short_device);
}

static Node *to_file_mount(const Transform *transform, Node *node, const NodePath *path)
{
        if (node->kind == NODE_STRING)
                return single_map(transform, node, "source");
        return node->kind == NODE_MAP ? node : fail_kind(transform, node, path, "a string or a mapping");
}

static bool add_ports(const Transform *transform, Node *list, Node *entry, const NodePath *path)
{
        const char *error = NULL;
        Node *ports;

        if (entry->kind == NODE_MAP) {
                node_add(transform->loader->arena, list, entry);
                return true;
        }
        if (entry->kind != NODE_STRING && entry->kind != NODE_INT) {
                fail_kind(transform, entry, path, "a port number, a string or a mapping");
                return true;
        }
        ports = short_port(transform->loader->arena, entry, node_scalar_text(transform->loader->arena, entry), &error);
        if (ports)
                NODE_FOREACH_ITEM(port, ports)
        node_add(transform->loader->arena, list, *port);
        else if (transform->lenient) return false;
        else loader_fail(transform->loader, entry, path, "%s", error);
        return true;
}

static Node *to_ports(const Transform *transform, Node *node, const NodePath *path)
{
        Node *list;

        if (node->kind != NODE_LIST)
                return fail_kind(transform, node, path, "a list");
        list = node_new_list(transform->loader->arena, node);
        for (size_t i = 0; i < node->n_items; i++)
                if (!add_ports(transform, list, node->items[i], NODE_PATH_ITEM(path, i)))
                        return node;
        return list;
}

static Node *to_ssh(const Transform *transform, Node *node, const NodePath *path)
{
        Arena *arena = transform->loader->arena;
        Node *map;

        if (node->kind == NODE_MAP)
                return node;
        if (node->kind != NODE_LIST)
                return fail_kind(transform, node, path, "a list or a mapping");
        map = node_new_map(arena, node);
        for (size_t i = 0; i < node->n_items; i++) {
                Node *item = node->items[i];
                const char *equals = item->kind == NODE_STRING ? strchr(item->text, '=') : NULL;

                if (equals)
                        node_set(arena, map, arena_strndup(arena, item->text, (size_t)(equals - item->text)),
                                 node_new_string(arena, equals + 1, item));
                else if (item->kind == NODE_STRING && streq(item->text, "default"))
                        node_set(arena, map, "default", node_new(arena, NODE_NULL, item));
                else
                        loader_fail(transform->loader, item, NODE_PATH_ITEM(path, i),
                                    "expected \"default\" or id=path");
        }
        return map;
}

static Node *to_ulimit(const Transform *transform, Node *node, const NodePath *path)
{
        if (node->kind == NODE_MAP || node->kind == NODE_INT)
                return node;
        return fail_kind(transform, node, path, "an integer or a mapping");
}

static Node *to_maybe_external(const Transform *transform, Node *node, const NodePath *path)
{
        Arena *arena = transform->loader->arena;
        Node *external, *name, *own;

        if (node->kind == NODE_NULL)
                return node;
        if (node->kind != NODE_MAP)
                return fail_kind(transform, node, path, "a mapping");
        external = node_get(node, "external");
        if (!node_is(external, NODE_MAP))
                return node;
        name = node_get(external, "name");
        own = node_get(node, "name");
        node_set(arena, node, "external", node_new_bool(arena, true, external));
        if (!name)
                return node;
        loader_warn(transform->loader, "%s: external.name is deprecated. Please set name and external: true",
                    node_path_text(arena, path));
        if (own && !node_equal(own, name))
                loader_fail(transform->loader, name, path, "name and external.name conflict; only use name");
        else if (!own)
                node_set(arena, node, "name", name);
        return node;
}

static const struct {
        const char *pattern;
        Transformer transform;
        bool inside; /* there are rules for its members, too */
} transformers[] = {
        { "services.*.build", to_build, .inside = true },
        { "services.*.build.secrets.*", to_file_mount },
        { "services.*.build.provenance", to_text },
        { "services.*.build.sbom", to_text },
        { "services.*.build.additional_contexts", to_pairs },
        { "services.*.build.ssh", to_ssh },
        { "services.*.build.ulimits.*", to_ulimit },
        { "services.*.depends_on", to_dependencies },
        { "services.*.env_file", to_env_files },
        { "services.*.label_file", to_list },
        { "services.*.extends", to_extends },
        { "services.*.gpus", to_gpus },
        { "services.*.networks", to_names },
        { "services.*.models", to_names },
        { "services.*.volumes.*", to_volume },
        { "services.*.dns", to_list },
        { "services.*.devices.*", to_device },
        { "services.*.secrets.*", to_file_mount },
        { "services.*.configs.*", to_file_mount },
        { "services.*.ports", to_ports },
        { "services.*.ulimits.*", to_ulimit },
        { "services.*.develop.watch.*.ignore", to_list },
        { "services.*.develop.watch.*.include", to_list },
        { "volumes.*", to_maybe_external },
        { "networks.*", to_maybe_external },
        { "secrets.*", to_maybe_external },
        { "configs.*", to_maybe_external },
};

static Node *transform_node(const Transform *transform, Node *node, const Place *place);

static void transform_map(const Transform *transform, Node *map, const Place *place)
{
        for (size_t i = 0; i < map->n_entries;) {
                const Place member = place_key(place, map->entries[i].key);
                Node *value = transform_node(transform, map->entries[i].value, &member);

                if (value) {
                        map->entries[i++].value = value;
                        continue;
                }
                loader_damaged(transform->loader, place_path(&member));
                node_remove(map, map->entries[i].key);
        }
}

static void transform_list(const Transform *transform, Node *list, const Place *place)
{
        uint32_t n = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                const Place item = place_item(place, i);
                Node *value = transform_node(transform, list->items[i], &item);

                if (value)
                        list->items[n++] = value;
                else
                        loader_damaged(transform->loader, place_path(&item));
        }
        list->n_items = n;
}

/* NULL: the value is wrong, to be taken out. */
static Node *transform_node(const Transform *transform, Node *node, const Place *place)
{
        int rule = place_rule(place);

        if (rule >= 0)
                node = transformers[rule].transform(transform, node, place_path(place));
        if (!node || !place_has_rules(place) || (rule >= 0 && !transformers[rule].inside))
                return node;
        if (node->kind == NODE_MAP)
                transform_map(transform, node, place);
        else if (node->kind == NODE_LIST)
                transform_list(transform, node, place);
        return node;
}

/* An empty address of a name server is as good as none. */
static void drop_empty_dns(Node *root)
{
        Node *services = node_get(root, "services");

        if (!node_is(services, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(service, services)
        {
                Node *dns = node_get(service->value, "dns");
                uint32_t n = 0;

                if (!node_is(dns, NODE_LIST))
                        continue;
                NODE_FOREACH_ITEM(item, dns)
                if ((*item)->kind != NODE_NULL && !((*item)->kind == NODE_STRING && !*(*item)->text))
                        dns->items[n++] = *item;
                dns->n_items = n;
        }
}

void canonical_transform(Loader *loader, Node *root, bool lenient)
{
        const Transform transform = { loader, lenient };
        Place top;

        if (!loader->transformers)
                loader->transformers = PATTERNS_OF(loader->arena, transformers);
        top = place_top(loader->transformers);
        transform_node(&transform, root, &top);
        drop_empty_dns(root);
}
