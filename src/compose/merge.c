#include "compose/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/place.h"

static Node *merge_nodes(Loader *loader, Node *base, Node *over, const Place *place);

static Node *merge_member(Loader *loader, Node *base, const NodeEntry *over, const Place *place)
{
        const Place member = place_key(place, over->key);

        return merge_nodes(loader, base, over->value, &member);
}

static Node *merge_maps(Loader *loader, Node *base, Node *over, const Place *place)
{
        NODE_FOREACH_ENTRY(entry, over)
        {
                NodeEntry *present = node_find(base, entry->key);

                if (!present)
                        node_set_at(loader->arena, base, entry->key, entry->line, entry->column, entry->value);
                else
                        present->value = merge_member(loader, present->value, entry, place);
        }
        return base;
}

static Node *fail_merge(Loader *loader, Node *base, Node *over, const Place *place)
{
        loader_fail(loader, over, place_path(place), "cannot override a %s with a %s", node_kind_name(base->kind),
                    node_kind_name(over->kind));
        return base;
}

static Node *replace(Loader *loader, Node *base, Node *over, const Place *place)
{
        node_set_previous(loader->arena, over, base);
        return over;
}

static Node *append(Loader *loader, Node *base, Node *over)
{
        NODE_FOREACH_ITEM(item, over)
        node_add(loader->arena, base, *item);
        return base;
}

static int compare_texts(const void *a, const void *b)
{
        return strcmp((*(Node *const *)a)->text, (*(Node *const *)b)->text);
}

static void add_pair(Loader *loader, Node *list, const char *key, Node *value)
{
        const char *text = node_is_null(value)
                                   ? key
                                   : arena_printf(loader->arena, "%s=%s", key, node_scalar_text(loader->arena, value));

        node_add(loader->arena, list, node_new_string(loader->arena, text, value));
}

/* {a: 1} becomes [a=1], sorted; one text becomes a list of it. */
static Node *to_list(Loader *loader, Node *node)
{
        Node *list;

        if (node->kind == NODE_LIST)
                return node;
        list = node_new_list(loader->arena, node);
        if (node->kind == NODE_STRING)
                node_add(loader->arena, list, node);
        if (node->kind != NODE_MAP)
                return list;
        NODE_FOREACH_ENTRY(entry, node)
        {
                if (entry->value->kind == NODE_LIST)
                        NODE_FOREACH_ITEM(item, entry->value)
                add_pair(loader, list, entry->key, *item);
                else add_pair(loader, list, entry->key, entry->value);
        }
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(Node *), compare_texts);
        return list;
}

static Node *merge_list(Loader *loader, Node *base, Node *over, const Place *place)
{
        return append(loader, to_list(loader, base), to_list(loader, over));
}

static Node *merge_hosts(Loader *loader, Node *base, Node *over, const Place *place)
{
        Node *list = to_list(loader, base), *more = to_list(loader, over);
        size_t present = list->n_items;

        NODE_FOREACH_ITEM(item, more)
        {
                bool found = false;

                for (size_t i = 0; i < present && !found; i++)
                        found = node_equal(list->items[i], *item);
                if (!found)
                        node_add(loader->arena, list, *item);
        }
        return list;
}

/* [a, b] becomes {a: …, b: …}; NULL where it can be neither. */
static Node *to_map(Loader *loader, Node *node, bool dependency)
{
        Node *map;

        if (node->kind == NODE_MAP)
                return node;
        if (node->kind != NODE_LIST)
                return NULL;
        map = node_new_map(loader->arena, node);
        NODE_FOREACH_ITEM(item, node)
        {
                Node *value;

                if ((*item)->kind != NODE_STRING)
                        return NULL;
                value = node_new(loader->arena, dependency ? NODE_MAP : NODE_NULL, *item);
                if (dependency) {
                        value->flags |= NODE_LIST_FORM;
                        node_set(loader->arena, value, "condition",
                                 node_new_string(loader->arena, "service_started", *item));
                        node_set(loader->arena, value, "required", node_new_bool(loader->arena, true, *item));
                }
                node_set(loader->arena, map, (*item)->text, value);
        }
        return map;
}

static Node *merge_as_maps(Loader *loader, Node *base, Node *over, const Place *place, bool dependency)
{
        Node *left = to_map(loader, base, dependency), *right = to_map(loader, over, dependency);

        if (node_is_null(over))
                return base;
        if (node_is_null(base))
                return over;
        if (!left || !right)
                return fail_merge(loader, base, over, place);
        return merge_maps(loader, left, right, place);
}

static Node *merge_depends_on(Loader *loader, Node *base, Node *over, const Place *place)
{
        return merge_as_maps(loader, base, over, place, true);
}

static Node *merge_names(Loader *loader, Node *base, Node *over, const Place *place)
{
        return merge_as_maps(loader, base, over, place, false);
}

static Node *build_map(Loader *loader, Node *build)
{
        Node *map;

        if (build->kind != NODE_STRING)
                return build->kind == NODE_MAP ? build : NULL;
        map = node_new_map(loader->arena, build);
        node_set(loader->arena, map, "context", build);
        return map;
}

static Node *merge_build(Loader *loader, Node *base, Node *over, const Place *place)
{
        Node *left = build_map(loader, base), *right = build_map(loader, over);

        if (!left || !right)
                return left ? left : right ? right : base;
        return merge_maps(loader, left, right, place);
}

/* Options of one driver mean nothing to another. */
static Node *merge_logging(Loader *loader, Node *base, Node *over, const Place *place)
{
        const Node *left, *right;

        if (base->kind != NODE_MAP || over->kind != NODE_MAP)
                return fail_merge(loader, base, over, place);
        left = node_get(base, "driver");
        right = node_get(over, "driver");
        if (!left || !right || node_equal(left, right))
                return merge_maps(loader, base, over, place);
        return replace(loader, base, over, place);
}

static size_t find_subnet(const Node *list, const Node *subnet)
{
        size_t i;

        for (i = 0; i < list->n_items; i++) {
                const Node *other = node_get(list->items[i], "subnet");

                if (!subnet || !other ? subnet == other : node_equal(other, subnet))
                        break;
        }
        return i;
}

static void merge_pool(Loader *loader, Node *result, Node *base, Node *over, const Place *place)
{
        const Node *left = node_get(base, "subnet"), *right = node_get(over, "subnet");
        bool same = !left || !right ? left == right : node_equal(left, right);
        size_t i;

        if (!same && find_subnet(result, right) == result->n_items) {
                node_add(loader->arena, result, over);
                return;
        }
        base = merge_maps(loader, base, over, place);
        i = find_subnet(result, node_get(base, "subnet"));
        if (i < result->n_items)
                result->items[i] = base;
        else
                node_add(loader->arena, result, base);
}

static Node *merge_ipam(Loader *loader, Node *base, Node *over, const Place *place)
{
        Node *result;

        if (base->kind != NODE_LIST || over->kind != NODE_LIST)
                return fail_merge(loader, base, over, place);
        result = node_new_list(loader->arena, over);
        NODE_FOREACH_ITEM(left, base)
        NODE_FOREACH_ITEM(right, over)
        {
                if ((*left)->kind != NODE_MAP || (*right)->kind != NODE_MAP)
                        return fail_merge(loader, base, over, place);
                merge_pool(loader, result, *left, *right, place);
        }
        return result;
}

static const struct {
        const char *pattern;
        Node *(*merge)(Loader *loader, Node *base, Node *over, const Place *place);
} rules[] = {
        { "networks.*.ipam.config", merge_ipam },
        { "networks.*.labels", merge_list },
        { "volumes.*.labels", merge_list },
        { "services.*.annotations", merge_list },
        { "services.*.build", merge_build },
        { "services.*.build.args", merge_list },
        { "services.*.build.additional_contexts", merge_list },
        { "services.*.build.extra_hosts", merge_hosts },
        { "services.*.build.labels", merge_list },
        { "services.*.command", replace },
        { "services.*.depends_on", merge_depends_on },
        { "services.*.deploy.labels", merge_list },
        { "services.*.dns", merge_list },
        { "services.*.dns_opt", merge_list },
        { "services.*.dns_search", merge_list },
        { "services.*.entrypoint", replace },
        { "services.*.env_file", merge_list },
        { "services.*.label_file", merge_list },
        { "services.*.environment", merge_list },
        { "services.*.extra_hosts", merge_hosts },
        { "services.*.healthcheck.test", replace },
        { "services.*.labels", merge_list },
        { "services.*.volumes.*.volume.labels", merge_list },
        { "services.*.logging", merge_logging },
        { "services.*.models", merge_names },
        { "services.*.networks", merge_names },
        { "services.*.sysctls", merge_list },
        { "services.*.tmpfs", merge_list },
        { "services.*.ulimits.*", replace },
};

static Node *merge_nodes(Loader *loader, Node *base, Node *over, const Place *place)
{
        int rule = place_rule(place);

        if (rule >= 0)
                return rules[rule].merge(loader, base, over, place);
        if (over->kind == NODE_NULL)
                return base;
        if (base->kind == NODE_MAP)
                return over->kind == NODE_MAP ? merge_maps(loader, base, over, place)
                                              : fail_merge(loader, base, over, place);
        if (base->kind == NODE_LIST)
                return over->kind == NODE_LIST ? append(loader, base, over) : fail_merge(loader, base, over, place);
        return replace(loader, base, over, place);
}

static Place merge_top(Loader *loader)
{
        if (!loader->merges)
                loader->merges = PATTERNS_OF(loader->arena, rules);
        return place_top(loader->merges);
}

Node *merge_trees(Loader *loader, Node *base, Node *over)
{
        const Place top = merge_top(loader);

        return merge_nodes(loader, base, over, &top);
}

Node *merge_service(Loader *loader, const char *name, Node *base, Node *over)
{
        const Place top = merge_top(loader), services = place_key(&top, "services"),
                    service = place_key(&services, name);

        return merge_nodes(loader, base, over, &service);
}
