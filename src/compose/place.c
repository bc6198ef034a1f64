#include "compose/place.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define DEPTH_MAX 8

/* One level of all patterns: a bit for each rule. */
typedef struct Level {
        uint64_t any, items, ends; /* * here; [] here; this is the last level */
        const char **segments;     /* of each rule; up to the dot; NULL: it is shorter */
} Level;

struct Patterns {
        uint64_t all;
        Level levels[DEPTH_MAX];
};

static void add_pattern(Patterns *patterns, size_t rule, const char *pattern)
{
        uint64_t bit = UINT64_C(1) << rule;

        for (size_t depth = 0;; depth++) {
                Level *level = &patterns->levels[depth];
                size_t length = strcspn(pattern, ".");

                assert(depth < DEPTH_MAX);
                level->segments[rule] = pattern;
                if (length == 1 && *pattern == '*')
                        level->any |= bit;
                else if (length == 2 && *pattern == '[')
                        level->items |= bit;
                if (!pattern[length]) {
                        level->ends |= bit;
                        return;
                }
                pattern += length + 1;
        }
}

const Patterns *patterns_new(Arena *arena, const void *table, size_t length, size_t row_size)
{
        Patterns *patterns = arena_new(arena, Patterns);

        assert(length <= PATTERNS_MAX);
        patterns->all = length == PATTERNS_MAX ? UINT64_MAX : (UINT64_C(1) << length) - 1;
        for (size_t depth = 0; depth < DEPTH_MAX; depth++)
                patterns->levels[depth].segments = arena_new_array(arena, const char *, length);
        for (size_t i = 0; i < length; i++)
                add_pattern(patterns, i, *(const char *const *)((const char *)table + i * row_size));
        return patterns;
}

Place place_top(const Patterns *patterns)
{
        return (Place){ .patterns = patterns, .alive = patterns->all };
}

static bool segment_is(const char *segment, const char *key)
{
        for (; *key && *segment == *key; segment++)
                key++;
        return !*key && (!*segment || *segment == '.');
}

/* The rules that go on below a place. */
static uint64_t going_on(const Place *place)
{
        uint64_t alive = place->alive;

        if (place->depth >= DEPTH_MAX)
                return 0;
        return place->depth > 0 ? alive & ~place->patterns->levels[place->depth - 1].ends : alive;
}

Place place_key(const Place *up, const char *key)
{
        Place place = { .path = { .parent = place_path(up), .key = key },
                        .patterns = up->patterns,
                        .depth = up->depth + 1 };
        uint64_t left = going_on(up);

        if (left) {
                const Level *level = &up->patterns->levels[up->depth];

                place.alive = left & level->any;
                for (left &= ~(level->any | level->items); left; left &= left - 1) {
                        int rule = __builtin_ctzll(left);

                        if (segment_is(level->segments[rule], key))
                                place.alive |= UINT64_C(1) << rule;
                }
        }
        return place;
}

Place place_item(const Place *up, size_t index)
{
        Place place = { .path = { .parent = place_path(up), .index = index },
                        .patterns = up->patterns,
                        .depth = up->depth + 1 };
        uint64_t left = going_on(up);

        if (left)
                place.alive = left & (up->patterns->levels[up->depth].any | up->patterns->levels[up->depth].items);
        return place;
}

int place_rule(const Place *place)
{
        uint64_t here;

        if (!place->alive || place->depth == 0 || place->depth > DEPTH_MAX)
                return -1;
        here = place->alive & place->patterns->levels[place->depth - 1].ends;
        return here ? __builtin_ctzll(here) : -1;
}
