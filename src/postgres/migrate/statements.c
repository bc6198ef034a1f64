#include "postgres/migrate/statements.h"

#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"

typedef struct Scanner {
        const char *text;
        size_t position;
        /* For bodies with semicolons inside: the first words of the statement and the depth of BEGIN and CASE. */
        unsigned n_words;
        bool creates_routine;
        char words[4][12];
        unsigned depth;
        unsigned parentheses;
} Scanner;

static bool is_word_char(char c)
{
        return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void skip_line_comment(Scanner *scanner)
{
        scanner->position += strcspn(scanner->text + scanner->position, "\n");
}

static void skip_block_comment(Scanner *scanner)
{
        const char *text = scanner->text;
        unsigned depth = 0;

        do {
                if (text[scanner->position] == '/' && text[scanner->position + 1] == '*') {
                        depth++;
                        scanner->position += 2;
                } else if (text[scanner->position] == '*' && text[scanner->position + 1] == '/') {
                        depth--;
                        scanner->position += 2;
                } else
                        scanner->position++;
        } while (depth > 0 && text[scanner->position]);
}

static void skip_quoted(Scanner *scanner, char quote, bool backslashes)
{
        const char *text = scanner->text;

        for (scanner->position++; text[scanner->position]; scanner->position++) {
                if (backslashes && text[scanner->position] == '\\' && text[scanner->position + 1])
                        scanner->position++;
                else if (text[scanner->position] == quote) {
                        scanner->position++;
                        if (text[scanner->position] != quote)
                                return;
                }
        }
}

/* $tag$ … $tag$; anything else that starts with a dollar (a parameter) is one character. */
static void skip_dollar(Scanner *scanner)
{
        const char *start = scanner->text + scanner->position, *end;
        size_t length = 1;

        while (is_word_char(start[length]) && start[length] != '$' &&
               !(length == 1 && isdigit((unsigned char)start[length])))
                length++;
        if (start[length] != '$') {
                scanner->position++;
                return;
        }
        length++;
        for (end = start + length; *end; end++)
                if (*end == '$' && strncmp(end, start, length) == 0) {
                        scanner->position = (size_t)(end - scanner->text) + length;
                        return;
                }
        scanner->position += length + strlen(start + length);
}

static bool word_is(const Scanner *scanner, unsigned index, const char *word)
{
        return scanner->n_words > index && strcasecmp(scanner->words[index], word) == 0;
}

static void note_word(Scanner *scanner, const char *word, size_t length)
{
        if (scanner->n_words < 4) {
                char *to = scanner->words[scanner->n_words++];
                size_t n = MIN(length, sizeof(scanner->words[0]) - 1);
                memcpy(to, word, n);
                to[n] = '\0';
                unsigned kind = word_is(scanner, 1, "or") ? 3 : 1;
                if (scanner->n_words == kind + 1 && word_is(scanner, 0, "create"))
                        scanner->creates_routine =
                                word_is(scanner, kind, "function") || word_is(scanner, kind, "procedure");
        }
        if (!scanner->creates_routine || scanner->parentheses > 0)
                return;
        if (length == 5 && strncasecmp(word, "begin", 5) == 0)
                scanner->depth++;
        else if (length == 4 && strncasecmp(word, "case", 4) == 0 && scanner->depth > 0)
                scanner->depth++;
        else if (length == 3 && strncasecmp(word, "end", 3) == 0 && scanner->depth > 0)
                scanner->depth--;
}

static void skip_word(Scanner *scanner)
{
        const char *word = scanner->text + scanner->position;
        size_t length = 0;

        while (is_word_char(word[length]))
                length++;
        scanner->position += length;
        if (length == 1 && (*word == 'e' || *word == 'E') && word[1] == '\'')
                skip_quoted(scanner, '\'', true);
        else
                note_word(scanner, word, length);
}

/* Goes over one token; true where it was more than a blank or a comment. */
static bool skip_token(Scanner *scanner)
{
        char c = scanner->text[scanner->position], next = scanner->text[scanner->position + 1];

        if (isspace((unsigned char)c))
                scanner->position++;
        else if (c == '-' && next == '-')
                skip_line_comment(scanner);
        else if (c == '/' && next == '*')
                skip_block_comment(scanner);
        else {
                if (c == '\'' || c == '"')
                        skip_quoted(scanner, c, false);
                else if (c == '$')
                        skip_dollar(scanner);
                else if (is_word_char(c))
                        skip_word(scanner);
                else {
                        if (c == '(')
                                scanner->parentheses++;
                        else if (c == ')' && scanner->parentheses > 0)
                                scanner->parentheses--;
                        scanner->position++;
                }
                return true;
        }
        return false;
}

void statements_split(const char *text, Statements *ret)
{
        Scanner scanner = { .text = text };
        Statement statement = { 0 };
        bool inside = false;

        while (text[scanner.position]) {
                size_t start = scanner.position;

                if (text[start] == ';' && scanner.parentheses == 0 && scanner.depth == 0) {
                        if (inside)
                                vector_add(ret, statement);
                        inside = false;
                        scanner = (Scanner){ .text = text, .position = start + 1 };
                } else if (skip_token(&scanner)) {
                        if (!inside)
                                statement.start = start;
                        inside = true;
                        statement.end = scanner.position;
                }
        }
        if (inside)
                vector_add(ret, statement);
}

static bool starts_character(char c)
{
        return ((unsigned char)c & 0xc0) != 0x80;
}

void statements_locate(const char *text, size_t offset, int *ret_line, int *ret_column)
{
        int line = 1, column = 1;

        for (size_t i = 0; i < offset && text[i]; i++) {
                if (text[i] == '\n') {
                        line++;
                        column = 1;
                } else if (starts_character(text[i]) && !(text[i] == '\r' && text[i + 1] == '\n'))
                        column++;
        }
        *ret_line = line;
        *ret_column = column;
}

size_t statements_offset_of_position(const char *text, size_t position)
{
        size_t offset = 0;

        for (size_t seen = 0; text[offset]; offset++)
                if (starts_character(text[offset]) && ++seen == position)
                        break;
        return offset;
}

const Statement *statements_find(const Statements *statements, size_t offset)
{
        const Statement *found = NULL;

        for (size_t i = 0; i < statements->length && statements->items[i].start <= offset; i++)
                found = &statements->items[i];
        return found ? found : statements->length ? &statements->items[0] : NULL;
}

char **statements_first_words(const char *text, const Statement *statement, size_t limit)
{
        Scanner scanner = { .text = text, .position = statement->start };
        char **words = NULL;

        while (scanner.position < statement->end && strv_length(words) < limit) {
                size_t start = scanner.position;

                if (skip_token(&scanner))
                        strv_take(&words, xstrndup(text + start, scanner.position - start));
        }
        return words;
}

char *statements_excerpt(const char *text, const Statement *statement, size_t limit)
{
        _cleanup_strbuf_ Strbuf excerpt = STRBUF_INIT;
        bool blank = false;

        for (size_t i = statement->start; i < statement->end; i++) {
                if (isspace((unsigned char)text[i])) {
                        blank = true;
                        continue;
                }
                if (excerpt.length >= limit && starts_character(text[i])) {
                        strbuf_adds(&excerpt, "…");
                        break;
                }
                if (blank)
                        strbuf_addc(&excerpt, ' ');
                blank = false;
                strbuf_addc(&excerpt, text[i]);
        }
        return strbuf_take(&excerpt);
}
