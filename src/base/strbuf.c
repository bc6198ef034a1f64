#include "base/strbuf.h"

#include <stdio.h>

#include "base/mem.h"

void strbuf_done(Strbuf *buffer)
{
        free(buffer->data);
        *buffer = (Strbuf)STRBUF_INIT;
}

void strbuf_reserve(Strbuf *buffer, size_t extra)
{
        size_t wanted = buffer->length + extra + 1;
        size_t capacity = buffer->capacity ? buffer->capacity : 32;

        if (wanted <= buffer->capacity)
                return;
        while (capacity < wanted)
                capacity *= 2;
        buffer->data = xrealloc(buffer->data, capacity);
        buffer->capacity = capacity;
        buffer->data[buffer->length] = '\0';
}

void strbuf_add(Strbuf *buffer, const void *data, size_t length)
{
        strbuf_reserve(buffer, length);
        if (length)
                memcpy(buffer->data + buffer->length, data, length);
        buffer->length += length;
        buffer->data[buffer->length] = '\0';
}

void strbuf_adds(Strbuf *buffer, const char *text)
{
        strbuf_add(buffer, text, strlen(text));
}

void strbuf_addc(Strbuf *buffer, char c)
{
        strbuf_add(buffer, &c, 1);
}

void strbuf_vaddf(Strbuf *buffer, const char *format, va_list arguments)
{
        _cleanup_free_ char *text = xvasprintf(format, arguments);

        strbuf_adds(buffer, text);
}

void strbuf_addf(Strbuf *buffer, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        strbuf_vaddf(buffer, format, arguments);
        va_end(arguments);
}

void strbuf_truncate(Strbuf *buffer, size_t length)
{
        if (length >= buffer->length)
                return;
        buffer->length = length;
        buffer->data[length] = '\0';
}

void strbuf_consume(Strbuf *buffer, size_t length)
{
        if (length >= buffer->length) {
                strbuf_truncate(buffer, 0);
                return;
        }
        memmove(buffer->data, buffer->data + length, buffer->length - length + 1);
        buffer->length -= length;
}

void strbuf_erase(Strbuf *buffer)
{
        if (buffer->data)
                erase_memory(buffer->data, buffer->capacity);
        buffer->length = 0;
}

const char *strbuf_text(const Strbuf *buffer)
{
        return buffer->data ? buffer->data : "";
}

char *strbuf_take(Strbuf *buffer)
{
        char *text = buffer->data ? TAKE_PTR(buffer->data) : xstrdup("");

        *buffer = (Strbuf)STRBUF_INIT;
        return text;
}
