#include "compose/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SMALL_MAP 16 /* entries up to which, about, a map is searched one by one */

char *node_path_text(Arena *arena, const NodePath *path)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        const NodePath *frames[512];
        size_t n = 0;

        for (; path && n < ARRAY_SIZE(frames); path = path->parent)
                frames[n++] = path;
        while (n > 0) {
                const NodePath *frame = frames[--n];
                if (!frame->key)
                        strbuf_addf(&buffer, "[%zu]", frame->index);
                else
                        strbuf_addf(&buffer, "%s%s", buffer.length ? "." : "", frame->key);
        }
        return arena_strdup(arena, strbuf_text(&buffer));
}

size_t node_path_depth(const NodePath *path)
{
        size_t depth = 0;

        for (; path; path = path->parent)
                depth++;
        return depth;
}

const char *node_file(const Node *node)
{
        return node->origin ? node->origin->file : NULL;
}

const char *node_note(const Node *node)
{
        return node->origin ? node->origin->note : NULL;
}

const Node *node_previous(const Node *node)
{
        return node->origin ? node->origin->previous : NULL;
}

static NodeOrigin *own_origin(Arena *arena, Node *node)
{
        NodeOrigin *own = arena_new(arena, NodeOrigin);

        if (node->origin)
                *own = *node->origin;
        node->origin = own;
        return own;
}

void node_set_note(Arena *arena, Node *node, const char *note)
{
        if (note || node_note(node))
                own_origin(arena, node)->note = note;
}

void node_set_previous(Arena *arena, Node *node, const Node *previous)
{
        if (!node_previous(node) && previous != node)
                own_origin(arena, node)->previous = previous;
}

/* Scalars, which are most of a tree, do without the room of lists and maps. */
static size_t node_size(NodeKind kind)
{
        return kind == NODE_MAP    ? sizeof(Node)
               : kind == NODE_LIST ? offsetof(Node, items_capacity) + sizeof(uint32_t)
                                   : offsetof(Node, text) + sizeof(int64_t);
}

Node *node_new(Arena *arena, NodeKind kind, const Node *at)
{
        Node *node = arena_alloc(arena, node_size(kind));

        node->kind = kind;
        if (at) {
                node->line = at->line;
                node->column = at->column;
                node->origin = at->origin;
                node->flags = at->flags & NODE_DEFAULT;
        }
        return node;
}

Node *node_new_string(Arena *arena, const char *text, const Node *at)
{
        Node *node = node_new(arena, NODE_STRING, at);
        node->text = text;
        return node;
}

Node *node_new_int(Arena *arena, int64_t value, const Node *at)
{
        Node *node = node_new(arena, NODE_INT, at);
        node->integer = value;
        return node;
}

Node *node_new_float(Arena *arena, double value, const Node *at)
{
        Node *node = node_new(arena, NODE_FLOAT, at);
        node->number = value;
        return node;
}

Node *node_new_bool(Arena *arena, bool value, const Node *at)
{
        Node *node = node_new(arena, NODE_BOOL, at);
        node->boolean = value;
        return node;
}

Node *node_new_map(Arena *arena, const Node *at)
{
        return node_new(arena, NODE_MAP, at);
}

Node *node_new_list(Arena *arena, const Node *at)
{
        return node_new(arena, NODE_LIST, at);
}

void node_add(Arena *arena, Node *list, Node *item)
{
        if (list->n_items == list->items_capacity) {
                uint32_t capacity = list->items_capacity ? 2 * list->items_capacity : 4;
                Node **items = arena_new_array(arena, Node *, capacity);

                if (list->n_items > 0)
                        memcpy(items, list->items, list->n_items * sizeof(Node *));
                list->items = items;
                list->items_capacity = capacity;
        }
        list->items[list->n_items++] = item;
}

void node_fill_list(Arena *arena, Node *list, Node *const *items, size_t length)
{
        if (length == 0)
                return;
        list->items = arena_new_array(arena, Node *, length);
        memcpy(list->items, items, length * sizeof(Node *));
        list->n_items = list->items_capacity = (uint32_t)length;
}

static uint32_t key_hash(const char *key)
{
        uint32_t hash = 2166136261u;

        for (; *key; key++)
                hash = (hash ^ (unsigned char)*key) * 16777619u;
        return hash;
}

void node_reserve(Arena *arena, Node *map, size_t n_entries)
{
        if (map->entries_capacity > 0 || n_entries > SMALL_MAP + 8 || n_entries == 0)
                return;
        map->entries = arena_new_array(arena, NodeEntry, n_entries);
        map->entries_capacity = (uint32_t)n_entries;
}

/* Slots are a power of two, at most half full. */
static void map_index(Node *map, uint32_t i)
{
        uint32_t mask = map->slots[0] - 1, slot = key_hash(map->entries[i].key) & mask;

        while (map->slots[1 + slot])
                slot = (slot + 1) & mask;
        map->slots[1 + slot] = i + 1;
}

static void map_rebuild(Node *map)
{
        memset(map->slots + 1, 0, map->slots[0] * sizeof(uint32_t));
        for (uint32_t i = 0; i < map->n_entries; i++)
                map_index(map, i);
}

static void map_make_slots(Arena *arena, Node *map)
{
        uint32_t n_slots = 2;

        if (map->entries_capacity <= SMALL_MAP + 8)
                return;
        while (n_slots < 2 * map->entries_capacity)
                n_slots *= 2;
        map->slots = arena_new_array(arena, uint32_t, n_slots + 1);
        map->slots[0] = n_slots;
        map_rebuild(map);
}

static void map_grow(Arena *arena, Node *map)
{
        uint32_t capacity = map->entries_capacity + MAX(map->entries_capacity / 2, 4u);
        NodeEntry *entries = arena_new_array(arena, NodeEntry, capacity);

        if (map->n_entries > 0)
                memcpy(entries, map->entries, map->n_entries * sizeof(NodeEntry));
        map->entries = entries;
        map->entries_capacity = capacity;
        map_make_slots(arena, map);
}

void node_fill_map(Arena *arena, Node *map, const NodeEntry *entries, size_t length)
{
        if (length == 0)
                return;
        map->entries = arena_new_array(arena, NodeEntry, length);
        memcpy(map->entries, entries, length * sizeof(NodeEntry));
        map->n_entries = map->entries_capacity = (uint32_t)length;
        map_make_slots(arena, map);
}

NodeEntry *node_find(const Node *map, const char *key)
{
        if (!map || map->kind != NODE_MAP)
                return NULL;
        if (!map->slots) {
                NODE_FOREACH_ENTRY(entry, map)
                if (streq(entry->key, key))
                        return entry;
                return NULL;
        }
        for (uint32_t mask = map->slots[0] - 1, slot = key_hash(key) & mask; map->slots[1 + slot];
             slot = (slot + 1) & mask) {
                NodeEntry *entry = &map->entries[map->slots[1 + slot] - 1];

                if (streq(entry->key, key))
                        return entry;
        }
        return NULL;
}

Node *node_get(const Node *map, const char *key)
{
        NodeEntry *entry = node_find(map, key);
        return entry ? entry->value : NULL;
}

void node_set_at(Arena *arena, Node *map, const char *key, unsigned line, unsigned column, Node *value)
{
        NodeEntry *entry = node_find(map, key);

        if (entry) {
                entry->value = value;
                return;
        }
        if (map->n_entries == map->entries_capacity)
                map_grow(arena, map);
        map->entries[map->n_entries++] = (NodeEntry){ key, value, line, column };
        if (map->slots)
                map_index(map, map->n_entries - 1);
}

void node_set(Arena *arena, Node *map, const char *key, Node *value)
{
        node_set_at(arena, map, key, value->line, value->column, value);
}

bool node_remove(Node *map, const char *key)
{
        NodeEntry *entry = node_find(map, key);
        size_t after;

        if (!entry)
                return false;
        after = (size_t)(map->entries + map->n_entries - entry - 1);
        memmove(entry, entry + 1, after * sizeof(NodeEntry));
        map->n_entries--;
        if (map->slots)
                map_rebuild(map);
        return true;
}

static int entry_compare(const void *a, const void *b)
{
        return strcmp(((const NodeEntry *)a)->key, ((const NodeEntry *)b)->key);
}

void node_sort(Node *map)
{
        if (map->n_entries < 2)
                return;
        qsort(map->entries, map->n_entries, sizeof(NodeEntry), entry_compare);
        if (map->slots)
                map_rebuild(map);
}

const char *node_text(const Node *node)
{
        return node && node->kind == NODE_STRING ? node->text : NULL;
}

bool node_copy_bounded(Arena *arena, const Node *node, size_t *budget, Node **ret)
{
        Node *copy;

        if (*budget == 0)
                return false;
        --*budget;
        copy = arena_alloc(arena, node_size(node->kind));
        memcpy(copy, node, node_size(node->kind));
        if (node->kind == NODE_LIST) {
                copy->items = node->n_items ? arena_new_array(arena, Node *, node->n_items) : NULL;
                copy->items_capacity = node->n_items;
                for (size_t i = 0; i < node->n_items; i++)
                        if (!node_copy_bounded(arena, node->items[i], budget, &copy->items[i]))
                                return false;
        } else if (node->kind == NODE_MAP) {
                copy->entries = node->n_entries ? arena_new_array(arena, NodeEntry, node->n_entries) : NULL;
                copy->entries_capacity = node->n_entries;
                for (size_t i = 0; i < node->n_entries; i++) {
                        copy->entries[i] = node->entries[i];
                        if (!node_copy_bounded(arena, node->entries[i].value, budget, &copy->entries[i].value))
                                return false;
                }
                if (node->slots) {
                        copy->slots = arena_new_array(arena, uint32_t, node->slots[0] + 1);
                        memcpy(copy->slots, node->slots, (node->slots[0] + 1) * sizeof(uint32_t));
                }
        }
        *ret = copy;
        return true;
}

Node *node_copy(Arena *arena, const Node *node)
{
        size_t budget = SIZE_MAX;
        Node *copy = NULL;

        node_copy_bounded(arena, node, &budget, &copy);
        return copy;
}

static bool map_equal(const Node *a, const Node *b)
{
        if (a->n_entries != b->n_entries)
                return false;
        NODE_FOREACH_ENTRY(entry, a)
        {
                const NodeEntry *other = node_find(b, entry->key);
                if (!other || !node_equal(entry->value, other->value))
                        return false;
        }
        return true;
}

bool node_equal(const Node *a, const Node *b)
{
        if (a->kind != b->kind)
                return false;
        switch (a->kind) {
        case NODE_NULL:
                return true;
        case NODE_BOOL:
                return a->boolean == b->boolean;
        case NODE_INT:
                return a->integer == b->integer;
        case NODE_FLOAT:
                return a->number == b->number;
        case NODE_STRING:
        case NODE_TIME:
                return streq(a->text, b->text);
        case NODE_LIST:
                if (a->n_items != b->n_items)
                        return false;
                for (size_t i = 0; i < a->n_items; i++)
                        if (!node_equal(a->items[i], b->items[i]))
                                return false;
                return true;
        case NODE_MAP:
                return map_equal(a, b);
        }
        return false;
}
