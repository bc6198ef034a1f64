/* Reads of the canonical tree. Absent or of another kind: NULL, false, or the fallback. Texts are borrowed
 * from the tree, which lives in the project's arena. */
#ifndef BERTH_COMPOSE_TYPED_VALUES_H
#define BERTH_COMPOSE_TYPED_VALUES_H

#include <stdlib.h>

#include "base/parse.h"
#include "compose/loader.h"

static inline char *typed_text(Arena *arena, const Node *map, const char *key)
{
        return (char *)node_text(node_get(map, key));
}

static inline bool typed_bool(const Node *map, const char *key)
{
        const Node *node = node_get(map, key);
        return node && node->kind == NODE_BOOL && node->boolean;
}

static inline int64_t typed_int(const Node *map, const char *key, int64_t fallback)
{
        const Node *node = node_get(map, key);
        return node && node->kind == NODE_INT ? node->integer : fallback;
}

static inline double typed_float(const Node *map, const char *key, double fallback)
{
        const Node *node = node_get(map, key);

        if (!node)
                return fallback;
        /* Single precision in the model: 0.1 is meant as written. */
        if (node->kind == NODE_FLOAT) {
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                format_float(&text, node->number, node->flags & NODE_SINGLE, -30, 30);
                return strtod(strbuf_text(&text), NULL);
        }
        return node->kind == NODE_INT ? (double)node->integer : fallback;
}

/* A decimal string of bytes; -1 where it is absent. */
static inline int64_t typed_size(const Node *map, const char *key)
{
        const char *text = node_text(node_get(map, key));
        return text ? strtoll(text, NULL, 10) : -1;
}

static inline int64_t typed_duration(const Node *map, const char *key)
{
        const char *text = node_text(node_get(map, key));
        int64_t value;

        return text && parse_duration(text, &value) ? value : -1;
}

char **typed_texts(Arena *arena, const Node *list); /* NULL where it is empty */
KeyValues typed_pairs(Arena *arena, const Node *map);

#endif
