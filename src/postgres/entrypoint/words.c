#include "postgres/entrypoint/words.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/initdb.h"

/* Adds a quoted part; returns what follows its closing quote, or NULL. */
static const char *add_quoted(const char *position, char quote, Strbuf *word)
{
        for (; *position; position++) {
                if (*position == quote)
                        return position + 1;
                if (quote == '"' && (*position == '$' || *position == '`'))
                        return NULL;
                if (quote == '"' && *position == '\\' && position[1] && strchr("\"\\$`", position[1]))
                        position++;
                strbuf_addc(word, *position);
        }
        return NULL;
}

static const char *add_word(const char *position, Strbuf *word)
{
        while (position && *position && !strchr(" \t\n", *position)) {
                if (*position == '\'' || *position == '"')
                        position = add_quoted(position + 1, *position, word);
                else if (*position == '\\' && position[1]) {
                        strbuf_addc(word, position[1]);
                        position += 2;
                } else if (strchr("$`*?[]{}~()|&;<>!#\\", *position))
                        return NULL;
                else
                        strbuf_addc(word, *position++);
        }
        return position;
}

bool words_split(const char *text, char ***ret)
{
        _cleanup_strv_ char **words = NULL;

        for (;;) {
                _cleanup_strbuf_ Strbuf word = STRBUF_INIT;

                text += strspn(text, " \t\n");
                if (!*text)
                        break;
                text = add_word(text, &word);
                if (!text)
                        return false;
                strv_take(&words, strbuf_take(&word));
        }
        *ret = TAKE_PTR(words);
        return true;
}

static int split_by_shell(const char *text, char ***ret, Error **err)
{
        _cleanup_free_ char *bash = process_find("bash");
        _cleanup_strv_ char **argv =
                strv_new(bash ? "bash" : "sh", "-c", "eval \"set -- $1\" && printf '%s\\001' \"$@\" && printf '\\002'",
                         "initdb", text, NULL);
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        int status = 0, r;

        r = child_capture(argv, &output, &status, err);
        if (r < 0)
                return r;
        /* The 2 at the end tells an end from a cut, the 1 closes each word; none at all is one empty word of printf's.
         */
        if (output.length == 0 || output.data[output.length - 1] != 2)
                return error_set(err, ERROR_INVALID, "cannot be split into words: %s", text);
        strbuf_truncate(&output, output.length - 1);
        if (output.length <= 1)
                return 0;
        strbuf_truncate(&output, output.length - 1);
        *ret = strv_split(strbuf_text(&output), '\1');
        return 0;
}

int initdb_split_args(const char *text, char ***ret, Error **err)
{
        *ret = NULL;
        return words_split(text, ret) ? 0 : split_by_shell(text, ret, err);
}
