#include "base/arena.h"

#include <stdalign.h>

#include "base/mem.h"
#include "base/strv.h"

#define BLOCK_SIZE ((size_t)16 * 1024)
#define ALIGNMENT  alignof(int64_t)

/* Objects are taken from the front, strings, which need no alignment, from the back. */
typedef struct Block {
        struct Block *next;
        size_t size, used, limit; /* the room from used to limit is free */
        alignas(ALIGNMENT) char data[];
} Block;

struct Arena {
        Block *head;
        size_t total;
};

Arena *arena_create(void)
{
        return xnew(Arena);
}

void arena_free(Arena *arena)
{
        if (!arena)
                return;
        for (Block *block = arena->head; block;) {
                Block *next = block->next;
                free(block);
                block = next;
        }
        free(arena);
}

/* The block with room for that many bytes: the current one, or a new one. */
static Block *find_room(Arena *arena, size_t size)
{
        Block *block = arena->head;

        arena->total += size;
        if (block && block->limit - block->used >= size)
                return block;
        block = xcalloc(1, sizeof(Block) + MAX(size, BLOCK_SIZE));
        block->size = block->limit = MAX(size, BLOCK_SIZE);
        if (arena->head && size > BLOCK_SIZE) {
                /* A large one goes behind, so that the room left in the current block is not lost. */
                block->next = arena->head->next;
                arena->head->next = block;
        } else {
                block->next = arena->head;
                arena->head = block;
        }
        return block;
}

void *arena_alloc(Arena *arena, size_t size)
{
        size_t rounded = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
        Block *block = find_room(arena, rounded);
        void *pointer = block->data + block->used;

        block->used += rounded;
        return pointer;
}

char *arena_strndup(Arena *arena, const char *text, size_t length)
{
        Block *block = find_room(arena, length + 1);
        char *copy;

        block->limit -= length + 1;
        copy = block->data + block->limit;
        memcpy(copy, text, length);
        copy[length] = 0;
        return copy;
}

void arena_clear(Arena *arena)
{
        Block *kept = arena->head;

        if (!kept)
                return;
        for (Block *block = kept->next; block;) {
                Block *next = block->next;
                free(block);
                block = next;
        }
        memset(kept->data, 0, kept->used);
        memset(kept->data + kept->limit, 0, kept->size - kept->limit);
        kept->next = NULL;
        kept->used = 0;
        kept->limit = kept->size;
        arena->total = 0;
}

char *arena_strdup(Arena *arena, const char *text)
{
        return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        return arena_strdup(arena, text);
}

char **arena_strv(Arena *arena, char *const *strings)
{
        size_t length = strv_length(strings);
        char **copy;

        if (!strings)
                return NULL;
        copy = arena_new_array(arena, char *, length + 1);
        for (size_t i = 0; i < length; i++)
                copy[i] = arena_strdup(arena, strings[i]);
        return copy;
}

size_t arena_size(const Arena *arena)
{
        return arena->total;
}
