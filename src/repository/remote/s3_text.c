/* The little of XML and of URLs that S3 needs. */
#include <stdio.h>

#include "base/mem.h"
#include "repository/remote/s3_client.h"

static void decode_entities(char *text)
{
        static const struct {
                const char *name;
                char value;
        } entities[] = { { "&lt;", '<' },  { "&gt;", '>' },    { "&quot;", '"' },
                         { "&#34;", '"' }, { "&apos;", '\'' }, { "&amp;", '&' } };
        char *to = text;

        for (const char *from = text; *from;) {
                size_t i = 0;

                while (i < ARRAY_SIZE(entities) && !startswith(from, entities[i].name))
                        i++;
                *to++ = i < ARRAY_SIZE(entities) ? entities[i].value : *from;
                from += i < ARRAY_SIZE(entities) ? strlen(entities[i].name) : 1;
        }
        *to = '\0';
}

char *s3_xml_next(const char **from, const char *tag)
{
        _cleanup_free_ char *open = xasprintf("<%s>", tag), *close = xasprintf("</%s>", tag);
        const char *start = strstr(*from, open), *end = start ? strstr(start, close) : NULL;

        if (!end)
                return NULL;
        start += strlen(open);
        *from = end + strlen(close);
        return xstrndup(start, (size_t)(end - start));
}

char *s3_xml_get(const char *text, const char *tag)
{
        char *found = s3_xml_next(&text, tag);

        if (found)
                decode_entities(found);
        return found;
}

char *s3_escape(const char *text)
{
        _cleanup_strbuf_ Strbuf escaped = STRBUF_INIT;

        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    strchr("-_.~", *c))
                        strbuf_addc(&escaped, (char)*c);
                else
                        strbuf_addf(&escaped, "%%%02X", *c);
        }
        return strbuf_take(&escaped);
}

void s3_unescape(char *text)
{
        char *to = text;

        for (const char *from = text; *from; to++) {
                unsigned value;
                if (*from == '%' && sscanf(from + 1, "%2x", &value) == 1) {
                        *to = (char)value;
                        from += 3;
                } else {
                        *to = *from++;
                }
        }
        *to = '\0';
}
