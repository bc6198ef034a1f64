/* A growing string, always NUL-terminated, that may hold NUL bytes. */
#ifndef BERTH_BASE_STRBUF_H
#define BERTH_BASE_STRBUF_H

#include <stdarg.h>

#include "base/macros.h"

typedef struct Strbuf {
        char *data;    /* never NULL to a reader that uses strbuf_text */
        size_t length; /* bytes, without the terminator */
        size_t capacity;
} Strbuf;

#define STRBUF_INIT { NULL, 0, 0 }

void strbuf_done(Strbuf *buffer);
#define _cleanup_strbuf_ _cleanup_(strbuf_done)

void strbuf_reserve(Strbuf *buffer, size_t extra);
void strbuf_add(Strbuf *buffer, const void *data, size_t length);
void strbuf_adds(Strbuf *buffer, const char *text);
void strbuf_addc(Strbuf *buffer, char c);
void strbuf_addf(Strbuf *buffer, const char *format, ...) _printf_(2, 3);
void strbuf_vaddf(Strbuf *buffer, const char *format, va_list arguments) _printf_(2, 0);
void strbuf_truncate(Strbuf *buffer, size_t length);
/* Removes the first `length` bytes. */
void strbuf_consume(Strbuf *buffer, size_t length);
/* Empties and zeroes what it held. */
void strbuf_erase(Strbuf *buffer);
const char *strbuf_text(const Strbuf *buffer);
/* Hands the string to the caller and leaves the buffer empty; never NULL. */
char *strbuf_take(Strbuf *buffer);

#endif
