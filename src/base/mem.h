/* Allocation that does not fail: out of memory ends the program with a message. */
#ifndef BERTH_BASE_MEM_H
#define BERTH_BASE_MEM_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
/* Resizes to count * size bytes; an overflow of the product ends the program. */
void *xreallocarray(void *pointer, size_t count, size_t size);
/* NULL gives NULL. */
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
void *xmemdup(const void *data, size_t size);
char *xasprintf(const char *format, ...) _printf_(1, 2);
char *xvasprintf(const char *format, va_list arguments) _printf_(1, 0);

#define xnew(type)              ((type *)xcalloc(1, sizeof(type)))
#define xnew_array(type, count) ((type *)xcalloc((count), sizeof(type)))

/* Frees *pointer and puts value, which it then owns, in its place. */
void free_and_replace(char **pointer, char *value);

static inline void freep(void *pointer)
{
        free(*(void **)pointer);
}
#define _cleanup_free_ _cleanup_(freep)

/* Overwrites memory that held a secret; not optimised away. */
void erase_memory(void *pointer, size_t size);
/* Erases and frees a string; NULL is accepted. */
void free_secret(char *secret);
DEFINE_CLEANUP(char, free_secret);

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}
/* Equal, where NULL equals NULL only. */
static inline bool streq_ptr(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}
/* The rest of text after prefix, or NULL where it does not start so. */
static inline const char *startswith(const char *text, const char *prefix)
{
        size_t length = strlen(prefix);
        return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}
static inline bool endswith(const char *text, const char *suffix)
{
        size_t length = strlen(text), suffix_length = strlen(suffix);
        return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}
static inline bool isempty(const char *text)
{
        return !text || !*text;
}

#endif
