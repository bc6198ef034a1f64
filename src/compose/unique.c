/* Lists without repetitions: which items of which list mean the same thing. */
#include <string.h>

#include "base/mem.h"
#include "compose/merge.h"
#include "compose/place.h"
#include "compose/short_syntax.h"

/* The identity of an item, in the arena; NULL: *ret_error says why it has none. */
typedef const char *(*Identity)(Arena *arena, const Node *item, const char **ret_error);

static const char *identify_pair(Arena *arena, const Node *item, const char **ret_error)
{
        if (item->kind != NODE_STRING) {
                *ret_error = arena_printf(arena, "must be a string, is a %s", node_kind_name(item->kind));
                return NULL;
        }
        return arena_strndup(arena, item->text, strcspn(item->text, "="));
}

static const char *identify_volume(Arena *arena, const Node *item, const char **ret_error)
{
        if (item->kind == NODE_STRING)
                return short_volume_target(arena, item->text, ret_error);
        if (item->kind != NODE_MAP)
                return "";
        if (!node_text(node_get(item, "target"))) {
                *ret_error = "the mount target is missing";
                return NULL;
        }
        return node_text(node_get(item, "target"));
}

static const char *identify_device(Arena *arena, const Node *item, const char **ret_error)
{
        const char *target;

        if (item->kind == NODE_STRING) {
                const char *colon = strchr(item->text, ':');
                return colon ? arena_strndup(arena, colon + 1, strcspn(colon + 1, ":")) : item->text;
        }
        if (item->kind != NODE_MAP)
                return "";
        target = node_text(node_get(item, "target"));
        if (!target)
                *ret_error = "the target of the device is missing";
        return target;
}

static const char *identify_expose(Arena *arena, const Node *item, const char **ret_error)
{
        if (item->kind == NODE_STRING || item->kind == NODE_INT)
                return node_scalar_text(arena, item);
        *ret_error = "must be a port number";
        return NULL;
}

static const char *identify_file(Arena *arena, const Node *item, const char *folder, const char **ret_error)
{
        if (item->kind == NODE_STRING)
                return arena_printf(arena, "%s/%s", folder, item->text);
        if (item->kind == NODE_MAP) {
                const Node *target = node_get(item, "target"), *source = node_get(item, "source");

                return target ? node_scalar_text(arena, target)
                              : arena_printf(arena, "%s/%s", folder, source ? node_scalar_text(arena, source) : "");
        }
        *ret_error = arena_printf(arena, "must be a string or a mapping, is a %s", node_kind_name(item->kind));
        return NULL;
}

static const char *identify_config(Arena *arena, const Node *item, const char **ret_error)
{
        return identify_file(arena, item, "", ret_error);
}

static const char *identify_secret(Arena *arena, const Node *item, const char **ret_error)
{
        return identify_file(arena, item, "/run/secrets", ret_error);
}

static const char *member_text(Arena *arena, const Node *map, const char *key, const char *fallback)
{
        const Node *member = node_get(map, key);
        return member ? node_scalar_text(arena, member) : fallback;
}

/* The reference tells 8080 from "8080" here: both stay. */
static const char *published_text(Arena *arena, const Node *port)
{
        const Node *published = node_get(port, "published");

        if (!published)
                return "-";
        return published->kind == NODE_INT ? arena_printf(arena, "int %lld", (long long)published->integer)
                                           : node_scalar_text(arena, published);
}

static const char *identify_port(Arena *arena, const Node *item, const char **ret_error)
{
        if (item->kind == NODE_STRING || item->kind == NODE_INT)
                return node_scalar_text(arena, item);
        if (item->kind != NODE_MAP)
                return "";
        if (!node_get(item, "target")) {
                *ret_error = "the target port is missing";
                return NULL;
        }
        return arena_printf(arena, "%s:%s:%s%s/%s", member_text(arena, item, "host_ip", "0.0.0.0"),
                            published_text(arena, item), node_text(node_get(item, "target")) ? "text " : "",
                            member_text(arena, item, "target", ""), member_text(arena, item, "protocol", "tcp"));
}

static const char *identify_env_file(Arena *arena, const Node *item, const char **ret_error)
{
        if (item->kind == NODE_STRING)
                return item->text;
        if (item->kind != NODE_MAP)
                return "";
        if (!node_text(node_get(item, "path")))
                *ret_error = "the path is missing";
        return node_text(node_get(item, "path"));
}

static const struct {
        const char *pattern;
        Identity identify;
} lists[] = {
        { "networks.*.labels", identify_pair },
        { "networks.*.ipam.options", identify_pair },
        { "services.*.annotations", identify_pair },
        { "services.*.build.args", identify_pair },
        { "services.*.build.additional_contexts", identify_pair },
        { "services.*.build.platform", identify_pair },
        { "services.*.build.tags", identify_pair },
        { "services.*.build.labels", identify_pair },
        { "services.*.cap_add", identify_pair },
        { "services.*.cap_drop", identify_pair },
        { "services.*.configs", identify_config },
        { "services.*.deploy.labels", identify_pair },
        { "services.*.dns", identify_pair },
        { "services.*.dns_opt", identify_pair },
        { "services.*.dns_search", identify_pair },
        { "services.*.environment", identify_pair },
        { "services.*.env_file", identify_env_file },
        { "services.*.expose", identify_expose },
        { "services.*.labels", identify_pair },
        { "services.*.links", identify_pair },
        { "services.*.networks.*.aliases", identify_pair },
        { "services.*.networks.*.link_local_ips", identify_pair },
        { "services.*.ports", identify_port },
        { "services.*.profiles", identify_pair },
        { "services.*.secrets", identify_secret },
        { "services.*.sysctls", identify_pair },
        { "services.*.tmpfs", identify_pair },
        { "services.*.volumes", identify_volume },
        { "services.*.devices", identify_device },
};

typedef struct Enforcer {
        Loader *loader;
        bool checked;
} Enforcer;

/* Has something been taken out of "services.a.volumes"? */
static bool is_damaged(const Loader *loader, const NodePath *path)
{
        const NodePath *name = path->parent, *section = name ? name->parent : NULL;

        return section && !section->parent && loader_is_damaged(loader, section->key, name->key, path->key);
}

/* The identities of all items in the scratch arena; false: one has none. */
static bool identify_items(const Enforcer *enforcer, const Node *list, Identity identify, const NodePath *path,
                           const char **identities)
{
        for (size_t i = 0; i < list->n_items; i++) {
                const char *error = NULL;

                identities[i] = identify(enforcer->loader->scratch, list->items[i], &error);
                if (!error)
                        continue;
                if (enforcer->checked && !is_damaged(enforcer->loader, path))
                        loader_fail(enforcer->loader, list->items[i], NODE_PATH_ITEM(path, i), "%s", error);
                return false;
        }
        return true;
}

static void enforce_list(const Enforcer *enforcer, Node *list, Identity identify, const NodePath *path)
{
        Loader *loader = enforcer->loader;
        const char **identities = arena_new_array(loader->scratch, const char *, list->n_items);
        _cleanup_strmap_ Strmap places = STRMAP_INIT; /* identity → index + 1 */
        uint32_t n = 0;

        if (!identify_items(enforcer, list, identify, path, identities))
                return;
        for (size_t i = 0; i < list->n_items; i++) {
                size_t place = (size_t)strmap_get(&places, identities[i]);

                if (place > 0) {
                        node_set_previous(loader->arena, list->items[i], list->items[place - 1]);
                        list->items[place - 1] = list->items[i];
                        continue;
                }
                list->items[n++] = list->items[i];
                strmap_set(&places, identities[i], (void *)(size_t)n);
        }
        list->n_items = n;
}

static void enforce_node(const Enforcer *enforcer, Node *node, const Place *place)
{
        int rule;

        if (node->kind == NODE_MAP && place_has_rules(place)) {
                NODE_FOREACH_ENTRY(entry, node)
                {
                        const Place member = place_key(place, entry->key);

                        enforce_node(enforcer, entry->value, &member);
                }
        } else if (node->kind == NODE_LIST) {
                rule = place_rule(place);
                if (rule < 0)
                        return;
                enforce_list(enforcer, node, lists[rule].identify, place_path(place));
                arena_clear(enforcer->loader->scratch);
        }
}

void merge_enforce_unique(Loader *loader, Node *root, bool checked)
{
        const Enforcer enforcer = { loader, checked };
        Place top;

        if (!loader->uniques)
                loader->uniques = PATTERNS_OF(loader->arena, lists);
        top = place_top(loader->uniques);
        enforce_node(&enforcer, root, &top);
}
