#include "compose/dotenv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"

typedef struct Parser {
        Loader *loader;
        const char *file;
        TemplateLookup lookup;
        const void *context;
        Variables *out;
        int line;
        Error **err;
} Parser;

static const Variable *lookup_both(const void *context, const char *name)
{
        const Parser *parser = context;
        const Variable *variable = parser->lookup ? parser->lookup(parser->context, name) : NULL;

        return variable ? variable : variables_get(parser->out, name);
}

static int fail_line(const Parser *parser, const char *format, ...) _printf_(2, 3);

static int fail_line(const Parser *parser, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        return error_set_at(parser->err, ERROR_INVALID, parser->file, parser->line, 0, "%s", text);
}

/* Length of the white space at c that is no line break; counts the two-byte NEL and NBSP too. */
static size_t blank_length(const char *c)
{
        if (*c == '\t' || *c == '\v' || *c == '\f' || *c == '\r' || *c == ' ')
                return 1;
        return (unsigned char)c[0] == 0xc2 && ((unsigned char)c[1] == 0x85 || (unsigned char)c[1] == 0xa0) ? 2 : 0;
}

static const char *skip_blanks(const char *c)
{
        for (size_t n; (n = blank_length(c)) > 0;)
                c += n;
        return c;
}

static const char *skip_to_statement(Parser *parser, const char *c)
{
        for (;;) {
                c = skip_blanks(c);
                if (*c == '\n') {
                        parser->line++;
                        c++;
                } else if (*c == '#') {
                        c += strcspn(c, "\n");
                } else {
                        return c;
                }
        }
}

static size_t trimmed_length(const char *text, size_t length)
{
        while (length > 0 &&
               (isspace((unsigned char)text[length - 1]) ||
                (length > 1 && (unsigned char)text[length - 2] == 0xc2 && blank_length(text + length - 2) == 2)))
                length -= blank_length(text + length - 1) || text[length - 1] == '\n' ? 1 : 2;
        return length;
}

/* *ret_alone: the key has no value on its line. Returns the rest in *at. */
static int parse_key(Parser *parser, const char **at, char **ret, bool *ret_alone)
{
        const char *start = *at, *c;
        const char *after = startswith(start, "export");
        size_t length;

        if (after && (isspace((unsigned char)*after)))
                start = skip_blanks(after);
        *ret_alone = false;
        for (c = start; *c; c++) {
                size_t blank = blank_length(c);

                if (blank > 0) {
                        c += blank - 1;
                        continue;
                }
                if (*c == '=' || *c == ':' || *c == '\n')
                        break;
                if (strchr("_.-[]", *c) || isalnum((unsigned char)*c) || (unsigned char)*c >= 0x80)
                        continue;
                return fail_line(parser, "unexpected character \"%c\" in variable name \"%.*s\"", *c,
                                 (int)strcspn(start, "\n"), start);
        }
        length = trimmed_length(start, (size_t)(c - start));
        if (!*c) {
                /* The last line without an end: the reference takes no name from it, and reads it again as nothing. */
                *ret = xstrdup("");
                *at = c;
                *ret_alone = true;
                if (length > 0) {
                        free(*ret);
                        *ret = xstrndup(start, length);
                }
                return 0;
        }
        *ret_alone = *c == '\n';
        if (*ret_alone)
                parser->line++;
        *ret = xstrndup(start, length);
        *at = skip_blanks(c + 1);
        if (memchr(*ret, ' ', strlen(*ret))) {
                if (*ret_alone)
                        parser->line--;
                return fail_line(parser, "key cannot contain a space");
        }
        return 0;
}

static int expand(Parser *parser, const char *text, const char **ret)
{
        const char *why = NULL;
        TemplateResult result;

        if (!template_substitute(parser->loader, text, lookup_both, parser, &result, &why))
                return fail_line(parser, "%s", why);
        *ret = result.text == text ? arena_strdup(parser->loader->arena, text) : result.text;
        return 0;
}

static void add_utf8(Strbuf *out, unsigned code)
{
        if (code < 0x80) {
                strbuf_addc(out, (char)code);
        } else {
                strbuf_addc(out, (char)(0xc0 | code >> 6));
                strbuf_addc(out, (char)(0x80 | (code & 0x3f)));
        }
}

/* \n, \t and their kin, \0nnn; \$ becomes $$, which the expansion that follows makes a $ again. */
static char *expand_escapes(const char *text)
{
        static const char names[] = "abfnrtv\"\\", values[] = "\a\b\f\n\r\t\v\"\\";
        Strbuf out = STRBUF_INIT;

        while (*text) {
                const char *name = text[0] == '\\' && text[1] ? strchr(names, text[1]) : NULL;

                if (name) {
                        strbuf_addc(&out, values[name - names]);
                        text += 2;
                } else if (text[0] == '\\' && text[1] == '$') {
                        strbuf_adds(&out, "$$");
                        text += 2;
                } else if (text[0] == '\\' && text[1] == '0' && strspn(text + 2, "01234567") >= 3) {
                        unsigned code = (unsigned)((text[2] - '0') * 64 + (text[3] - '0') * 8 + (text[4] - '0'));

                        if (code == 0 || code > 255)
                                strbuf_add(&out, text, 5);
                        else
                                add_utf8(&out, code);
                        text += 5;
                } else {
                        strbuf_addc(&out, *text++);
                }
        }
        return strbuf_take(&out);
}

static int parse_unquoted(Parser *parser, const char **at, const char **ret)
{
        const char *line = *at, *comment;
        size_t length = strcspn(line, "\n"), rest = length;
        _cleanup_free_ char *text = NULL;
        int r;

        comment = memmem(line, length, " #", 2);
        if (comment)
                length = (size_t)(comment - line);
        text = xstrndup(line, trimmed_length(line, length));
        r = expand(parser, text, ret);
        parser->line++;
        *at = line[rest] ? line + rest + 1 : line + rest;
        return r;
}

static int parse_quoted(Parser *parser, const char **at, const char **ret)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *escaped = NULL;
        const char *start = *at, *c = start + 1;
        char quote = *start;
        int first = parser->line;

        for (; *c && *c != quote; c++) {
                if (*c == '\\' && c[1]) {
                        if (c[1] != quote)
                                strbuf_addc(&text, *c);
                        c++;
                }
                if (*c == '\n')
                        parser->line++;
                strbuf_addc(&text, *c);
        }
        if (!*c) {
                parser->line = first;
                return fail_line(parser, "unterminated quoted value %.*s", (int)strcspn(start, "\n"), start);
        }
        *at = c + 1;
        if (quote == '\'') {
                *ret = arena_strdup(parser->loader->arena, strbuf_text(&text));
                return 0;
        }
        escaped = expand_escapes(strbuf_text(&text));
        return expand(parser, escaped, ret);
}

static int parse_statement(Parser *parser, const char **at)
{
        _cleanup_free_ char *key = NULL;
        const char *value = NULL;
        bool alone;
        int r;

        r = parse_key(parser, at, &key, &alone);
        if (r < 0)
                return r;
        if (alone) {
                const Variable *variable = parser->lookup ? parser->lookup(parser->context, key) : NULL;

                if (variable)
                        variables_set(parser->loader, parser->out, key, variable->value, parser->file);
                return 0;
        }
        r = **at == '"' || **at == '\'' ? parse_quoted(parser, at, &value) : parse_unquoted(parser, at, &value);
        if (r < 0)
                return r;
        variables_set(parser->loader, parser->out, key, value, parser->file);
        return 0;
}

int dotenv_parse(Loader *loader, const char *file, const char *data, TemplateLookup lookup, const void *context,
                 Variables *out, Error **err)
{
        Parser parser = { loader, file, lookup, context, out, 1, err };
        const char *after_mark = startswith(data, "\xef\xbb\xbf");
        const char *at = after_mark ? after_mark : data;

        for (;;) {
                int r;

                at = skip_to_statement(&parser, at);
                if (!*at)
                        return 0;
                r = parse_statement(&parser, &at);
                if (r < 0)
                        return r;
        }
}

int dotenv_parse_raw(Loader *loader, const char *file, const char *data, TemplateLookup lookup, const void *context,
                     Variables *out, Error **err)
{
        Parser parser = { loader, file, lookup, context, out, 0, err };
        const char *after_mark = startswith(data, "\xef\xbb\xbf");

        for (const char *at = after_mark ? after_mark : data; *at;) {
                size_t length = strcspn(at, "\n"), kept = length;
                const char *line = at, *equals;
                _cleanup_free_ char *key = NULL;

                parser.line++;
                at += length + (at[length] == '\n');
                if (kept > 0 && line[kept - 1] == '\r')
                        kept--;
                while (kept > 0 && isspace((unsigned char)*line)) {
                        line++;
                        kept--;
                }
                if (kept == 0 || *line == '#')
                        continue;
                equals = memchr(line, '=', kept);
                key = xstrndup(line, equals ? (size_t)(equals - line) : kept);
                if (!*key)
                        return fail_line(&parser, "no variable name");
                if (strpbrk(key, " \t"))
                        return fail_line(&parser, "variable \"%s\" contains white space", key);
                if (equals) {
                        _cleanup_free_ char *value = xstrndup(equals + 1, kept - (size_t)(equals + 1 - line));
                        variables_set(loader, out, key, value, file);
                } else {
                        const Variable *variable = lookup ? lookup(context, key) : NULL;
                        if (variable)
                                variables_set(loader, out, key, variable->value, file);
                }
        }
        return 0;
}

static const Variable *lookup_in(const void *context, const char *name)
{
        return variables_get(context, name);
}

int dotenv_read_files(Loader *loader, char *const *files, const Variables *current, Variables *out, Error **err)
{
        STRV_FOREACH(file, files) {
                _cleanup_free_ char *path = path_clean(loader->working_dir, *file);
                _cleanup_strbuf_ Strbuf data = STRBUF_INIT;
                struct stat st;
                int r;

                if (stat(path, &st) < 0 && errno == ENOENT)
                        return error_set(err, ERROR_NOT_FOUND, "couldn't find env file: %s", path);
                if (fs_is_directory(path))
                        return error_set(err, ERROR_INVALID, "env file %s is a directory", path);
                r = fs_read_file(AT_FDCWD, path, LOADER_FILE_LIMIT, &data, err);
                if (r < 0)
                        return error_prefix(err, r, "env file %s", path);
                r = dotenv_parse(loader, arena_strdup(loader->arena, path), strbuf_text(&data), lookup_in, current, out,
                                 err);
                if (r < 0)
                        return r;
        }
        return 0;
}
