/* Rules for places in a tree ("services.*.ports.[]"), looked up while the tree is walked from its top: every step down
 * compares a key only with the rules that still fit, and where none does, a whole branch needs no look at all.
 *
 * In a pattern * is any key or item, [] any item, anything else that key. */
#ifndef BERTH_COMPOSE_PLACE_H
#define BERTH_COMPOSE_PLACE_H

#include "compose/node.h"

#define PATTERNS_MAX 64

typedef struct Patterns Patterns;

/* Prepares the table of `length` rows of `row_size` bytes, each beginning with its pattern (const char *). In the
 * arena. */
const Patterns *patterns_new(Arena *arena, const void *table, size_t length, size_t row_size);
#define PATTERNS_OF(arena, table) patterns_new((arena), (table), ARRAY_SIZE(table), sizeof((table)[0]))

/* Where a walk stands; on the stack, each below its parent. */
typedef struct Place {
        NodePath path;
        const Patterns *patterns;
        uint64_t alive; /* a bit for each rule that may still fit, here or below */
        unsigned depth;
} Place;

Place place_top(const Patterns *patterns);
Place place_key(const Place *up, const char *key);
Place place_item(const Place *up, size_t index);

/* The index of the first rule for exactly this place; -1: none. */
int place_rule(const Place *place);

static inline bool place_has_rules(const Place *place) /* here or below */
{
        return place->alive != 0;
}

static inline const NodePath *place_path(const Place *place)
{
        return place->depth > 0 ? &place->path : NULL;
}

#endif
