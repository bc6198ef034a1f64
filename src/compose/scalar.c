#include "compose/scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"

static bool one_of(const char *text, const char *const *words)
{
        for (; *words; words++)
                if (streq(text, *words))
                        return true;
        return false;
}

static bool resolve_word(Node *node, const char *text)
{
        static const char *const yes[] = { "true", "True", "TRUE", NULL };
        static const char *const no[] = { "false", "False", "FALSE", NULL };
        static const char *const null[] = { "", "~", "null", "Null", "NULL", NULL };
        static const char *const nan[] = { ".nan", ".NaN", ".NAN", NULL };
        static const char *const plus[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL };
        static const char *const minus[] = { "-.inf", "-.Inf", "-.INF", NULL };

        if (one_of(text, yes) || one_of(text, no)) {
                node->kind = NODE_BOOL;
                node->boolean = one_of(text, yes);
        } else if (one_of(text, null)) {
                node->kind = NODE_NULL;
        } else if (one_of(text, nan) || one_of(text, plus) || one_of(text, minus)) {
                node->kind = NODE_FLOAT;
                node->number = one_of(text, nan) ? NAN : one_of(text, plus) ? INFINITY : -INFINITY;
        } else {
                return false;
        }
        return true;
}

/* Four digits and a dash, then month and day; with a time of day or without. *ret: in the one form of RFC 3339. */
static bool parse_time(const char *text, char *ret, size_t size)
{
        int year, month, day, hour, minute, used = 0;
        double second;
        const char *fraction;

        if (strspn(text, "0123456789") != 4 || text[4] != '-')
                return false;
        if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || month < 1 || month > 12 || day < 1 ||
            day > 31)
                return false;
        if (!text[used]) {
                snprintf(ret, size, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                return true;
        }
        if (text[used] != 'T' && text[used] != 't' && text[used] != ' ')
                return false;
        text += used + 1;
        if (sscanf(text, "%2d:%2d:%lf%n", &hour, &minute, &second, &used) != 3 || hour > 23 || minute > 59 ||
            second >= 60)
                return false;
        fraction = memchr(text, '.', (size_t)used);
        snprintf(ret, size, "%04d-%02d-%02dT%02d:%02d:%02d%.*s%s", year, month, day, hour, minute, (int)second,
                 fraction ? (int)(text + used - fraction) : 0, fraction ? fraction : "",
                 text[used] ? text + used : "Z");
        text += used;
        return !*text || streq(text, "Z") || ((*text == '+' || *text == '-') && strlen(text) == 6);
}

static bool parse_digits(const char *digits, int base, bool negative, Node *node)
{
        unsigned long long value;
        char *end;

        if (!isalnum((unsigned char)*digits))
                return false;
        errno = 0;
        value = strtoull(digits, &end, base);
        if (*end || errno)
                return false;
        if (negative && value > (unsigned long long)INT64_MAX + 1)
                return false;
        node->kind = NODE_INT;
        node->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
        if (!negative && value > INT64_MAX)
                node->flags |= NODE_UNSIGNED;
        return true;
}

static bool resolve_int(Node *node, const char *plain)
{
        bool negative = *plain == '-';
        const char *digits = plain + (*plain == '-' || *plain == '+');

        if (digits[0] != '0' || !digits[1])
                return parse_digits(digits, 10, negative, node);
        switch (digits[1]) {
        case 'x':
        case 'X':
                return parse_digits(digits + 2, 16, negative, node);
        case 'b':
        case 'B':
                return parse_digits(digits + 2, 2, negative, node);
        case 'o':
        case 'O':
                return parse_digits(digits + 2, 8, negative, node);
        default:
                return parse_digits(digits + 1, 8, negative, node);
        }
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text)
{
        size_t before, after = 0;

        text += *text == '-' || *text == '+';
        before = strspn(text, "0123456789");
        text += before;
        if (*text == '.') {
                after = strspn(++text, "0123456789");
                text += after;
        }
        if (before + after == 0)
                return false;
        if (*text == 'e' || *text == 'E') {
                size_t digits;

                text++;
                text += *text == '-' || *text == '+';
                digits = strspn(text, "0123456789");
                if (digits == 0)
                        return false;
                text += digits;
        }
        return !*text;
}

static bool resolve_number(Node *node, const char *text)
{
        char plain[128];
        size_t n = 0;

        for (const char *c = text; *c; c++) {
                if (*c == '_')
                        continue;
                if (n + 1 == sizeof plain)
                        return false;
                plain[n++] = *c;
        }
        plain[n] = 0;
        if (resolve_int(node, plain))
                return true;
        if (is_float(*text == '.' ? text : plain)) {
                double value = strtod(plain, NULL);

                if (isinf(value))
                        return false;
                node->kind = NODE_FLOAT;
                node->number = value;
                return true;
        }
        return false;
}

static bool resolve_plain(Arena *arena, Node *node, const char *text)
{
        unsigned char first = (unsigned char)*text;
        char time[64];

        if (first == 0 || strchr("yYnNtTfFoO~.+-", first))
                if (resolve_word(node, text))
                        return true;
        if (isdigit(first) && parse_time(text, time, sizeof time)) {
                node->kind = NODE_TIME;
                node->text = arena_strdup(arena, time);
                return true;
        }
        return (isdigit(first) || first == '+' || first == '-' || first == '.') && resolve_number(node, text);
}

/* What is no text of C's stays out, as everywhere. */
static const char *decode_binary(Arena *arena, const char *text)
{
        size_t size;
        _cleanup_free_ char *decoded = base64_decode(text, &size);

        return decoded && strlen(decoded) == size ? arena_strndup(arena, decoded, size) : NULL;
}

static bool resolve_tagged(Arena *arena, Node *node, const char *text, size_t length, const char *tag)
{
        Node guess = { 0 };
        bool typed = resolve_plain(arena, &guess, text);
        NodeKind wanted;

        if (streq(tag, "binary")) {
                node->text = decode_binary(arena, text);
                return node->text;
        }
        if (streq(tag, "int"))
                wanted = NODE_INT;
        else if (streq(tag, "float"))
                wanted = NODE_FLOAT;
        else if (streq(tag, "bool"))
                wanted = NODE_BOOL;
        else if (streq(tag, "null"))
                wanted = NODE_NULL;
        else if (streq(tag, "timestamp"))
                wanted = NODE_TIME;
        else
                return true; /* a string, whatever the tag says */
        if (typed && guess.kind == NODE_INT && wanted == NODE_FLOAT) {
                guess.kind = NODE_FLOAT;
                guess.number = (double)guess.integer;
        }
        if (!typed || guess.kind != wanted)
                return false;
        node->kind = guess.kind;
        node->flags |= guess.flags;
        if (wanted == NODE_BOOL)
                node->boolean = guess.boolean;
        else if (wanted == NODE_FLOAT)
                node->number = guess.number;
        else if (wanted == NODE_TIME)
                node->text = guess.text;
        else
                node->integer = guess.integer;
        return true;
}

bool scalar_resolve(Arena *arena, Node *node, const char *text, size_t length, const char *tag, bool plain)
{
        const char *standard;

        node->kind = NODE_STRING;
        if (!tag || streq(tag, "!")) {
                if (plain && !tag && resolve_plain(arena, node, text))
                        return true;
                node->text = arena_strndup(arena, text, length);
                return true;
        }
        node->text = arena_strndup(arena, text, length);
        standard = startswith(tag, "tag:yaml.org,2002:");
        if (!standard || streq(standard, "str"))
                return true;
        return resolve_tagged(arena, node, text, length, standard);
}

bool scalar_needs_quotes(const char *text)
{
        static const char *const words[] = { "y",  "Y",  "yes", "Yes", "YES", "n",   "N",  "no", "No", "NO",
                                             "on", "On", "ON",  "off", "Off", "OFF", "<<", "=",  NULL };
        Node node = { 0 };
        char time[64];

        if (one_of(text, words) || resolve_word(&node, text))
                return true;
        if (parse_time(text, time, sizeof time))
                return true;
        return (isdigit((unsigned char)*text) || strchr("+-.", *text)) && resolve_number(&node, text);
}
