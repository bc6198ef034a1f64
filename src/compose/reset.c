/* !reset and !override: what a document takes away from those before it. */
#include "base/mem.h"
#include "base/vector.h"
#include "compose/merge.h"

typedef VECTOR(const char **) Paths;

static void add_path(Loader *loader, const NodePath *path, Paths *paths)
{
        size_t depth = node_path_depth(path);
        const char **keys = arena_new_array(loader->arena, const char *, depth + 1);

        for (; path; path = path->parent) {
                if (!path->key)
                        return; /* items of lists cannot be addressed in another file */
                keys[--depth] = path->key;
        }
        vector_add(paths, keys);
}

static void collect(Loader *loader, Node *node, const NodePath *path, Paths *paths)
{
        uint32_t n = 0;

        if (node->kind == NODE_MAP) {
                for (size_t i = 0; i < node->n_entries;) {
                        NodeEntry *entry = &node->entries[i];
                        const NodePath *next = NODE_PATH_KEY(path, entry->key);

                        if (entry->value->flags & (NODE_RESET | NODE_OVERRIDE))
                                add_path(loader, next, paths);
                        if (entry->value->flags & NODE_RESET) {
                                node_remove(node, entry->key);
                                continue;
                        }
                        if (!(entry->value->flags & NODE_OVERRIDE))
                                collect(loader, entry->value, next, paths);
                        i++;
                }
        } else if (node->kind == NODE_LIST) {
                for (size_t i = 0; i < node->n_items; i++) {
                        if (node->items[i]->flags & NODE_RESET)
                                continue;
                        collect(loader, node->items[i], NODE_PATH_ITEM(path, i), paths);
                        node->items[n++] = node->items[i];
                }
                node->n_items = n;
        }
}

void reset_collect(Loader *loader, Node *root, ResetPaths *ret)
{
        Paths paths = { 0 };

        collect(loader, root, NULL, &paths);
        ret->length = paths.length;
        ret->items = arena_new_array(loader->arena, const char **, paths.length + 1);
        for (size_t i = 0; i < paths.length; i++)
                ret->items[i] = paths.items[i];
        vector_done(&paths);
}

static void remove_at(Node *node, const char *const *keys)
{
        for (; keys[0] && keys[1]; keys++) {
                node = node_get(node, keys[0]);
                if (!node)
                        return;
        }
        if (keys[0] && node->kind == NODE_MAP)
                node_remove(node, keys[0]);
}

void reset_apply(const ResetPaths *paths, Node *root)
{
        for (size_t i = 0; i < paths->length; i++)
                remove_at(root, paths->items[i]);
}

void reset_apply_service(const ResetPaths *paths, const char *name, Node *service)
{
        for (size_t i = 0; i < paths->length; i++) {
                const char **keys = paths->items[i];

                if (keys[0] && streq(keys[0], "services") && keys[1] && streq(keys[1], name) && keys[2])
                        remove_at(service, keys + 2);
        }
}
