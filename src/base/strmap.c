#include "base/strmap.h"

#include "base/mem.h"

static uint32_t hash_string(const char *text)
{
        uint32_t hash = 2166136261u;

        for (; *text; text++)
                hash = (hash ^ (unsigned char)*text) * 16777619u;
        return hash;
}

void strmap_done(Strmap *map)
{
        STRMAP_FOREACH(entry, map) {
                free(entry->key);
                if (map->free_value)
                        map->free_value(entry->value);
        }
        free(map->entries);
        free(map->slots);
        *map = (Strmap){ .free_value = map->free_value };
}

static uint32_t *find_slot(const Strmap *map, const char *key)
{
        size_t mask = map->n_slots - 1;

        for (size_t i = hash_string(key) & mask;; i = (i + 1) & mask)
                if (!map->slots[i] || streq(map->entries[map->slots[i] - 1].key, key))
                        return &map->slots[i];
}

static void rebuild_slots(Strmap *map, size_t n_slots)
{
        free(map->slots);
        map->slots = xnew_array(uint32_t, n_slots);
        map->n_slots = n_slots;
        for (size_t i = 0; i < map->length; i++)
                *find_slot(map, map->entries[i].key) = (uint32_t)i + 1;
}

static StrmapEntry *find_entry(const Strmap *map, const char *key)
{
        uint32_t *slot;

        if (!map->length)
                return NULL;
        slot = find_slot(map, key);
        return *slot ? &map->entries[*slot - 1] : NULL;
}

void *strmap_get(const Strmap *map, const char *key)
{
        StrmapEntry *entry = find_entry(map, key);

        return entry ? entry->value : NULL;
}

bool strmap_has(const Strmap *map, const char *key)
{
        return find_entry(map, key) != NULL;
}

void strmap_set(Strmap *map, const char *key, void *value)
{
        StrmapEntry *entry = find_entry(map, key);

        if (entry) {
                if (map->free_value && entry->value != value)
                        map->free_value(entry->value);
                entry->value = value;
                return;
        }
        if (map->length == map->capacity) {
                map->capacity = map->capacity ? 2 * map->capacity : 8;
                map->entries = xreallocarray(map->entries, map->capacity, sizeof(StrmapEntry));
        }
        map->entries[map->length++] = (StrmapEntry){ xstrdup(key), value };
        if (2 * map->length > map->n_slots)
                rebuild_slots(map, map->n_slots ? 2 * map->n_slots : 16);
        else
                *find_slot(map, key) = (uint32_t)map->length;
}

bool strmap_remove(Strmap *map, const char *key)
{
        StrmapEntry *entry = find_entry(map, key);

        if (!entry)
                return false;
        free(entry->key);
        if (map->free_value)
                map->free_value(entry->value);
        memmove(entry, entry + 1, (size_t)(map->entries + map->length - entry - 1) * sizeof(StrmapEntry));
        map->length--;
        rebuild_slots(map, map->n_slots);
        return true;
}

static int compare_entries(const void *a, const void *b)
{
        return strcmp(((const StrmapEntry *)a)->key, ((const StrmapEntry *)b)->key);
}

void strmap_sort(Strmap *map)
{
        if (map->length < 2)
                return;
        qsort(map->entries, map->length, sizeof(StrmapEntry), compare_entries);
        rebuild_slots(map, map->n_slots);
}
