#include "base/base64.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size)
{
        const unsigned char *from = data;
        char *text = xmalloc((size + 2) / 3 * 4 + 1), *to = text;

        for (size_t i = 0; i < size; i += 3) {
                size_t n = MIN(size - i, (size_t)3);
                unsigned bits =
                        (unsigned)from[i] << 16 | (n > 1 ? (unsigned)from[i + 1] << 8 : 0) | (n > 2 ? from[i + 2] : 0);

                *to++ = digits[bits >> 18];
                *to++ = digits[bits >> 12 & 63];
                *to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
                *to++ = n > 2 ? digits[bits & 63] : '=';
        }
        *to = '\0';
        return text;
}

char *base64_decode(const char *text, size_t *ret_size)
{
        _cleanup_free_ char *out = xmalloc(strlen(text) + 1);
        unsigned bits = 0, n_bits = 0;
        size_t n = 0;

        for (; *text; text++) {
                const char *digit = strchr(digits, *text);

                if (*text == '=' || isspace((unsigned char)*text))
                        continue;
                if (!digit)
                        return NULL;
                bits = bits << 6 | (unsigned)(digit - digits);
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        out[n++] = (char)(bits >> n_bits & 0xff);
                }
        }
        out[n] = '\0';
        *ret_size = n;
        return TAKE_PTR(out);
}
