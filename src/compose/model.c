#include "compose/model.h"

#include <string.h>

#include "base/mem.h"
#include "compose/model_values.h"

static Node *build_struct(const Builder *builder, const Type *type, const Node *node, const NodePath *path);

static Node *build_list(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_LIST)
                return node->kind == NODE_NULL ? NULL : model_fail(builder, node, path, "a list");
        for (size_t i = 0; i < node->n_items; i++) {
                const NodePath *next = NODE_PATH_ITEM(path, i);

                if (node->items[i]->kind == NODE_MAP)
                        node_add(builder->arena, list, build_struct(builder, type, node->items[i], next));
                else
                        model_fail(builder, node->items[i], next, "a mapping");
        }
        return list->n_items ? list : NULL;
}

static Node *build_map(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : model_fail(builder, node, path, "a mapping");
        node_reserve(builder->arena, map, node->n_entries);
        NODE_FOREACH_ENTRY(entry, node)
        {
                Node *value;

                if (entry->value->kind == NODE_MAP) {
                        value = build_struct(builder, type, entry->value, NODE_PATH_KEY(path, entry->key));
                        value->flags |= entry->value->flags & NODE_LIST_FORM;
                } else {
                        value = node_new(builder->arena, NODE_NULL, entry->value);
                }
                node_set_at(builder->arena, map, entry->key, entry->line, entry->column, value);
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}

static Node *build_nested(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        Node *value;

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : model_fail(builder, node, path, "a mapping");
        value = build_struct(builder, field->type, node, path);
        if (field->kind == F_STRUCT && value->n_entries == 0)
                value->flags |= NODE_JSON_ONLY;
        return value;
}

static Node *build_field(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        if (field->kind == F_LIST)
                return build_list(builder, field->type, node, path);
        if (field->kind == F_MAP)
                return build_map(builder, field->type, node, path);
        if (field->kind == F_STRUCT || field->kind == F_POINTER)
                return build_nested(builder, field, node, path);
        return model_leaf(builder, field, node, path);
}

/* What stands where a field is not given or is empty; NULL: nothing. */
static Node *absent_field(const Builder *builder, const Field *field, const Node *at)
{
        Node *node = NULL;

        if (field->kind == F_COMMAND)
                node = node_new(builder->arena, NODE_NULL, at);
        else if (field->kind == F_STRUCT) {
                node = node_new_map(builder->arena, at);
                for (const Field *member = field->type->fields; member->name; member++) {
                        Node *inner = absent_field(builder, member, at);

                        if (inner)
                                node_set(builder->arena, node, member->name, inner);
                }
        }
        if (node)
                node->flags |= NODE_JSON_ONLY | NODE_DEFAULT;
        return node;
}

static void copy_extensions(const Builder *builder, const Node *from, Node *to)
{
        NODE_FOREACH_ENTRY(entry, from)
        if (startswith(entry->key, "x-") && !streq(entry->key, "x-#value")) {
                Node *value = node_copy(builder->arena, entry->value);

                value->flags |= NODE_YAML_ONLY;
                node_set_at(builder->arena, to, entry->key, entry->line, entry->column, value);
        }
}

static Node *build_struct(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        node_reserve(builder->arena, map, node->n_entries + (type == &type_service ? 2 : 0));
        for (const Field *field = type->fields; field->name; field++) {
                const NodeEntry *entry = node_find(node, field->name);
                Node *value =
                        entry ? build_field(builder, field, entry->value, NODE_PATH_KEY(path, field->name)) : NULL;

                if (!value)
                        value = absent_field(builder, field, entry ? entry->value : NULL);
                if (!value)
                        continue;
                node_set_at(builder->arena, map, field->name, entry ? entry->line : 0, entry ? entry->column : 0,
                            value);
                if (field->json_name) {
                        Node *twin = node_copy(builder->arena, value);

                        value->flags |= NODE_YAML_ONLY;
                        twin->flags |= NODE_JSON_ONLY;
                        node_set(builder->arena, map, field->json_name, twin);
                }
        }
        copy_extensions(builder, node, map);
        return map;
}

static void build_section(const Builder *builder, const Node *root, Node *out, const char *name, const Type *type,
                          bool always)
{
        const Node *section = node_get(root, name);
        const NodePath path = { .key = name };
        Node *map = node_new_map(builder->arena, section);

        if (node_is(section, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, section)
                {
                        static const Node nothing = { .kind = NODE_MAP };
                        const Node *value = entry->value->kind == NODE_MAP ? entry->value : &nothing;
                        Node *built = build_struct(builder, type, value, NODE_PATH_KEY(&path, entry->key));

                        /* What a variable held is a secret; the name of the variable is printed instead. */
                        if (type == &type_file_object && node_find(built, "environment"))
                                node_remove(built, "content");
                        node_set_at(builder->arena, map, entry->key, entry->line, entry->column, built);
                }
        node_sort(map);
        if (map->n_entries > 0 || always)
                node_set(builder->arena, out, name, map);
}

Node *model_build(Loader *loader, const Node *root)
{
        const Builder builder = { loader, loader->arena };
        Node *out = node_new_map(loader->arena, root);
        const Node *name = node_get(root, "name");

        node_set(loader->arena, out, "name", node_new_string(loader->arena, loader->project_name, name));
        build_section(&builder, root, out, "services", &type_service, true);
        build_section(&builder, root, out, "networks", &type_network, false);
        build_section(&builder, root, out, "volumes", &type_volume, false);
        build_section(&builder, root, out, "secrets", &type_file_object, false);
        build_section(&builder, root, out, "configs", &type_file_object, false);
        build_section(&builder, root, out, "models", &type_model, false);
        if (node_find(out, "models"))
                node_get(out, "models")->flags |= NODE_YAML_ONLY;
        NODE_FOREACH_ENTRY(entry, root)
        if (startswith(entry->key, "x-"))
                node_set_at(loader->arena, out, entry->key, entry->line, entry->column,
                            node_copy(loader->arena, entry->value));
        return out;
}
