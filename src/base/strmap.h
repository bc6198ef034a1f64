/* A map from strings to pointers that keeps the order of insertion. Keys are copied. */
#ifndef BERTH_BASE_STRMAP_H
#define BERTH_BASE_STRMAP_H

#include "base/macros.h"

typedef struct StrmapEntry {
        char *key;
        void *value;
} StrmapEntry;

typedef struct Strmap {
        StrmapEntry *entries; /* in order of insertion, without gaps */
        size_t length;
        size_t capacity;
        uint32_t *slots; /* index + 1 into entries; 0 is empty */
        size_t n_slots;
        void (*free_value)(void *value); /* NULL: the map does not own its values */
} Strmap;

#define STRMAP_INIT { NULL, 0, 0, NULL, 0, NULL }

void strmap_done(Strmap *map);
#define _cleanup_strmap_ _cleanup_(strmap_done)

/* NULL where absent. */
void *strmap_get(const Strmap *map, const char *key);
bool strmap_has(const Strmap *map, const char *key);
/* Sets or replaces; a replaced value is freed by free_value. */
void strmap_set(Strmap *map, const char *key, void *value);
/* Removes; true where it was there. Costs O(n). */
bool strmap_remove(Strmap *map, const char *key);
/* Sorts the entries by key. */
void strmap_sort(Strmap *map);

#define STRMAP_FOREACH(entry, map) \
        for (StrmapEntry *entry = (map)->entries; entry && entry < (map)->entries + (map)->length; entry++)

#endif
