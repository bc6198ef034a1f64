#include "compose/model_values_private.h"

#include "base/mem.h"
#include "base/parse.h"
#include "compose/interpolate.h"
#include "compose/model.h"
#include "compose/short_syntax.h"

Node *model_fail(const Builder *builder, const Node *node, const NodePath *path, const char *expected)
{
        if (node->kind == NODE_STRING)
                loader_fail(builder->loader, node, path, "\"%s\" is not %s", node->text, expected);
        else
                loader_fail(builder->loader, node, path, "must be %s, is a %s", expected, node_kind_name(node->kind));
        return NULL;
}

static Node *build_text(const Builder *builder, const Node *node, const NodePath *path, bool always)
{
        const char *text = node_text(node);

        if (node->kind == NODE_INT)
                text = node_scalar_text(builder->arena, node);
        if (node->kind == NODE_NULL)
                text = "";
        if (!text)
                return model_fail(builder, node, path, "a string");
        if (!*text && !always)
                return NULL;
        return text == node_text(node) ? (Node *)node : node_new_string(builder->arena, text, node);
}

bool value_to_int(const Node *node, int64_t *ret)
{
        if (node->kind == NODE_INT) {
                *ret = node->integer;
                return true;
        }
        if (node->kind == NODE_FLOAT) {
                *ret = (int64_t)node->number;
                return true;
        }
        return node->kind == NODE_STRING && cast_int(node->text, ret);
}

static Node *build_int(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        bool shown = field->kind == F_SHOWN_INT || field->kind == F_COUNT || (field->flags & ALWAYS);
        int64_t value = 0;

        if (node->kind == NODE_NULL)
                return (field->flags & ALWAYS) ? node_new_int(builder->arena, 0, node) : NULL;
        if (!value_to_int(node, &value))
                return model_fail(builder, node, path, "an integer");
        if (value < 0 && field->kind == F_COUNT)
                return model_fail(builder, node, path, "zero or more");
        return value || shown ? node_new_int(builder->arena, value, node) : NULL;
}

static Node *build_float(const Builder *builder, const Node *node, const NodePath *path)
{
        double value = 0;
        Node *result;

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_INT)
                value = (double)node->integer;
        else if (node->kind == NODE_FLOAT)
                value = node->number;
        else if (node->kind != NODE_STRING || !cast_float(node->text, &value))
                return model_fail(builder, node, path, "a number");
        if ((float)value == 0)
                return NULL;
        result = node_new_float(builder->arena, (double)(float)value, node);
        result->flags |= NODE_SINGLE;
        return result;
}

Node *build_bool(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        bool value = false;
        Node *result;

        if (node->kind == NODE_NULL)
                return (field->flags & ALWAYS) ? node_new_bool(builder->arena, false, node) : NULL;
        if (node->kind == NODE_BOOL)
                value = node->boolean;
        else if (node->kind != NODE_STRING || !cast_boolean(builder->loader, node->text, &value))
                return model_fail(builder, node, path, "a boolean (true or false)");
        if (!value && field->kind == F_BOOL && !(field->flags & (ALWAYS | KEEP_FALSE)))
                return NULL;
        result = node_new_bool(builder->arena, value, node);
        if (!value && (field->flags & KEEP_FALSE))
                result->flags |= NODE_YAML_ONLY;
        return result;
}

static Node *build_duration(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        _cleanup_free_ char *formatted = NULL;
        const char *text = node_scalar_text(builder->arena, node);
        int64_t value;

        if (node->kind == NODE_NULL)
                return NULL;
        if (!parse_duration(text, &value))
                return model_fail(builder, node, path, "a duration like 10s or 1m30s");
        if (value == 0 && field->kind == F_DURATION)
                return NULL;
        formatted = format_duration(value);
        return node_new_string(builder->arena, arena_strdup(builder->arena, formatted), node);
}

static Node *build_size(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        const char *error = NULL;
        int64_t value = 0;

        if (node->kind == NODE_INT)
                value = node->integer;
        else if (node->kind == NODE_STRING && !short_size(builder->arena, node->text, &value, &error)) {
                loader_fail(builder->loader, node, path, "%s, expected a number with an optional unit b, k, m, g, t, p",
                            error);
                return NULL;
        }
        if (value == 0 && !(field->flags & ALWAYS))
                return NULL;
        return node_new_string(builder->arena, arena_printf(builder->arena, "%lld", (long long)value), node);
}

static Node *build_texts(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_STRING)
                node_add(builder->arena, list, node_new_string(builder->arena, node->text, node));
        else if (node->kind != NODE_LIST)
                return model_fail(builder, node, path, "a list");
        for (size_t i = 0; node->kind == NODE_LIST && i < node->n_items; i++) {
                const Node *item = node->items[i];

                if (item->kind != NODE_STRING && item->kind != NODE_INT &&
                    !(item->kind == NODE_FLOAT && field->kind == F_NUMBERS)) {
                        model_fail(builder, item, NODE_PATH_ITEM(path, i), "a string");
                        continue;
                }
                node_add(builder->arena, list,
                         item->kind == NODE_STRING
                                 ? (Node *)item
                                 : node_new_string(builder->arena, node_scalar_text(builder->arena, item), item));
        }
        return list->n_items ? list : NULL;
}

Node *model_leaf(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        switch (field->kind) {
        case F_TEXT:
                return build_text(builder, node, path, field->flags & ALWAYS);
        case F_INT:
        case F_COUNT:
        case F_SHOWN_INT:
                return build_int(builder, field, node, path);
        case F_SINGLE:
        case F_CPUS:
                return build_float(builder, node, path);
        case F_BOOL:
        case F_SHOWN_BOOL:
                return build_bool(builder, field, node, path);
        case F_DURATION:
        case F_SHOWN_DURATION:
                return build_duration(builder, field, node, path);
        case F_SIZE:
                return build_size(builder, field, node, path);
        case F_TEXTS:
        case F_NUMBERS:
                return build_texts(builder, field, node, path);
        case F_PAIRS:
                return build_pairs(builder, node, path, false);
        case F_VARIABLES:
                return build_pairs(builder, node, path, true);
        case F_STRINGS:
                return build_strings(builder, node, path);
        case F_MULTI:
                return build_multi(builder, node, path);
        case F_HOSTS:
                return build_hosts(builder, node, path);
        case F_COMMAND:
                return build_command(builder, node, path);
        case F_TEST:
                return build_test(builder, node, path);
        case F_MODE:
                return build_mode(builder, node, path);
        case F_DEVICES:
                return build_devices(builder, node, path);
        case F_SSH:
                return build_ssh(builder, node, path);
        case F_ENV_FILES:
                return build_env_files(builder, node, path);
        case F_ULIMITS:
                return build_ulimits(builder, node, path);
        case F_LIST:
        case F_MAP:
        case F_STRUCT:
        case F_POINTER:
                break;
        }
        return NULL;
}
