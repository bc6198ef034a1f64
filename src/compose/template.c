#include "compose/template.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

#define NESTING_LIMIT 64

typedef struct Substitution {
        Loader *loader;
        TemplateLookup lookup;
        const void *context;
        Strbuf note;
        const char *error;
        unsigned depth;
} Substitution;

static bool is_name_start(char c)
{
        return isalpha((unsigned char)c) || c == '_';
}

static size_t name_length(const char *text)
{
        size_t n = 0;

        if (is_name_start(*text))
                while (isalnum((unsigned char)text[n]) || text[n] == '_')
                        n++;
        return n;
}

/* One use of a variable in braces, taken apart. */
typedef struct Braced {
        const char *name;
        size_t name_length;
        char operator; /* '-', '?', '+', or 0 */
        bool colon;
        const char *word;
        size_t word_length;
        const char *end; /* behind the closing brace */
} Braced;

/* The brace that closes the first one of text; a brace hides the character behind it. NULL: none before end. */
static const char *closing_brace(const char *text, const char *end)
{
        int open = 0;

        for (const char *c = text; c < end; c++) {
                if (*c == '}' && --open == 0)
                        return c;
                if (*c == '{') {
                        open++;
                        c++;
                }
        }
        return NULL;
}

/* text starts with "${". Operators reach to the last brace of the line, of which the balanced one is taken. */
static bool braced_parse(const char *text, Braced *ret)
{
        const char *c = text + 2, *last = NULL, *close;
        size_t line;

        *ret = (Braced){ .name = c, .name_length = name_length(c) };
        if (ret->name_length == 0)
                return false;
        c += ret->name_length;
        if (*c == '}') {
                ret->end = c + 1;
                return true;
        }
        if (*c == ':') {
                ret->colon = true;
                c++;
        }
        if (*c != '-' && *c != '?' && *c != '+')
                return false;
        ret->operator= * c++;
        ret->word = c;
        line = strcspn(c, "\n");
        for (const char *at = c; at < c + line; at++)
                if (*at == '}')
                        last = at;
        if (!last)
                return false;
        close = closing_brace(text, last + 1);
        if (!close || close < c)
                close = last;
        ret->word_length = (size_t)(close - c);
        ret->end = close + 1;
        return true;
}

static void note_variable(Substitution *substitution, const char *name, const Variable *variable)
{
        strbuf_addf(&substitution->note, "%s%s %s%s", substitution->note.length ? ", " : "", name,
                    variable ? "from " : "unset", variable ? variable->origin : "");
}

static void substitute(Substitution *substitution, const char *text, size_t length, Strbuf *out);

static void fail_required(Substitution *substitution, const char *name, const char *reason)
{
        if (!substitution->error)
                substitution->error =
                        arena_printf(substitution->loader->arena, "required variable %s is missing a value%s%s", name,
                                     *reason ? ": " : "", reason);
}

static void substitute_braced(Substitution *substitution, const Braced *braced, Strbuf *out)
{
        _cleanup_free_ char *name = xstrndup(braced->name, braced->name_length);
        _cleanup_strbuf_ Strbuf word = STRBUF_INIT;
        const Variable *variable = substitution->lookup(substitution->context, name);
        bool present;

        /* The reference expands the word even where it is not used: what is wrong in it counts. */
        if (braced->operator)
                substitute(substitution, braced->word, braced->word_length, &word);
        present = variable && !(braced->colon && !*variable->value);
        note_variable(substitution, name, variable);
        switch (braced->operator) {
        case '-':
                strbuf_adds(out, present ? variable->value : strbuf_text(&word));
                break;
        case '+':
                strbuf_adds(out, present ? strbuf_text(&word) : "");
                break;
        case '?':
                if (present)
                        strbuf_adds(out, variable->value);
                else
                        fail_required(substitution, name, strbuf_text(&word));
                break;
        default:
                if (variable)
                        strbuf_adds(out, variable->value);
                else
                        loader_warn(substitution->loader,
                                    "The \"%s\" variable is not set. Defaulting to a blank string.", name);
        }
}

static void substitute_named(Substitution *substitution, const char *text, size_t length, Strbuf *out)
{
        Braced braced = { .name = text, .name_length = length };
        substitute_braced(substitution, &braced, out);
}

static void fail_format(Substitution *substitution, const char *text, size_t length)
{
        if (!substitution->error)
                substitution->error =
                        arena_printf(substitution->loader->arena,
                                     "invalid interpolation format in \"%.*s\", a literal $ is written $$",
                                     (int)MIN(length, (size_t)200), text);
}

static void substitute(Substitution *substitution, const char *text, size_t length, Strbuf *out)
{
        _cleanup_free_ char *copy = NULL;
        const char *c, *start;

        if (substitution->depth >= NESTING_LIMIT) {
                substitution->error = "interpolation is nested too deeply";
                return;
        }
        if (!memchr(text, '$', length)) {
                strbuf_add(out, text, length);
                return;
        }
        substitution->depth++;
        copy = xstrndup(text, length);
        for (c = start = copy; *c;) {
                Braced braced;

                if (*c != '$' || (c[1] != '$' && c[1] != '{' && !is_name_start(c[1]))) {
                        strbuf_addc(out, *c++);
                } else if (c[1] == '$') {
                        strbuf_addc(out, '$');
                        c += 2;
                } else if (c[1] != '{') {
                        size_t n = name_length(c + 1);

                        substitute_named(substitution, c + 1, n, out);
                        c += 1 + n;
                } else if (braced_parse(c, &braced)) {
                        substitute_braced(substitution, &braced, out);
                        c = braced.end;
                } else {
                        fail_format(substitution, start, length);
                        c += 2;
                }
        }
        substitution->depth--;
}

bool template_substitute(Loader *loader, const char *text, TemplateLookup lookup, const void *context,
                         TemplateResult *ret, const char **ret_error)
{
        _cleanup_strbuf_ Strbuf out = STRBUF_INIT;
        Substitution substitution = { .loader = loader, .lookup = lookup, .context = context };

        *ret = (TemplateResult){ .text = text };
        if (!strchr(text, '$'))
                return true;
        substitute(&substitution, text, strlen(text), &out);
        ret->text = arena_strdup(loader->arena, strbuf_text(&out));
        if (substitution.note.length)
                ret->note = arena_strdup(loader->arena, strbuf_text(&substitution.note));
        strbuf_done(&substitution.note);
        if (substitution.error)
                *ret_error = substitution.error;
        return !substitution.error;
}

void template_variables(Arena *arena, const char *text, TemplateVisitor visit, void *context)
{
        for (const char *c = text; (c = strchr(c, '$'));) {
                TemplateVariable variable = { .default_value = "", .alternate = "" };
                Braced braced;

                if (c[1] == '$') {
                        c += 2;
                        continue;
                }
                if (is_name_start(c[1])) {
                        size_t n = name_length(c + 1);

                        variable.name = arena_strndup(arena, c + 1, n);
                        visit(context, &variable);
                        c += 1 + n;
                        continue;
                }
                if (c[1] != '{' || !braced_parse(c, &braced)) {
                        c++;
                        continue;
                }
                variable.name = arena_strndup(arena, braced.name, braced.name_length);
                variable.required = braced.operator== '?';
                if (braced.operator== '-')
                        variable.default_value = arena_strndup(arena, braced.word, braced.word_length);
                if (braced.operator== '+')
                        variable.alternate = arena_strndup(arena, braced.word, braced.word_length);
                visit(context, &variable);
                template_variables(arena, variable.default_value, visit, context);
                template_variables(arena, variable.alternate, visit, context);
                c = braced.end;
        }
}
