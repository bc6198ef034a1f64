#include "compose/output.h"

#include <string.h>

#include "base/mem.h"

#define PIECE ((size_t)32 * 1024)

static void hand_on(Output *out)
{
        const char *start = strbuf_text(&out->text), *end = start + out->text.length;
        const char *dollar = out->escape_dollars ? memchr(start, '$', out->text.length) : NULL;

        for (; dollar; dollar = memchr(start, '$', (size_t)(end - start))) {
                out->write(out->context, start, (size_t)(dollar + 1 - start));
                start = dollar;
                out->write(out->context, start++, 1);
        }
        if (end > start)
                out->write(out->context, start, (size_t)(end - start));
        strbuf_truncate(&out->text, 0);
}

void output_drain(Output *out)
{
        if (out->write && out->text.length >= PIECE)
                hand_on(out);
}

void output_done(Output *out)
{
        if (out->write && out->text.length > 0)
                hand_on(out);
        strbuf_done(&out->text);
}

size_t output_utf8_length(const unsigned char *c)
{
        /* The first byte of each length, and what the second one may be where not every character has that length. */
        static const struct {
                unsigned char first, last, low, high, length;
        } forms[] = {
                { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                if (*c < forms[i].first || *c > forms[i].last)
                        continue;
                for (size_t n = 1; n < forms[i].length; n++)
                        if (c[n] < (n == 1 ? forms[i].low : 0x80) || c[n] > (n == 1 ? forms[i].high : 0xbf))
                                return 0;
                return forms[i].length;
        }
        return 0;
}

static bool is_ordinary(unsigned char c)
{
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

void output_quoted(Strbuf *out, const char *text, size_t (*special)(Strbuf *out, const unsigned char *c))
{
        static const char names[256] = { ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
        const unsigned char *c = (const unsigned char *)text;

        strbuf_addc(out, '"');
        while (*c) {
                size_t length = 0;

                while (is_ordinary(c[length]))
                        length++;
                if (length > 0) {
                        strbuf_add(out, c, length);
                } else if (names[*c]) {
                        strbuf_addc(out, '\\');
                        strbuf_addc(out, names[*c]);
                        length = 1;
                } else {
                        length = special(out, c);
                        if (length == 0) {
                                length = MAX(output_utf8_length(c), (size_t)1);
                                strbuf_add(out, c, length);
                        }
                }
                c += length;
        }
        strbuf_addc(out, '"');
}
