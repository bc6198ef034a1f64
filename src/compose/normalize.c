/* What a file leaves unsaid: the default network, dependencies that follow from other keys, names of resources. */
#include <string.h>

#include "base/mem.h"
#include "compose/canonical.h"
#include "compose/short_syntax.h"

static Node *default_node(Loader *loader, NodeKind kind)
{
        Node *node = node_new(loader->arena, kind, NULL);

        node->flags |= NODE_DEFAULT;
        return node;
}

static Node *default_text(Loader *loader, const char *text)
{
        Node *node = default_node(loader, NODE_STRING);

        node->text = text;
        return node;
}

static void normalize_networks(Loader *loader, Node *root)
{
        Node *networks = node_get(root, "networks"), *services = node_get(root, "services");
        bool used = false;

        if (!node_is(networks, NODE_MAP))
                networks = default_node(loader, NODE_MAP);
        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
                {
                        Node *service = entry->value, *attached = node_get(service, "networks");

                        if (node_find(service, "provider") || node_find(service, "network_mode"))
                                continue;
                        if (!node_is(attached, NODE_MAP) || attached->n_entries == 0) {
                                attached = default_node(loader, NODE_MAP);
                                node_set(loader->arena, attached, "default", default_node(loader, NODE_NULL));
                                node_set(loader->arena, service, "networks", attached);
                        }
                        used |= !!node_find(attached, "default");
                }
        if (used && !node_find(networks, "default"))
                node_set(loader->arena, networks, "default", default_node(loader, NODE_NULL));
        if (networks->n_entries > 0)
                node_set(loader->arena, root, "networks", networks);
}

static bool is_all_given(const Node *map)
{
        NODE_FOREACH_ENTRY(entry, map)
        if (entry->value->kind == NODE_NULL)
                return false;
        return true;
}

/* Values for what is given without one; unresolved build arguments are dropped. */
static void resolve_pairs(Loader *loader, Node *map, const char *key, const Variables *variables, bool keep)
{
        Node *pairs = node_get(map, key);
        uint32_t n = 0;

        if (node_is(pairs, NODE_MAP) && !is_all_given(pairs)) {
                Node *kept = node_new_map(loader->arena, pairs);

                NODE_FOREACH_ENTRY(entry, pairs)
                {
                        const Variable *variable =
                                entry->value->kind == NODE_NULL ? variables_get(variables, entry->key) : NULL;
                        Node *value = entry->value;

                        if (variable) {
                                value = node_new_string(loader->arena, variable->value, entry->value);
                                node_set_note(loader->arena, value,
                                              arena_printf(loader->arena, "%s from %s", entry->key, variable->origin));
                        } else if (value->kind == NODE_NULL && !keep) {
                                continue;
                        }
                        node_set_at(loader->arena, kept, entry->key, entry->line, entry->column, value);
                }
                node_set(loader->arena, map, key, kept);
        } else if (node_is(pairs, NODE_LIST)) {
                NODE_FOREACH_ITEM(item, pairs)
                {
                        if (node_text(*item) && !strchr((*item)->text, '=')) {
                                const Variable *variable = variables_get(variables, (*item)->text);

                                if (variable) {
                                        node_set_note(loader->arena, *item,
                                                      arena_printf(loader->arena, "%s from %s", (*item)->text,
                                                                   variable->origin));
                                        (*item)->text =
                                                arena_printf(loader->arena, "%s=%s", (*item)->text, variable->value);
                                } else if (!keep)
                                        continue;
                        }
                        pairs->items[n++] = *item;
                }
                pairs->n_items = n;
        }
}

static void imply_dependency(Loader *loader, Node *dependencies, const char *service, const Node *at, bool restart)
{
        Node *map;

        if (node_find(dependencies, service))
                return;
        map = node_new_map(loader->arena, at);
        node_set(loader->arena, map, "condition", node_new_string(loader->arena, "service_started", at));
        node_set(loader->arena, map, "restart", node_new_bool(loader->arena, restart, at));
        node_set(loader->arena, map, "required", node_new_bool(loader->arena, true, at));
        node_set(loader->arena, dependencies, service, map);
}

static void imply_from_links(Loader *loader, const Node *service, Node *dependencies)
{
        const Node *links = node_get(service, "links");

        if (!node_is(links, NODE_LIST))
                return;
        NODE_FOREACH_ITEM(link, links)
        {
                const char *text = node_text(*link), *colon = text ? strchr(text, ':') : NULL;

                if (!text)
                        continue;
                if (colon && !strchr(colon + 1, ':'))
                        text = arena_strndup(loader->arena, text, (size_t)(colon - text));
                imply_dependency(loader, dependencies, text, *link, true);
        }
}

static void imply_from_namespaces(Loader *loader, const Node *service, Node *dependencies)
{
        static const char *const keys[] = { "network_mode", "ipc", "pid", "uts", "cgroup" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const Node *value = node_get(service, keys[i]);
                const char *other = node_text(value) ? startswith(value->text, "service:") : NULL;

                if (other)
                        imply_dependency(loader, dependencies, other, value, true);
        }
}

static void imply_from_volumes(Loader *loader, const Node *service, Node *dependencies)
{
        const Node *from = node_get(service, "volumes_from");

        if (!node_is(from, NODE_LIST))
                return;
        NODE_FOREACH_ITEM(item, from)
        {
                const char *text = node_text(*item);

                if (text && !startswith(text, "container:"))
                        imply_dependency(loader, dependencies, arena_strndup(loader->arena, text, strcspn(text, ":")),
                                         *item, false);
        }
}

static void normalize_service(Loader *loader, Node *service, const Variables *variables)
{
        Node *build = node_get(service, "build"), *policy = node_get(service, "pull_policy");
        Node *dependencies = node_get(service, "depends_on"), *volumes = node_get(service, "volumes");

        if (node_text(policy) && streq(policy->text, "if_not_present"))
                policy->text = "missing";
        if (node_is(build, NODE_MAP)) {
                if (node_is_null(node_get(build, "context")))
                        node_set(loader->arena, build, "context", default_text(loader, "."));
                if (node_is_null(node_get(build, "dockerfile")) && node_is_null(node_get(build, "dockerfile_inline")))
                        node_set(loader->arena, build, "dockerfile", default_text(loader, "Dockerfile"));
                resolve_pairs(loader, build, "args", variables, false);
        }
        resolve_pairs(loader, service, "environment", variables, true);
        if (!node_is(dependencies, NODE_MAP))
                dependencies = default_node(loader, NODE_MAP);
        imply_from_links(loader, service, dependencies);
        imply_from_namespaces(loader, service, dependencies);
        if (node_is(volumes, NODE_LIST))
                NODE_FOREACH_ITEM(volume, volumes)
                {
                        Node *target = node_get(*volume, "target");

                        if (node_text(target))
                                target->text = short_clean_path(loader->arena, target->text);
                }
        imply_from_volumes(loader, service, dependencies);
        if (dependencies->n_entries > 0)
                node_set(loader->arena, service, "depends_on", dependencies);
}

static bool is_true(const Node *node)
{
        const char *text;

        if (!node)
                return false;
        if (node->kind == NODE_BOOL)
                return node->boolean;
        text = node_text(node);
        return text && (streq(text, "true") || streq(text, "True") || streq(text, "TRUE") || streq(text, "t") ||
                        streq(text, "T") || streq(text, "1"));
}

static void name_resources(Loader *loader, Node *section)
{
        if (!node_is(section, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(entry, section)
        {
                if (entry->value->kind == NODE_NULL) {
                        const Node *at = entry->value;

                        entry->value = node_new_map(loader->arena, at);
                }
                if (entry->value->kind != NODE_MAP || !node_is_null(node_get(entry->value, "name")))
                        continue;
                node_set(loader->arena, entry->value, "name",
                         default_text(loader, is_true(node_get(entry->value, "external"))
                                                      ? entry->key
                                                      : arena_printf(loader->arena, "%s_%s", loader->project_name,
                                                                     entry->key)));
        }
}

void canonical_normalize(Loader *loader, Node *root, const Variables *variables)
{
        static const char *const sections[] = { "networks", "volumes", "configs", "secrets" };
        Node *services = node_get(root, "services");

        normalize_networks(loader, root);
        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
        if (entry->value->kind == NODE_MAP)
                normalize_service(loader, entry->value, variables);
        for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
                name_resources(loader, node_get(root, sections[i]));
}
