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
                        if (length == 0)
                                strbuf_addc(out, (char)c[length++]);
                }
                c += length;
        }
        strbuf_addc(out, '"');
}
