/* Commands in one line of text, split into words. */
#include <ctype.h>

#include "base/mem.h"
#include "compose/short_syntax.h"

typedef struct Words {
        Arena *arena;
        const Node *at;
        Node *list;
        Strbuf word;
        bool any, escaped, single_quoted, double_quoted, back_quoted, dollar_quoted;
} Words;

static void words_end(Words *words)
{
        if (words->any)
                node_add(words->arena, words->list,
                         node_new_string(words->arena, arena_strdup(words->arena, strbuf_text(&words->word)),
                                         words->at));
        strbuf_truncate(&words->word, 0);
        words->any = false;
}

typedef enum WordStep { WORD_KEEP, WORD_DROP, WORD_STOP, WORD_BAD } WordStep;

static bool words_quoted(const Words *words)
{
        return words->single_quoted || words->double_quoted || words->back_quoted || words->dollar_quoted;
}

static WordStep words_quote(Words *words, char c)
{
        if (c == '"' && !words->single_quoted && !words->dollar_quoted) {
                words->any |= words->double_quoted;
                words->double_quoted = !words->double_quoted;
                return WORD_DROP;
        }
        if (c == '\'' && !words->double_quoted && !words->dollar_quoted) {
                words->any |= words->single_quoted;
                words->single_quoted = !words->single_quoted;
                return WORD_DROP;
        }
        return WORD_KEEP;
}

/* What the next character does; quotes and parentheses are only counted, never run. */
static WordStep words_step(Words *words, char c)
{
        bool open = !words->single_quoted && !words->double_quoted;

        switch (c) {
        case '`':
                if (open && !words->dollar_quoted)
                        words->back_quoted = !words->back_quoted;
                return WORD_KEEP;
        case ')':
                if (open && !words->back_quoted)
                        words->dollar_quoted = !words->dollar_quoted;
                return WORD_KEEP;
        case '(':
                if (!open || words->back_quoted)
                        return WORD_KEEP;
                if (words->dollar_quoted || words->word.length == 0 || words->word.data[words->word.length - 1] != '$')
                        return WORD_BAD;
                words->dollar_quoted = true;
                strbuf_addc(&words->word, '(');
                return WORD_DROP;
        case '"':
        case '\'':
                return words_quote(words, c);
        case ';':
        case '&':
        case '|':
        case '<':
        case '>':
                if (words_quoted(words))
                        return WORD_KEEP;
                if (c == '>' && words->word.length > 0 && isdigit((unsigned char)words->word.data[0]))
                        words->any = false; /* the number of a descriptor: 2> */
                return WORD_STOP;
        default:
                return WORD_KEEP;
        }
}

/* false: not a command line. */
static bool words_split(Words *words, const char *text)
{
        for (const char *c = text; *c; c++) {
                WordStep step;

                if (words->escaped) {
                        strbuf_addc(&words->word, *c);
                        words->escaped = false;
                        words->any = true;
                        continue;
                }
                if (*c == '\\' && !words->single_quoted) {
                        words->escaped = true;
                        continue;
                }
                if (*c == ' ' || *c == '\t' || *c == '\r' || *c == '\n') {
                        if (words_quoted(words))
                                strbuf_addc(&words->word, *c);
                        else if (words->any)
                                words_end(words);
                        continue;
                }
                step = *c == '\\' ? WORD_KEEP : words_step(words, *c);
                if (step == WORD_BAD)
                        return false;
                if (step == WORD_STOP)
                        break;
                if (step == WORD_DROP)
                        continue;
                words->any = *c != '\\' || words->any;
                strbuf_addc(&words->word, *c);
        }
        return !words->escaped && !words_quoted(words);
}

Node *short_command(Arena *arena, const Node *at, const char *text, const char **ret_error)
{
        Words words = { .arena = arena, .at = at, .list = node_new_list(arena, at) };
        bool good = words_split(&words, text);

        if (good)
                words_end(&words);
        else
                *ret_error = "invalid command line string: a quote or parenthesis is not closed, or a parenthesis "
                             "stands bare";
        strbuf_done(&words.word);
        return good ? words.list : NULL;
}
