#include "compose/model_values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static bool to_int(const Node *node, int64_t *ret)
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
        if (!to_int(node, &value))
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

static Node *build_bool(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
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

static Node *build_pairs(const Builder *builder, const Node *node, const NodePath *path, bool keep_null)
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

static Node *build_strings(const Builder *builder, const Node *node, const NodePath *path)
{
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
        if (entry->value->kind != NODE_STRING && entry->value->kind != NODE_INT && entry->value->kind != NODE_NULL)
                return model_fail(builder, entry->value, NODE_PATH_KEY(path, entry->key), "a string");
        return build_pairs(builder, node, path, false);
}

static Node *build_multi(const Builder *builder, const Node *node, const NodePath *path)
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

static int compare_texts(const void *a, const void *b)
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

static Node *build_hosts(const Builder *builder, const Node *node, const NodePath *path)
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
                qsort(list->items, list->n_items, sizeof(Node *), compare_texts);
        return list->n_items ? list : NULL;
}

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

static Node *build_command(const Builder *builder, const Node *node, const NodePath *path)
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

static Node *build_test(const Builder *builder, const Node *node, const NodePath *path)
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

static Node *build_mode(const Builder *builder, const Node *node, const NodePath *path)
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

static Node *build_devices(const Builder *builder, const Node *node, const NodePath *path)
{
        int64_t value;

        if (node->kind == NODE_STRING && strcasecmp(node->text, "all") == 0)
                value = -1;
        else if (!to_int(node, &value))
                return model_fail(builder, node, path, "\"all\" or a number");
        return value ? node_new_int(builder->arena, value, node) : NULL;
}

static Node *build_ssh(const Builder *builder, const Node *node, const NodePath *path)
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
                qsort(list->items, list->n_items, sizeof(Node *), compare_texts);
        return list->n_items ? list : NULL;
}

/* A required file is its path alone. */
static Node *build_env_files(const Builder *builder, const Node *node, const NodePath *path)
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

static Node *build_ulimits(const Builder *builder, const Node *node, const NodePath *path)
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
