#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

static _noreturn_ void out_of_memory(void)
{
        static const char message[] = "berth: out of memory\n";
        _unused_ ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);
        abort();
}

void *xmalloc(size_t size)
{
        void *pointer = malloc(size ? size : 1);
        if (!pointer)
                out_of_memory();
        return pointer;
}

void *xcalloc(size_t count, size_t size)
{
        void *pointer = calloc(count ? count : 1, size ? size : 1);
        if (!pointer)
                out_of_memory();
        return pointer;
}

void *xrealloc(void *pointer, size_t size)
{
        pointer = realloc(pointer, size ? size : 1);
        if (!pointer)
                out_of_memory();
        return pointer;
}

void *xreallocarray(void *pointer, size_t count, size_t size)
{
        size_t bytes;

        if (__builtin_mul_overflow(count, size, &bytes))
                out_of_memory();
        return xrealloc(pointer, bytes);
}

char *xstrdup(const char *text)
{
        return text ? xmemdup(text, strlen(text) + 1) : NULL;
}

char *xstrndup(const char *text, size_t length)
{
        size_t actual = strnlen(text, length);
        char *copy = xmalloc(actual + 1);

        memcpy(copy, text, actual);
        copy[actual] = '\0';
        return copy;
}

void *xmemdup(const void *data, size_t size)
{
        void *copy = xmalloc(size);

        if (size)
                memcpy(copy, data, size);
        return copy;
}

char *xvasprintf(const char *format, va_list arguments)
{
        char *text;

        if (vasprintf(&text, format, arguments) < 0)
                out_of_memory();
        return text;
}

char *xasprintf(const char *format, ...)
{
        va_list arguments;
        char *text;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        return text;
}

void free_and_replace(char **pointer, char *value)
{
        free(*pointer);
        *pointer = value;
}

void erase_memory(void *pointer, size_t size)
{
        explicit_bzero(pointer, size);
}

void free_secret(char *secret)
{
        if (!secret)
                return;
        erase_memory(secret, strlen(secret));
        free(secret);
}
