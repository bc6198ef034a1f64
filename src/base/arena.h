/* Memory that is freed as a whole: for parsed models and specifications, which never change once made. */
#ifndef BERTH_BASE_ARENA_H
#define BERTH_BASE_ARENA_H

#include "base/macros.h"

typedef struct Arena Arena;

Arena *arena_create(void);
void arena_free(Arena *arena);
DEFINE_CLEANUP(Arena, arena_free);

/* Zeroed, aligned for any type but long double. Strings stand close together, without gaps between them. */
void *arena_alloc(Arena *arena, size_t size);
char *arena_strdup(Arena *arena, const char *text); /* NULL gives NULL */
char *arena_strndup(Arena *arena, const char *text, size_t length);
char *arena_printf(Arena *arena, const char *format, ...) _printf_(2, 3);
/* A copy of the vector and its strings; NULL gives NULL. */
char **arena_strv(Arena *arena, char *const *strings);
/* Takes everything back at once; the memory serves again. */
void arena_clear(Arena *arena);
size_t arena_size(const Arena *arena); /* bytes handed out */

#define arena_new(arena, type)              ((type *)arena_alloc((arena), sizeof(type)))
#define arena_new_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

#endif
