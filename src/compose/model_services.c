#include "compose/model_values_private.h"

#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "compose/model.h"
#include "compose/short_syntax.h"

static Node *copy_texts(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        for (size_t i = 0; i < node->n_items; i++) {
                if (node->items[i]->kind != NODE_STRING)
                        return model_fail(builder, node->items[i], NODE_PATH_ITEM(path, i), "a string");
                node_add(builder->arena, list, node->items[i]);
        }
        return list;
}

Node *build_command(const Builder *builder, const Node *node, const NodePath *path)
{
        const char *error = NULL;
        Node *list;

        if (node->kind == NODE_LIST)
                return copy_texts(builder, node, path);
        if (node->kind != NODE_STRING)
                return NULL;
        list = short_command(builder->arena, node, node->text, &error);
        if (!list)
                loader_fail(builder->loader, node, path, "%s", error);
        return list;
}

Node *build_test(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list;

        if (node->kind == NODE_LIST) {
                list = copy_texts(builder, node, path);
                return list && list->n_items ? list : NULL;
        }
        if (node->kind != NODE_STRING)
                return node->kind == NODE_NULL ? NULL : model_fail(builder, node, path, "a string or a list");
        list = node_new_list(builder->arena, node);
        node_add(builder->arena, list, node_new_string(builder->arena, "CMD-SHELL", node));
        node_add(builder->arena, list, node_new_string(builder->arena, node->text, node));
        return list;
}

Node *build_mode(const Builder *builder, const Node *node, const NodePath *path)
{
        int64_t value;
        char *end;

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_INT) {
                value = node->integer;
        } else if (node->kind == NODE_STRING && *node->text) {
                value = strtoll(node->text, &end, 8);
                if (*end)
                        return model_fail(builder, node, path, "an octal number");
        } else {
                return model_fail(builder, node, path, "an octal number");
        }
        return node_new_string(builder->arena, arena_printf(builder->arena, "0%llo", (unsigned long long)value), node);
}

Node *build_devices(const Builder *builder, const Node *node, const NodePath *path)
{
        int64_t value;

        if (node->kind == NODE_STRING && strcasecmp(node->text, "all") == 0)
                value = -1;
        else if (!value_to_int(node, &value))
                return model_fail(builder, node, path, "\"all\" or a number");
        return value ? node_new_int(builder->arena, value, node) : NULL;
}

Node *build_ssh(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_MAP)
                return NULL;
        NODE_FOREACH_ENTRY(entry, node)
        node_add(builder->arena, list,
                 node_new_string(builder->arena,
                                 entry->value->kind == NODE_NULL
                                         ? entry->key
                                         : arena_printf(builder->arena, "%s=%s", entry->key,
                                                        node_scalar_text(builder->arena, entry->value)),
                                 entry->value));
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(Node *), compare_text_nodes);
        return list->n_items ? list : NULL;
}

/* A required file is its path alone. */
Node *build_env_files(const Builder *builder, const Node *node, const NodePath *path)
{
        static const Field required = { "required", F_BOOL, NULL, ALWAYS, NULL };
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_LIST)
                return NULL;
        for (size_t i = 0; i < node->n_items; i++) {
                const Node *item = node->items[i], *file = node_get(item, "path"), *format = node_get(item, "format");
                const Node *needed = node_get(item, "required");
                const NodePath *next = NODE_PATH_ITEM(path, i);
                Node *flag = needed ? build_bool(builder, &required, needed, NODE_PATH_KEY(next, "required"))
                                    : node_new_bool(builder->arena, true, item);
                Node *map;

                if (!node_text(file) || !flag)
                        continue;
                map = node_new_map(builder->arena, item);
                node_set(builder->arena, map, "path", node_new_string(builder->arena, file->text, file));
                node_set(builder->arena, map, "required", flag);
                if (node_text(format) && *format->text)
                        node_set(builder->arena, map, "format", node_new_string(builder->arena, format->text, format));
                node_add(builder->arena, list, map);
        }
        return list->n_items ? list : NULL;
}

/* Both limits; JSON leaves out those that are zero. */
static Node *build_ulimit(const Builder *builder, const Node *node, const NodePath *path)
{
        static const char *const keys[] = { "soft", "hard" };
        Node *map = node_new_map(builder->arena, node);

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const Node *limit = node_get(node, keys[i]);
                Node *number = node_new_int(builder->arena, 0, limit ? limit : node);

                if (limit && limit->kind != NODE_INT)
                        model_fail(builder, limit, NODE_PATH_KEY(path, keys[i]), "an integer");
                else if (limit)
                        number->integer = limit->integer;
                if (number->integer == 0)
                        number->flags |= NODE_YAML_ONLY;
                node_set(builder->arena, map, keys[i], number);
        }
        return map;
}

Node *build_ulimits(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return NULL;
        NODE_FOREACH_ENTRY(entry, node)
        {
                bool single = entry->value->kind == NODE_INT && entry->value->integer != 0;

                node_set(builder->arena, map, entry->key,
                         single ? node_new_int(builder->arena, entry->value->integer, entry->value)
                                : build_ulimit(builder, entry->value, NODE_PATH_KEY(path, entry->key)));
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}
