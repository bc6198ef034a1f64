#include "cli/output/listing.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "cli/output/table.h"
#include "state/document.h"

char *json_cell(const json_t *value)
{
        if (!value || json_is_null(value))
                return xstrdup("");
        if (json_is_string(value))
                return xstrdup(json_string_value(value));
        if (json_is_array(value)) {
                _cleanup_strv_ char **parts = NULL;
                size_t i;
                json_t *item;

                json_array_foreach(value, i, item)
                        strv_take(&parts, json_cell(item));
                return parts ? strv_join(parts, ", ") : xstrdup("");
        }
        return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* ---- templates ---- */

static int template_error(const char *expression, Error **err)
{
        return error_hint(err, error_set(err, ERROR_USAGE, "--format: \"{{%s}}\" is not understood", expression),
                          "Understood are table, json, {{.Key}}, {{json .}} and {{json .Key}}.");
}

static int add_expression(Strbuf *line, const json_t *row, const char *expression, Error **err)
{
        const char *rest = startswith(expression, "json "), *path = rest ?: expression;
        const json_t *value = row;
        _cleanup_free_ char *text = NULL;

        while (*path == ' ')
                path++;
        if (*path != '.' || strpbrk(path, " |()\""))
                return template_error(expression, err);
        if (path[1]) {
                value = json_object_get(row, path + 1);
                if (!value)
                        return error_hint(err,
                                          error_set(err, ERROR_USAGE, "--format: there is no field \"%s\"", path + 1),
                                          "\"--format json\" shows all fields.");
        }
        text = rest ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : json_cell(value);
        strbuf_adds(line, text);
        return 0;
}

static int expand(Strbuf *line, const json_t *row, const char *template, Error **err)
{
        while (*template) {
                const char *open = strstr(template, "{{"), *close = open ? strstr(open, "}}") : NULL;
                const char *end = close ? open : template + strlen(template);
                _cleanup_free_ char *expression = NULL;
                size_t length;
                int r;

                for (; template <end; template ++) {
                        if (template[0] == '\\' && (template[1] == 't' || template[1] == 'n'))
                                strbuf_addc(line, *++template == 't' ? '\t' : '\n');
                        else
                                strbuf_addc(line, *template);
                }
                if (!close)
                        break;
                for (open += 2; *open == ' '; open++)
                        ;
                for (length = (size_t)(close - open); length > 0 && open[length - 1] == ' '; length--)
                        ;
                expression = xstrndup(open, length);
                r = add_expression(line, row, expression, err);
                if (r < 0)
                        return r;
                template = close + 2;
        }
        return 0;
}

static int print_template(const json_t *rows, const char *template, Error **err)
{
        size_t i;
        json_t *row;

        json_array_foreach(rows, i, row) {
                _cleanup_strbuf_ Strbuf line = STRBUF_INIT;
                int r = expand(&line, row, template, err);

                if (r < 0)
                        return r;
                printf("%s\n", strbuf_text(&line));
        }
        return 0;
}

static void print_json(const json_t *rows, ListingJson style)
{
        size_t i;
        json_t *row;

        if (style == LISTING_ARRAY) {
                _cleanup_free_ char *text = json_dumps(rows, JSON_COMPACT);

                printf("%s\n", text);
                return;
        }
        json_array_foreach(rows, i, row) {
                _cleanup_free_ char *text = json_dumps(row, JSON_COMPACT);

                printf("%s\n", text);
        }
}

static void print_table(const json_t *rows, const ListingColumn *columns)
{
        _cleanup_(table_freep) Table *table = table_create(NULL, NULL);
        size_t i, n_columns = 0;
        json_t *row;

        for (; columns[n_columns].heading; n_columns++) {
                table_add_heading(table, columns[n_columns].heading);
                if (columns[n_columns].flexible)
                        table_set_flexible(table, n_columns);
                if (columns[n_columns].spare)
                        table_set_spare(table, n_columns);
        }
        json_array_foreach(rows, i, row) {
                _cleanup_strv_ char **cells = NULL;

                for (size_t c = 0; c < n_columns; c++)
                        strv_take(&cells, json_cell(json_object_get(row, columns[c].key)));
                table_add(table, (const char *const *)cells);
        }
        table_print(table, stdout);
}

int listing_print(const json_t *rows, const ListingColumn *columns, const char *format, ListingJson json, Error **err)
{
        const char *template = format ? startswith(format, "table ") : NULL;

        if (!format || streq(format, "table"))
                print_table(rows, columns);
        else if (streq(format, "json"))
                print_json(rows, json);
        else if (template || strstr(format, "{{"))
                return print_template(rows, template ?: format, err);
        else
                return error_hint(err,
                                  error_set(err, ERROR_USAGE,
                                            "--format: \"%s\" is neither table nor json nor a template", format),
                                  "Write --format json, or a template such as '{{.Name}}'.");
        return 0;
}
