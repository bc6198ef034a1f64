#include "compose/model_values_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/model.h"

static void add_pair(const Builder *builder, Node *map, const char *key, const char *value, const Node *at)
{
        if (value && value == node_text(at))
                node_set_at(builder->arena, map, key, at->line, at->column, (Node *)at);
        else
                node_set(builder->arena, map, key,
                         value ? node_new_string(builder->arena, value, at) : node_new(builder->arena, NODE_NULL, at));
}

static bool add_listed_pair(const Builder *builder, Node *map, const Node *item, const NodePath *path, bool keep_null)
{
        const char *text = node_scalar_text(builder->arena, item), *equals = strchr(text, '=');
        size_t length = equals ? (size_t)(equals - text) : strlen(text);

        if (keep_null && length > 0 && isspace((unsigned char)text[length - 1])) {
                loader_fail(builder->loader, item, path,
                            "environment variable \"%.*s\" is declared with a trailing space", (int)length, text);
                return false;
        }
        add_pair(builder, map, arena_strndup(builder->arena, text, length),
                 equals      ? equals + 1
                 : keep_null ? NULL
                             : "",
                 item);
        return true;
}

Node *build_pairs(const Builder *builder, const Node *node, const NodePath *path, bool keep_null)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind == NODE_NULL)
                return NULL;
        node_reserve(builder->arena, map,
                     node->kind == NODE_MAP    ? node->n_entries
                     : node->kind == NODE_LIST ? node->n_items
                                               : 0);
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
        add_pair(builder, map, entry->key,
                 entry->value->kind != NODE_NULL ? node_scalar_text(builder->arena, entry->value)
                 : keep_null                     ? NULL
                                                 : "",
                 entry->value);
        else if (node->kind == NODE_LIST) for (size_t i = 0; i < node->n_items; i++)
                add_listed_pair(builder, map, node->items[i], NODE_PATH_ITEM(path, i), keep_null);
        else return model_fail(builder, node, path, "a list or a mapping");
        node_sort(map);
        return map->n_entries ? map : NULL;
}

Node *model_pairs(Loader *loader, const Node *node, const NodePath *path, bool keep_null)
{
        const Builder builder = { loader, loader->arena };

        return build_pairs(&builder, node, path, keep_null);
}

Node *build_strings(const Builder *builder, const Node *node, const NodePath *path)
{
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
        if (entry->value->kind != NODE_STRING && entry->value->kind != NODE_INT && entry->value->kind != NODE_NULL)
                return model_fail(builder, entry->value, NODE_PATH_KEY(path, entry->key), "a string");
        return build_pairs(builder, node, path, false);
}

Node *build_multi(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : model_fail(builder, node, path, "a mapping");
        NODE_FOREACH_ENTRY(entry, node)
        {
                Node *list = node_new_list(builder->arena, entry->value);

                if (entry->value->kind == NODE_LIST)
                        NODE_FOREACH_ITEM(item, entry->value)
                node_add(builder->arena, list,
                         node_new_string(builder->arena, node_scalar_text(builder->arena, *item), *item));
                else node_add(
                        builder->arena, list,
                        node_new_string(builder->arena, node_scalar_text(builder->arena, entry->value), entry->value));
                node_set(builder->arena, map, entry->key, list);
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}

int compare_text_nodes(const void *a, const void *b)
{
        return strcmp((*(Node *const *)a)->text, (*(Node *const *)b)->text);
}

static void add_host(const Builder *builder, Node *list, const char *host, const char *address, const Node *at,
                     const NodePath *path)
{
        size_t length = strlen(address);

        if (!*host || strpbrk(host, ":=")) {
                loader_fail(builder->loader, at, path, "bad host name '%s'", host);
                return;
        }
        if (length > 2 && address[0] == '[' && address[length - 1] == ']')
                address = arena_strndup(builder->arena, address + 1, length - 2);
        node_add(builder->arena, list,
                 node_new_string(builder->arena, arena_printf(builder->arena, "%s=%s", host, address), at));
}

static void add_listed_host(const Builder *builder, Node *list, const Node *item, const NodePath *path)
{
        const char *text = node_scalar_text(builder->arena, item), *cut = strchr(text, '=');
        const char *host;

        if (!cut)
                cut = strchr(text, ':');
        if (!cut) {
                loader_fail(builder->loader, item, path, "invalid additional host, missing IP: %s", text);
                return;
        }
        host = arena_strndup(builder->arena, text, (size_t)(cut - text));
        for (const char *address = cut + 1;;) {
                size_t length = strcspn(address, ",");

                add_host(builder, list, host, arena_strndup(builder->arena, address, length), item, path);
                if (!address[length])
                        return;
                address += length + 1;
        }
}

Node *build_hosts(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind == NODE_LIST)
                for (size_t i = 0; i < node->n_items; i++)
                        add_listed_host(builder, list, node->items[i], NODE_PATH_ITEM(path, i));
        else if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
                {
                        const NodePath *next = NODE_PATH_KEY(path, entry->key);

                        if (entry->value->kind == NODE_LIST)
                                NODE_FOREACH_ITEM(item, entry->value)
                        add_host(builder, list, entry->key, node_scalar_text(builder->arena, *item), *item, next);
                        else add_host(builder, list, entry->key,
                                      entry->value->kind == NODE_STRING ? entry->value->text : "", entry->value, next);
                }
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(Node *), compare_text_nodes);
        return list->n_items ? list : NULL;
}
