/* Growing typed arrays: `VECTOR(Thing) things = {0}; vector_add(&things, thing);`. The items are plain values. */
#ifndef BERTH_BASE_VECTOR_H
#define BERTH_BASE_VECTOR_H

#include "base/mem.h"

#define VECTOR(type)             \
        struct {                 \
                type *items;     \
                size_t length;   \
                size_t capacity; \
        }

#define vector_reserve(vector)                                                                                  \
        do {                                                                                                    \
                if ((vector)->length == (vector)->capacity) {                                                   \
                        (vector)->capacity = (vector)->capacity ? 2 * (vector)->capacity : 8;                   \
                        (vector)->items =                                                                       \
                                xreallocarray((vector)->items, (vector)->capacity, sizeof((vector)->items[0])); \
                }                                                                                               \
        } while (0)

#define vector_add(vector, ...)                                      \
        do {                                                         \
                vector_reserve(vector);                              \
                (vector)->items[(vector)->length++] = (__VA_ARGS__); \
        } while (0)

/* Appends a zeroed item and yields its address, valid until the next one is added. */
#define vector_add_zero(vector)                                                            \
        ({                                                                                 \
                vector_reserve(vector);                                                    \
                memset(&(vector)->items[(vector)->length], 0, sizeof((vector)->items[0])); \
                &(vector)->items[(vector)->length++];                                      \
        })

#define vector_done(vector)             \
        do {                            \
                free((vector)->items);  \
                (vector)->items = NULL; \
                (vector)->length = 0;   \
                (vector)->capacity = 0; \
        } while (0)

#define VECTOR_FOREACH(item, vector)                                                                                \
        for (typeof((vector)->items[0]) *item = (vector)->items; item && item < (vector)->items + (vector)->length; \
             item++)

#endif
