#include "compose/schema.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define UNIQUE_BY_PAIRS 32 /* lists up to this length are compared item by item */

static unsigned type_of(const Node *node)
{
        switch (node->kind) {
        case NODE_NULL:
                return T_NULL;
        case NODE_BOOL:
                return T_BOOL;
        case NODE_INT:
                return T_INT | T_NUMBER;
        case NODE_FLOAT:
                return T_NUMBER | (node->number == floor(node->number) ? T_INT : 0);
        case NODE_STRING:
                return T_STRING;
        case NODE_LIST:
                return T_LIST;
        case NODE_MAP:
                return T_MAP;
        case NODE_TIME:
                break;
        }
        return 0;
}

static const char *types_text(Arena *arena, unsigned types)
{
        static const struct {
                unsigned type;
                const char *name;
        } names[] = {
                { T_STRING, "a string" }, { T_INT, "an integer" }, { T_NUMBER, "a number" }, { T_BOOL, "a boolean" },
                { T_LIST, "a list" },     { T_MAP, "a mapping" },  { T_NULL, "empty" },
        };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        unsigned left = types;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (!(left & names[i].type))
                        continue;
                left &= ~names[i].type;
                strbuf_addf(&text, "%s%s", text.length == 0 ? "" : left ? ", " : " or ", names[i].name);
        }
        return arena_strdup(arena, strbuf_text(&text));
}

static const char *found_text(Arena *arena, const Node *node)
{
        switch (node->kind) {
        case NODE_BOOL:
        case NODE_INT:
        case NODE_FLOAT:
                return arena_printf(arena, "the %s %s", node_kind_name(node->kind), node_scalar_text(arena, node));
        case NODE_TIME:
                return arena_printf(arena, "the date %s", node->text);
        case NODE_NULL:
                return "empty";
        case NODE_STRING:
                return strlen(node->text) <= 40 ? arena_printf(arena, "the string \"%s\"", node->text) : "a string";
        case NODE_LIST:
                return "a list";
        case NODE_MAP:
                break;
        }
        return "a mapping";
}

static void fail_type(Loader *loader, const Schema *schema, const Node *node, const NodePath *path)
{
        const char *hint = NULL;

        if ((schema->types & T_STRING) &&
            (node->kind == NODE_INT || node->kind == NODE_FLOAT || node->kind == NODE_BOOL || node->kind == NODE_TIME))
                hint = "Put the value in quotes.";
        else if ((schema->types & T_LIST) && node->kind == NODE_STRING)
                hint = "Write it as a list: [\"…\"].";
        loader_fail_hint(loader, node, hint, node_path_text(loader->arena, path), "must be %s, is %s",
                         types_text(loader->arena, schema->types), found_text(loader->arena, node));
}

static size_t edit_distance(const char *a, const char *b)
{
        size_t n = strlen(b), row[64];

        if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
                return SIZE_MAX;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t corner = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t above = row[j];
                        size_t change = corner + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));

                        size_t step = MIN(above, row[j - 1]) + 1;

                        row[j] = MIN(change, step);
                        corner = above;
                }
        }
        return row[n];
}

static const char *nearest_key(const Schema *schema, const char *name)
{
        const char *best = NULL;
        size_t best_distance = MAX(strlen(name) / 3, (size_t)1) + 1;

        for (const SchemaKey *key = schema->keys; key && key->name; key++) {
                size_t distance = edit_distance(name, key->name);

                if (distance < best_distance) {
                        best = key->name;
                        best_distance = distance;
                }
        }
        return best;
}

static void fail_key(Loader *loader, const Schema *schema, const Node *map, const NodeEntry *entry,
                     const NodePath *path)
{
        const Node place = { .origin = node_file(entry->value) ? entry->value->origin : map->origin,
                             .line = entry->line,
                             .column = entry->column };
        const char *near = nearest_key(schema, entry->key), *hint = NULL;

        if (near)
                hint = arena_printf(loader->arena, "Did you mean \"%s\"?", near);
        else if (schema->names == NAMES_RESOURCE)
                hint = "Names consist of letters, digits, dots, dashes and underscores.";
        loader_fail_hint(loader, &place, hint, node_path_text(loader->arena, path),
                         "unknown key \"%s\" is not allowed here", entry->key);
}

static bool name_fits(NameRule rule, const char *name)
{
        if (rule == NAMES_ANY)
                return *name;
        if (rule == NAMES_NONE || !*name)
                return false;
        for (; *name; name++) {
                if (rule == NAMES_LOWER ? !(*name >= 'a' && *name <= 'z')
                                        : !((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                                            (*name >= '0' && *name <= '9') || strchr("._-", *name)))
                        return false;
        }
        return true;
}

static const SchemaKey *find_key(const Schema *schema, const char *name)
{
        for (const SchemaKey *key = schema->keys; key && key->name; key++)
                if (streq(key->name, name))
                        return key;
        return NULL;
}

/* false: the entry must go. */
static bool validate_entry(Loader *loader, const Schema *schema, const Node *map, const NodeEntry *entry,
                           const NodePath *path)
{
        const SchemaKey *key = find_key(schema, entry->key);

        if (key)
                return schema_validate(loader, key->schema, entry->value, NODE_PATH_KEY(path, entry->key));
        if (name_fits(schema->names, entry->key))
                return !schema->values ||
                       schema_validate(loader, schema->values, entry->value, NODE_PATH_KEY(path, entry->key));
        if (schema->open || (schema->extensions && startswith(entry->key, "x-")))
                return true;
        fail_key(loader, schema, map, entry, path);
        loader_damaged(loader, NODE_PATH_KEY(path, LOADER_UNKNOWN_KEY));
        return false;
}

static bool validate_map(Loader *loader, const Schema *schema, Node *map, const NodePath *path)
{
        bool whole = true;

        for (size_t i = 0; i < map->n_entries;) {
                if (validate_entry(loader, schema, map, &map->entries[i], path)) {
                        i++;
                        continue;
                }
                loader_damaged(loader, NODE_PATH_KEY(path, map->entries[i].key));
                node_remove(map, map->entries[i].key);
                whole = false;
        }
        for (const char *const *name = schema->required; name && *name; name++) {
                if (node_find(map, *name))
                        continue;
                if (whole) /* else it may be what was misspelt */
                        loader_fail(loader, map, path, "\"%s\" is missing", *name);
                return false;
        }
        return true;
}

static void validate_unique(Loader *loader, const Node *list, const NodePath *path)
{
        _cleanup_strmap_ Strmap seen = STRMAP_INIT;

        for (size_t i = 0; i < list->n_items; i++) {
                Node *item = list->items[i];
                bool again = false;

                if (item->kind == NODE_STRING) {
                        again = strmap_has(&seen, item->text);
                        strmap_set(&seen, item->text, item);
                } else if (list->n_items <= UNIQUE_BY_PAIRS) {
                        for (size_t j = 0; j < i && !again; j++)
                                again = node_equal(item, list->items[j]);
                }
                if (again)
                        loader_fail(loader, item, NODE_PATH_ITEM(path, i), "is given twice");
        }
}

static void validate_list(Loader *loader, const Schema *schema, Node *list, const NodePath *path)
{
        uint32_t n = 0;

        for (size_t i = 0; schema->items && i < list->n_items; i++) {
                const NodePath *item = NODE_PATH_ITEM(path, i);

                if (schema_validate(loader, schema->items, list->items[i], item))
                        list->items[n++] = list->items[i];
                else
                        loader_damaged(loader, item);
        }
        if (schema->items)
                list->n_items = n;
        if (schema->unique)
                validate_unique(loader, list, path);
}

static bool validate_string(Loader *loader, const Schema *schema, const Node *node, const NodePath *path)
{
        _cleanup_strbuf_ Strbuf words = STRBUF_INIT;

        if (schema->check && !schema->check(node->text)) {
                loader_fail(loader, node, path, "\"%s\" is not valid, expected %s", node->text, schema->expected);
                return false;
        }
        if (!schema->words)
                return true;
        for (const char *const *word = schema->words; *word; word++) {
                if (streq(*word, node->text))
                        return true;
                strbuf_addf(&words, "%s%s", words.length ? ", " : "", *word);
        }
        loader_fail(loader, node, path, "\"%s\" is not valid, expected one of: %s", node->text, strbuf_text(&words));
        return false;
}

static bool validate_number(Loader *loader, const Schema *schema, const Node *node, const NodePath *path)
{
        double value = node->kind == NODE_INT ? (double)node->integer : node->number;
        bool low = schema->bounded && value < (double)schema->low,
             high = schema->bounded && value > (double)schema->high;

        if (low || high)
                loader_fail(loader, node, path, "must be %s than or equal to %lld", low ? "greater" : "less",
                            (long long)(low ? schema->low : schema->high));
        return !low && !high;
}

bool schema_validate(Loader *loader, const Schema *schema, Node *node, const NodePath *path)
{
        if (!(type_of(node) & schema->types)) {
                if (schema->types == T_ANY && node->kind != NODE_TIME)
                        return true;
                fail_type(loader, schema, node, path);
                return false;
        }
        if (node->kind == NODE_MAP)
                return validate_map(loader, schema, node, path);
        if (node->kind == NODE_STRING)
                return validate_string(loader, schema, node, path);
        if (node->kind == NODE_INT || node->kind == NODE_FLOAT)
                return validate_number(loader, schema, node, path);
        if (node->kind == NODE_BOOL && schema->only_false && node->boolean) {
                loader_fail(loader, node, path, "\"true\" is not valid, expected %s", schema->expected);
                return false;
        }
        if (node->kind == NODE_LIST)
                validate_list(loader, schema, node, path);
        return true;
}
