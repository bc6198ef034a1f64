#include "base/arena.h"

#include <stdalign.h>

#include "base/mem.h"
#include "base/strv.h"

#define BLOCK_SIZE ((size_t)16 * 1024)

typedef struct Block {
        struct Block *next;
        size_t used, size;
        alignas(max_align_t) char data[];
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

static void *block_alloc(Block *block, size_t size)
{
        void *pointer = block->data + block->used;

        block->used += size;
        return pointer;
}

void *arena_alloc(Arena *arena, size_t size)
{
        size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
        Block *block = arena->head;

        arena->total += rounded;
        if (block && block->size - block->used >= rounded)
                return block_alloc(block, rounded);

        block = xcalloc(1, sizeof(Block) + MAX(rounded, BLOCK_SIZE));
        block->size = MAX(rounded, BLOCK_SIZE);
        if (arena->head && rounded > BLOCK_SIZE) {
                /* A large one goes behind, so that the room left in the current block is not lost. */
                block->next = arena->head->next;
                arena->head->next = block;
        } else {
                block->next = arena->head;
                arena->head = block;
        }
        return block_alloc(block, rounded);
}

char *arena_strndup(Arena *arena, const char *text, size_t length)
{
        char *copy = arena_alloc(arena, length + 1);

        memcpy(copy, text, length);
        return copy;
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
