#include "cli/shell_words.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"

bool shell_words_split(const char *text, char ***ret)
{
        _cleanup_strv_ char **words = NULL;
        _cleanup_strbuf_ Strbuf word = STRBUF_INIT;
        bool begun = false;
        char quote = 0;

        for (; *text; text++) {
                bool escapes = *text == '\\' && text[1] && (quote == 0 || (quote == '"' && strchr("\"\\$`", text[1])));

                if (escapes) {
                        strbuf_addc(&word, *++text);
                        begun = true;
                } else if (quote && *text == quote) {
                        quote = 0;
                } else if (!quote && (*text == '\'' || *text == '"')) {
                        quote = *text;
                        begun = true;
                } else if (!quote && isspace((unsigned char)*text)) {
                        if (begun)
                                strv_take(&words, strbuf_take(&word));
                        begun = false;
                } else {
                        strbuf_addc(&word, *text);
                        begun = true;
                }
        }
        if (quote)
                return false;
        if (begun)
                strv_take(&words, strbuf_take(&word));
        *ret = TAKE_PTR(words);
        return true;
}
