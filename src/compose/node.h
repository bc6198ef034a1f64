/* The tree of a compose file: values with the place they came from. Nodes live in the arena they were made in and are
 * changed in place while a project is loaded; afterwards they are read only.
 *
 * A map keeps the order of the file. Lookups in it take constant time, however large it grows. */
#ifndef BERTH_COMPOSE_NODE_H
#define BERTH_COMPOSE_NODE_H

#include "base/arena.h"
#include "base/strbuf.h"

typedef enum NodeKind {
        NODE_NULL,
        NODE_BOOL,
        NODE_INT,
        NODE_FLOAT,
        NODE_STRING,
        NODE_LIST,
        NODE_MAP,
        NODE_TIME, /* an unquoted time stamp: no key of compose takes one */
} NodeKind;

enum {
        NODE_RESET = 1 << 0,     /* tagged !reset */
        NODE_OVERRIDE = 1 << 1,  /* tagged !override */
        NODE_SINGLE = 1 << 2,    /* a float of single precision: prints with fewer digits */
        NODE_JSON_ONLY = 1 << 3, /* output: in JSON, not in YAML */
        NODE_YAML_ONLY = 1 << 4, /* output: in YAML, not in JSON */
        NODE_LIST_FORM = 1 << 5, /* depends_on: was written as a plain list */
        NODE_DEFAULT = 1 << 6,   /* written by no file: a default */
        NODE_NIL = 1 << 8,       /* output: an empty list that JSON shows as null */
        NODE_UNSIGNED = 1 << 7,  /* an integer above INT64_MAX: read it as uint64_t */
};

typedef struct Node Node;

typedef struct NodeEntry {
        const char *key;
        Node *value;
        unsigned line, column; /* of the key; 0 unknown */
} NodeEntry;

/* What there is to tell of where a value came from besides its line; most nodes of a file share one. */
typedef struct NodeOrigin {
        const char *file;     /* as it is shown in messages; NULL: no file */
        const char *note;     /* where else the value came from: "TAG from .env"; or NULL */
        const Node *previous; /* what this value replaced in a merge; or NULL */
} NodeOrigin;

/* Large files are made of many: keep it small. */
struct Node {
        NodeKind kind : 8;
        unsigned flags : 24;
        unsigned line, column; /* from 1; 0 unknown */
        union {
                uint32_t n_items;
                uint32_t n_entries;
        };
        const NodeOrigin *origin; /* NULL: nothing is known */
        union {
                bool boolean;
                int64_t integer;
                double number;
                const char *text;
                struct {
                        Node **items;
                        uint32_t items_capacity;
                };
                struct {
                        NodeEntry *entries;
                        uint32_t entries_capacity;
                        uint32_t *slots; /* only in large maps: their number, then index + 1 into entries of each */
                };
        };
};

/* The place in the tree that a function works on, kept as frames on the stack: no memory is taken until it is shown. */
typedef struct NodePath {
        const struct NodePath *parent; /* NULL: the top */
        const char *key;               /* NULL: a list's item */
        size_t index;
} NodePath;

#define NODE_PATH_KEY(up, name)    (&(NodePath){ .parent = (up), .key = (name) })
#define NODE_PATH_ITEM(up, number) (&(NodePath){ .parent = (up), .index = (number) })

/* "services.db.ports[0]"; the top is "". In the arena. */
char *node_path_text(Arena *arena, const NodePath *path);
size_t node_path_depth(const NodePath *path);

/* Parts of the origin. */
const char *node_file(const Node *node);
const char *node_note(const Node *node);
const Node *node_previous(const Node *node);
/* NULL takes the note away. */
void node_set_note(Arena *arena, Node *node, const char *note);
/* Kept where there is none yet: the chain of what replaced what only grows at its end. */
void node_set_previous(Arena *arena, Node *node, const Node *previous);

/* New nodes. A scalar cannot become a list or map later: it has less room. `at` lends its place (line, column,
 * origin); NULL: none. Strings are not copied. */
Node *node_new(Arena *arena, NodeKind kind, const Node *at);
Node *node_new_string(Arena *arena, const char *text, const Node *at);
Node *node_new_int(Arena *arena, int64_t value, const Node *at);
Node *node_new_float(Arena *arena, double value, const Node *at);
Node *node_new_bool(Arena *arena, bool value, const Node *at);
Node *node_new_map(Arena *arena, const Node *at);
Node *node_new_list(Arena *arena, const Node *at);

/* Room for as many entries, where it is known beforehand; a larger or used map stays as it is. */
void node_reserve(Arena *arena, Node *map, size_t n_entries);
/* Fills an empty list or map, with exactly the room it takes. Keys are known to differ. */
void node_fill_list(Arena *arena, Node *list, Node *const *items, size_t length);
void node_fill_map(Arena *arena, Node *map, const NodeEntry *entries, size_t length);

/* Lists. */
void node_add(Arena *arena, Node *list, Node *item);

/* Maps. node_get accepts NULL and other kinds, which hold nothing. Keys are not copied. */
Node *node_get(const Node *map, const char *key);
NodeEntry *node_find(const Node *map, const char *key);
/* Sets or replaces, leaving the order as it is. */
void node_set(Arena *arena, Node *map, const char *key, Node *value);
void node_set_at(Arena *arena, Node *map, const char *key, unsigned line, unsigned column, Node *value);
/* Removes, keeping the order of the rest; costs O(n). */
bool node_remove(Node *map, const char *key);
/* Sorts the entries by key. */
void node_sort(Node *map);

/* The text of a string node; NULL for anything else. */
const char *node_text(const Node *node);
static inline bool node_is(const Node *node, NodeKind kind)
{
        return node && node->kind == kind;
}
static inline bool node_is_null(const Node *node)
{
        return !node || node->kind == NODE_NULL;
}

/* A deep copy. *budget is lowered by one for every node; false in *ret where it would fall below zero. */
Node *node_copy(Arena *arena, const Node *node);
bool node_copy_bounded(Arena *arena, const Node *node, size_t *budget, Node **ret);
/* Equal values; places and the order of keys do not count. */
bool node_equal(const Node *a, const Node *b);
/* "string", "number", "mapping", …: for messages. */
const char *node_kind_name(NodeKind kind);

/* A scalar as text, as the reference prints it: true, 15, 1.1, 1e+06; null gives "<nil>". In the arena. */
const char *node_scalar_text(Arena *arena, const Node *node);
/* The shortest digits that read back as the same number; with an exponent below `low` and from `high` on. */
void format_float(Strbuf *buffer, double value, bool single, int low, int high);

#define NODE_FOREACH_ENTRY(entry, map) \
        for (NodeEntry *entry = (map)->entries; entry && entry < (map)->entries + (map)->n_entries; entry++)
#define NODE_FOREACH_ITEM(item, list) \
        for (Node **item = (list)->items; item && item < (list)->items + (list)->n_items; item++)

#endif
