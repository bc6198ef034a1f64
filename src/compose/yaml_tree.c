#include "compose/yaml_tree.h"

#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "base/vector.h"
#include "compose/scalar.h"

#define MANY_ENTRIES 32 /* from here on keys are looked up in a map */

typedef struct Anchor {
        Node *node;
        bool open; /* its own content is being read: an alias to it would be a cycle */
} Anchor;

typedef struct Parser {
        yaml_parser_t yaml;
        Arena *arena;
        const NodeOrigin *origin; /* of all nodes: the file */
        Strmap anchors;           /* name → Anchor */
        Strmap keys;              /* the keys so far: most come again and again */
        /* Members of the lists and maps that are being read, the inner ones' behind the outer ones'. */
        VECTOR(Node *) items;
        VECTOR(NodeEntry) entries;
        size_t alias_budget;
        unsigned depth;
        bool merging; /* behind <<, where aliases are not copied: only what is missing is, afterwards */
        Error **err;
} Parser;

static void parser_done(Parser *parser)
{
        yaml_parser_delete(&parser->yaml);
        strmap_done(&parser->anchors);
        strmap_done(&parser->keys);
        vector_done(&parser->items);
        vector_done(&parser->entries);
}

static int fail_at(Parser *parser, const yaml_mark_t *mark, const char *text)
{
        return error_set_at(parser->err, ERROR_INVALID, parser->origin->file, (int)mark->line + 1,
                            (int)mark->column + 1, "%s", text);
}

static int fail_parse(Parser *parser)
{
        const yaml_parser_t *yaml = &parser->yaml;
        const yaml_mark_t *mark = &yaml->problem_mark;
        const char *problem = yaml->problem ? yaml->problem : "out of memory";

        if (yaml->error == YAML_READER_ERROR) {
                int line = 1;

                /* libyaml tells the offset only. */
                for (const unsigned char *c = yaml->input.string.start;
                     c < yaml->input.string.end && (size_t)(c - yaml->input.string.start) < yaml->problem_offset; c++)
                        line += *c == '\n';
                return error_set_at(parser->err, ERROR_INVALID, parser->origin->file, line, 0, "yaml: %s", problem);
        }
        if (yaml->context)
                return error_set_at(parser->err, ERROR_INVALID, parser->origin->file, (int)mark->line + 1,
                                    (int)mark->column + 1, "yaml: %s: %s", yaml->context, problem);
        return error_set_at(parser->err, ERROR_INVALID, parser->origin->file, (int)mark->line + 1,
                            (int)mark->column + 1, "yaml: %s", problem);
}

static int next_event(Parser *parser, yaml_event_t *event)
{
        if (!yaml_parser_parse(&parser->yaml, event))
                return fail_parse(parser);
        return 0;
}

static Node *new_at(Parser *parser, NodeKind kind, const yaml_event_t *event)
{
        Node *node = node_new(parser->arena, kind, NULL);

        node->origin = parser->origin;
        node->line = (unsigned)event->start_mark.line + 1;
        node->column = (unsigned)event->start_mark.column + 1;
        return node;
}

static unsigned tag_flags(const char *tag)
{
        if (!tag)
                return 0;
        return streq(tag, "!reset") ? NODE_RESET : streq(tag, "!override") ? NODE_OVERRIDE : 0;
}

static Anchor *declare_anchor(Parser *parser, const yaml_char_t *name, Node *node)
{
        Anchor *anchor;

        if (!name)
                return NULL;
        anchor = arena_new(parser->arena, Anchor);
        anchor->node = node;
        anchor->open = true;
        strmap_set(&parser->anchors, (const char *)name, anchor);
        return anchor;
}

static int parse_node(Parser *parser, yaml_event_t *event, Node **ret);

static int parse_scalar(Parser *parser, const yaml_event_t *event, Node **ret)
{
        const char *tag = (const char *)event->data.scalar.tag;
        const char *text = (const char *)event->data.scalar.value;
        bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        Node *node = new_at(parser, NODE_STRING, event);
        Anchor *anchor = declare_anchor(parser, event->data.scalar.anchor, node);

        if (memchr(text, 0, event->data.scalar.length))
                return fail_at(parser, &event->start_mark, "a value holds a NUL character");
        node->flags = tag_flags(tag);
        if (!scalar_resolve(parser->arena, node, text, event->data.scalar.length, tag, plain))
                return fail_at(parser, &event->start_mark,
                               arena_printf(parser->arena, "cannot decode `%s` as a %s", text, tag));
        if (anchor)
                anchor->open = false;
        *ret = node;
        return 0;
}

static int fail_aliases(Parser *parser, const yaml_mark_t *mark)
{
        return fail_at(parser, mark,
                       arena_printf(parser->arena, "aliases expand to more than %zu values", YAML_ALIAS_LIMIT));
}

static int parse_alias(Parser *parser, const yaml_event_t *event, Node **ret)
{
        const char *name = (const char *)event->data.alias.anchor;
        Anchor *anchor = strmap_get(&parser->anchors, name);

        if (!anchor)
                return fail_at(parser, &event->start_mark, arena_printf(parser->arena, "unknown anchor \"%s\"", name));
        if (anchor->open)
                return fail_at(parser, &event->start_mark,
                               arena_printf(parser->arena, "anchor \"%s\" contains itself", name));
        *ret = anchor->node;
        if (!parser->merging && !node_copy_bounded(parser->arena, anchor->node, &parser->alias_budget, ret))
                return fail_aliases(parser, &event->start_mark);
        return 0;
}

static int parse_list(Parser *parser, const yaml_event_t *start, Node **ret)
{
        Node *list = new_at(parser, NODE_LIST, start);
        Anchor *anchor = declare_anchor(parser, start->data.sequence_start.anchor, list);
        size_t base = parser->items.length;
        int r;

        list->flags = tag_flags((const char *)start->data.sequence_start.tag);
        for (;;) {
                yaml_event_t event;
                Node *item = NULL;

                r = next_event(parser, &event);
                if (r < 0)
                        return r;
                if (event.type == YAML_SEQUENCE_END_EVENT) {
                        yaml_event_delete(&event);
                        break;
                }
                r = parse_node(parser, &event, &item);
                if (r < 0)
                        return r;
                vector_add(&parser->items, item);
        }
        node_fill_list(parser->arena, list, parser->items.items + base, parser->items.length - base);
        parser->items.length = base;
        if (anchor)
                anchor->open = false;
        *ret = list;
        return 0;
}

typedef VECTOR(Node *) NodeVector;

/* What stands behind << : a mapping, or a list of them; the caller puts them behind its own keys. */
static int collect_merge(Parser *parser, Node *value, NodeVector *merges)
{
        if (value->kind == NODE_MAP) {
                vector_add(merges, value);
                return 0;
        }
        if (value->kind == NODE_LIST) {
                NODE_FOREACH_ITEM(item, value)
                {
                        if ((*item)->kind != NODE_MAP)
                                return error_set_at(parser->err, ERROR_INVALID, parser->origin->file,
                                                    (int)(*item)->line, (int)(*item)->column,
                                                    "map merge requires a mapping or a list of mappings as the value");
                        vector_add(merges, *item);
                }
                return 0;
        }
        return error_set_at(parser->err, ERROR_INVALID, parser->origin->file, (int)value->line, (int)value->column,
                            "map merge requires a mapping or a list of mappings as the value");
}

static int parse_text_key(Parser *parser, const yaml_event_t *event, const char **ret_key)
{
        Node *node = NULL;
        int r;

        *ret_key = event->data.scalar.anchor || event->data.scalar.tag
                           ? NULL
                           : strmap_get(&parser->keys, (const char *)event->data.scalar.value);
        if (*ret_key)
                return 0;
        r = parse_scalar(parser, event, &node);
        if (r < 0)
                return r;
        if (node->kind != NODE_STRING)
                return fail_at(parser, &event->start_mark,
                               arena_printf(parser->arena, "non-string key: %s is a %s, put it in quotes",
                                            event->data.scalar.value, node_kind_name(node->kind)));
        *ret_key = node->text;
        if (!event->data.scalar.tag && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
                strmap_set(&parser->keys, node->text, (void *)node->text);
        return 0;
}

static int parse_key(Parser *parser, yaml_event_t *event, const char **ret_key, bool *ret_merge)
{
        _cleanup_(yaml_event_delete) yaml_event_t key = *event;

        *ret_merge = false;
        if (key.type == YAML_ALIAS_EVENT) {
                const Anchor *anchor = strmap_get(&parser->anchors, (const char *)key.data.alias.anchor);

                if (!anchor || anchor->open || anchor->node->kind != NODE_STRING)
                        return fail_at(parser, &key.start_mark, "a key must be a string");
                *ret_key = anchor->node->text;
                return 0;
        }
        if (key.type != YAML_SCALAR_EVENT)
                return fail_at(parser, &key.start_mark, "a key must be a string, not a mapping or a list");
        if (key.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !key.data.scalar.tag &&
            streq((const char *)key.data.scalar.value, "<<")) {
                *ret_merge = true;
                *ret_key = "<<";
                return 0;
        }
        return parse_text_key(parser, &key, ret_key);
}

static int fail_duplicate(Parser *parser, const yaml_mark_t *mark, const char *key, unsigned first)
{
        return fail_at(parser, mark,
                       arena_printf(parser->arena, "mapping key \"%s\" already defined at line %u", key, first));
}

static int apply_merges(Parser *parser, const yaml_mark_t *mark, Node *map, NodeVector *merges)
{
        VECTOR_FOREACH(from, merges)
                NODE_FOREACH_ENTRY(entry, *from)
                {
                        Node *value = NULL;

                        if (node_find(map, entry->key))
                                continue;
                        if (!node_copy_bounded(parser->arena, entry->value, &parser->alias_budget, &value))
                                return fail_aliases(parser, mark);
                        node_set_at(parser->arena, map, entry->key, entry->line, entry->column, value);
                }
        return 0;
}

/* Among the entries from base on; seen holds them, too, once they are many. */
static const NodeEntry *find_entry(const Parser *parser, size_t base, const Strmap *seen, const char *key)
{
        if (seen->length > 0) {
                size_t place = (size_t)strmap_get(seen, key);

                return place > 0 ? &parser->entries.items[place - 1] : NULL;
        }
        for (size_t i = base; i < parser->entries.length; i++)
                if (streq(parser->entries.items[i].key, key))
                        return &parser->entries.items[i];
        return NULL;
}

static void add_entry(Parser *parser, size_t base, Strmap *seen, NodeEntry entry)
{
        vector_add(&parser->entries, entry);
        if (parser->entries.length - base < MANY_ENTRIES)
                return;
        for (size_t i = seen->length > 0 ? parser->entries.length - 1 : base; i < parser->entries.length; i++)
                strmap_set(seen, parser->entries.items[i].key, (void *)(i + 1));
}

static int parse_value(Parser *parser, bool merging, Node **ret)
{
        bool outer = parser->merging;
        yaml_event_t event;
        int r = next_event(parser, &event);

        if (r < 0)
                return r;
        parser->merging = merging;
        r = parse_node(parser, &event, ret);
        parser->merging = outer;
        return r;
}

static int parse_pairs(Parser *parser, size_t base, NodeVector *merges)
{
        _cleanup_strmap_ Strmap keys = STRMAP_INIT;
        unsigned merge_line = 0;

        for (;;) {
                yaml_event_t event;
                yaml_mark_t mark;
                const char *key = NULL;
                const NodeEntry *seen;
                Node *value = NULL;
                bool merge;
                int r;

                r = next_event(parser, &event);
                if (r < 0)
                        return r;
                if (event.type == YAML_MAPPING_END_EVENT) {
                        yaml_event_delete(&event);
                        return 0;
                }
                mark = event.start_mark;
                r = parse_key(parser, &event, &key, &merge);
                if (r < 0)
                        return r;
                seen = merge ? NULL : find_entry(parser, base, &keys, key);
                if (seen || (merge && merge_line))
                        return fail_duplicate(parser, &mark, key, seen ? seen->line : merge_line);
                r = parse_value(parser, merge, &value);
                if (r < 0)
                        return r;
                if (merge) {
                        merge_line = (unsigned)mark.line + 1;
                        r = collect_merge(parser, value, merges);
                        if (r < 0)
                                return r;
                        continue;
                }
                add_entry(parser, base, &keys,
                          (NodeEntry){ key, value, (unsigned)mark.line + 1, (unsigned)mark.column + 1 });
        }
}

static int parse_map(Parser *parser, const yaml_event_t *start, Node **ret)
{
        Node *map = new_at(parser, NODE_MAP, start);
        Anchor *anchor = declare_anchor(parser, start->data.mapping_start.anchor, map);
        NodeVector merges = { 0 };
        size_t base = parser->entries.length;
        int r;

        map->flags = tag_flags((const char *)start->data.mapping_start.tag);
        r = parse_pairs(parser, base, &merges);
        node_fill_map(parser->arena, map, parser->entries.items + base, parser->entries.length - base);
        parser->entries.length = base;
        if (r == 0)
                r = apply_merges(parser, &start->start_mark, map, &merges);
        vector_done(&merges);
        if (anchor)
                anchor->open = false;
        *ret = map;
        return r;
}

/* Takes the event. */
static int parse_node(Parser *parser, yaml_event_t *event, Node **ret)
{
        _cleanup_(yaml_event_delete) yaml_event_t taken = *event;
        int r;

        if (parser->depth >= YAML_DEPTH_LIMIT)
                return fail_at(parser, &taken.start_mark,
                               arena_printf(parser->arena, "nested deeper than %d levels", YAML_DEPTH_LIMIT));
        parser->depth++;
        if (taken.type == YAML_SCALAR_EVENT)
                r = parse_scalar(parser, &taken, ret);
        else if (taken.type == YAML_ALIAS_EVENT)
                r = parse_alias(parser, &taken, ret);
        else if (taken.type == YAML_SEQUENCE_START_EVENT)
                r = parse_list(parser, &taken, ret);
        else
                r = parse_map(parser, &taken, ret);
        parser->depth--;
        return r;
}

static int parse_stream(Parser *parser, YamlDocuments *ret)
{
        VECTOR(Node *) roots = { 0 };
        int r;

        for (;;) {
                yaml_event_t event;
                yaml_event_type_t type;
                Node *root = NULL;

                r = next_event(parser, &event);
                if (r < 0)
                        break;
                type = event.type;
                if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
                    type == YAML_DOCUMENT_END_EVENT) {
                        yaml_event_delete(&event);
                        continue;
                }
                if (type == YAML_STREAM_END_EVENT) {
                        yaml_event_delete(&event);
                        break;
                }
                r = parse_node(parser, &event, &root);
                if (r < 0)
                        break;
                vector_add(&roots, root);
                strmap_done(&parser->anchors);
                parser->anchors = (Strmap)STRMAP_INIT;
        }
        if (r == 0) {
                ret->length = roots.length;
                ret->roots = arena_new_array(parser->arena, Node *, roots.length + 1);
                for (size_t i = 0; i < roots.length; i++)
                        ret->roots[i] = roots.items[i];
        }
        vector_done(&roots);
        return r;
}

int yaml_parse(Arena *arena, const char *file, const char *data, size_t size, YamlDocuments *ret, Error **err)
{
        NodeOrigin *origin = arena_new(arena, NodeOrigin);
        _cleanup_(parser_done) Parser parser = {
                .arena = arena,
                .origin = origin,
                .anchors = STRMAP_INIT,
                .alias_budget = YAML_ALIAS_LIMIT,
                .err = err,
        };

        origin->file = file;
        vector_reserve(&parser.items);
        vector_reserve(&parser.entries);
        if (!yaml_parser_initialize(&parser.yaml))
                return error_set(err, ERROR_INTERNAL, "cannot start the yaml parser");
        yaml_parser_set_input_string(&parser.yaml, (const unsigned char *)data, size);
        return parse_stream(&parser, ret);
}
