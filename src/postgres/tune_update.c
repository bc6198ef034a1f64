#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "postgres/tune.h"

/* Of a line: where its name and its value are. A line that sets nothing has no name. */
typedef struct Line {
        const char *name, *value, *rest; /* rest: behind the value */
        size_t name_length, value_length;
} Line;

/* "name = value # …" or "name value"; a value in quotes may hold what looks like a comment ('' and \' are quotes in it). */
static Line parse_line(const char *text, size_t length)
{
        const char *c = text, *end = text + length;
        Line line = { 0 };

        while (c < end && isspace((unsigned char)*c))
                c++;
        line.name = c;
        while (c < end && (isalnum((unsigned char)*c) || *c == '_' || *c == '.'))
                c++;
        line.name_length = (size_t)(c - line.name);
        while (c < end && (isspace((unsigned char)*c) || *c == '='))
                c++;
        line.value = c;
        if (c < end && *c == '\'') {
                for (c++; c < end && (*c != '\'' || (c + 1 < end && c[1] == '\'')); c++)
                        if ((*c == '\\' || *c == '\'') && c + 1 < end)
                                c++;
                if (c < end)
                        c++;
        } else
                while (c < end && !isspace((unsigned char)*c) && *c != '#')
                        c++;
        line.value_length = (size_t)(c - line.value);
        line.rest = c;
        if (line.value_length == 0)
                line.name_length = 0;
        return line;
}

static bool sets(const Line *line, const char *name)
{
        return line->name_length == strlen(name) && strncasecmp(line->name, name, line->name_length) == 0;
}

static const TuneSetting *find_setting(const TuneResult *result, const Line *line, size_t *ret_index)
{
        for (size_t i = 0; i < result->length; i++)
                if (sets(line, result->settings[i].name)) {
                        *ret_index = i;
                        return &result->settings[i];
                }
        return NULL;
}

static bool same_value(const Line *line, const char *value)
{
        size_t length = strlen(value), quotes = line->value_length > 1 && line->value[0] == '\'' && value[0] != '\'';

        return length == line->value_length - 2 * quotes && strncmp(line->value + quotes, value, length) == 0;
}

static void add_setting(Strbuf *text, const TuneSetting *setting)
{
        TuneResult one = { (TuneSetting *)setting, 1 };
        _cleanup_free_ char *line = tune_to_configuration(&one);

        strbuf_adds(text, line);
}

char *tune_update(const char *text, const TuneResult *result, char ***ret_changes)
{
        _cleanup_free_ bool *seen = xnew_array(bool, result->length + 1);
        Strbuf changed = STRBUF_INIT;

        for (const char *start = text, *next; *start; start = next) {
                size_t length = strcspn(start, "\n"), index = 0;
                Line line = parse_line(start, length);
                const TuneSetting *setting = find_setting(result, &line, &index);

                next = start + length + (start[length] == '\n');
                if (setting)
                        seen[index] = true;
                if (!setting || same_value(&line, setting->value)) {
                        strbuf_add(&changed, start, (size_t)(next - start));
                        continue;
                }
                strv_addf(ret_changes, "%s: %.*s -> %s (%s)", setting->name, (int)line.value_length, line.value,
                          setting->value, setting->reason);
                add_setting(&changed, setting);
        }
        if (changed.length > 0 && changed.data[changed.length - 1] != '\n')
                strbuf_addc(&changed, '\n');
        for (size_t i = 0; i < result->length; i++) {
                if (seen[i])
                        continue;
                strv_addf(ret_changes, "%s: %s (%s)", result->settings[i].name, result->settings[i].value,
                          result->settings[i].reason);
                add_setting(&changed, &result->settings[i]);
        }
        return strbuf_take(&changed);
}
