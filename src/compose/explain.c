#include "compose/explain.h"

#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strmap.h"
#include "base/strv.h"
#include "compose/node.h"
#include "compose/output.h"
#include "compose/template.h"

/* The longest key of the map that path starts with: keys may hold dots. */
static const NodeEntry *longest_key(const Node *map, const char *path)
{
        const NodeEntry *best = NULL;
        size_t best_length = 0;

        NODE_FOREACH_ENTRY(entry, map)
        {
                size_t length = strlen(entry->key);
                const char *rest = startswith(path, entry->key);

                if (rest && (!*rest || *rest == '.' || *rest == '[') && (!best || length > best_length)) {
                        best = entry;
                        best_length = length;
                }
        }
        return best;
}

static int fail_missing(const Node *node, const char *path, const char *rest, Error **err)
{
        int r = error_set(err, ERROR_NOT_FOUND, "the model has no %s", path);
        _cleanup_strbuf_ Strbuf keys = STRBUF_INIT;

        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
        strbuf_addf(&keys, "%s%s", keys.length ? ", " : "", entry->key);
        else if (node->kind == NODE_LIST) strbuf_addf(&keys, "%u items, from [0]", node->n_items);
        if (keys.length == 0)
                return r;
        if (rest > path)
                return error_hint(err, r, "There, %.*s holds: %s.", (int)(rest - path - (rest[-1] == '.')), path,
                                  strbuf_text(&keys));
        return error_hint(err, r, "The top level holds: %s.", strbuf_text(&keys));
}

static int find_value(const Project *project, const char *path, const Node **ret, const NodeEntry **ret_entry,
                      Error **err)
{
        const Node *node = project->model;
        const char *rest = path;

        *ret_entry = NULL;
        while (*rest) {
                if (*rest == '.') {
                        rest++;
                } else if (*rest == '[' && node->kind == NODE_LIST) {
                        char *end;
                        unsigned long index = strtoul(rest + 1, &end, 10);

                        if (*end != ']' || index >= node->n_items)
                                return fail_missing(node, path, rest, err);
                        node = node->items[index];
                        *ret_entry = NULL;
                        rest = end + 1;
                } else {
                        const NodeEntry *entry = node->kind == NODE_MAP ? longest_key(node, rest) : NULL;

                        if (!entry)
                                return fail_missing(node, path, rest, err);
                        node = entry->value;
                        *ret_entry = entry;
                        rest += strlen(entry->key);
                }
        }
        *ret = node;
        return 0;
}

static void add_place(Strbuf *out, const Node *node, const NodeEntry *entry)
{
        if (node_file(node) && node->line)
                strbuf_addf(out, "%s:%u:%u", node_file(node), node->line, node->column);
        else
                strbuf_adds(out, "default");
}

static void add_value(Strbuf *out, const Node *node)
{
        _cleanup_output_ Output value = { 0 };

        output_json(&value, node, JSON_COMPACT);
        if (value.text.length > 200)
                strbuf_addf(out, "%.197s...", strbuf_text(&value.text));
        else
                strbuf_adds(out, strbuf_text(&value.text));
}

int explain_value(const Project *project, const char *path, char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf out = STRBUF_INIT;
        const NodeEntry *entry;
        const Node *node = NULL;
        unsigned depth = 0;
        int r;

        r = find_value(project, path, &node, &entry, err);
        if (r < 0)
                return r;
        strbuf_addf(&out, "%s = ", path);
        add_value(&out, node);
        strbuf_adds(&out, "\n  from ");
        add_place(&out, node, entry);
        if (node_note(node))
                strbuf_addf(&out, "\n  with %s", node_note(node));
        for (const Node *previous = node_previous(node); previous && depth < 32;
             previous = node_previous(previous), depth++) {
                strbuf_adds(&out, "\n  replaces ");
                add_value(&out, previous);
                strbuf_adds(&out, " from ");
                add_place(&out, previous, NULL);
                if (node_note(previous))
                        strbuf_addf(&out, " with %s", node_note(previous));
        }
        strbuf_addc(&out, '\n');
        *ret = strbuf_take(&out);
        return 0;
}

typedef struct Collection {
        Arena *arena;
        Strmap variables; /* name → TemplateVariable */
} Collection;

static void collect_variable(void *context, const TemplateVariable *variable)
{
        Collection *collection = context;
        TemplateVariable *copy = arena_new(collection->arena, TemplateVariable);

        *copy = *variable;
        strmap_set(&collection->variables, variable->name, copy);
}

static void collect_variables(Collection *collection, const Node *node)
{
        if (node->kind == NODE_STRING)
                template_variables(collection->arena, node->text, collect_variable, collection);
        else if (node->kind == NODE_LIST)
                NODE_FOREACH_ITEM(item, node)
        collect_variables(collection, *item);
        else if (node->kind == NODE_MAP) NODE_FOREACH_ENTRY(entry, node) collect_variables(collection, entry->value);
}

static void collection_done(Collection *collection)
{
        strmap_done(&collection->variables);
        arena_free(collection->arena);
}

static void collect(const Project *project, Collection *collection)
{
        *collection = (Collection){ .arena = arena_create() };
        collect_variables(collection, project->model);
        strmap_sort(&collection->variables);
}

char *explain_variables(const Project *project)
{
        _cleanup_(collection_done) Collection collection;
        int name_width = 4, default_width = 13;
        Strbuf out = STRBUF_INIT;

        collect(project, &collection);
        STRMAP_FOREACH(entry, &collection.variables) {
                const TemplateVariable *variable = entry->value;

                if ((int)strlen(entry->key) > name_width)
                        name_width = (int)strlen(entry->key);
                if ((int)strlen(variable->default_value) > default_width)
                        default_width = (int)strlen(variable->default_value);
        }
        strbuf_addf(&out, "%-*s  REQUIRED  %-*s  ALTERNATE VALUE\n", name_width, "NAME", default_width,
                    "DEFAULT VALUE");
        STRMAP_FOREACH(entry, &collection.variables) {
                const TemplateVariable *variable = entry->value;
                size_t start = out.length;

                strbuf_addf(&out, "%-*s  %-8s  %-*s  %s", name_width, entry->key, variable->required ? "true" : "false",
                            default_width, variable->default_value, variable->alternate);
                while (out.length > start && out.data[out.length - 1] == ' ')
                        strbuf_truncate(&out, out.length - 1);
                strbuf_addc(&out, '\n');
        }
        return strbuf_take(&out);
}

char *explain_variables_json(const Project *project)
{
        _cleanup_(collection_done) Collection collection;
        Output out = { 0 };
        Node *map;

        collect(project, &collection);
        map = node_new_map(collection.arena, NULL);
        STRMAP_FOREACH(entry, &collection.variables) {
                const TemplateVariable *variable = entry->value;
                Node *value = node_new_map(collection.arena, NULL);

                node_set(collection.arena, value, "Name", node_new_string(collection.arena, variable->name, NULL));
                node_set(collection.arena, value, "DefaultValue",
                         node_new_string(collection.arena, variable->default_value, NULL));
                node_set(collection.arena, value, "PresenceValue",
                         node_new_string(collection.arena, variable->alternate, NULL));
                node_set(collection.arena, value, "Required",
                         node_new_bool(collection.arena, variable->required, NULL));
                node_set(collection.arena, map, entry->key, value);
        }
        output_json(&out, map, JSON_COMPACT);
        strbuf_addc(&out.text, '\n');
        return strbuf_take(&out.text);
}
