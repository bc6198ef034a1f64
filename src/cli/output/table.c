#include "cli/output/table.h"

#include <stdarg.h>

#include "base/strv.h"
#include "base/vector.h"
#include "cli/output/color.h"

#define GAP       3
#define NARROWEST 8

struct Table {
        char **headings;
        size_t n_columns;
        VECTOR(char **) rows;
        unsigned flexible; /* a bit a column */
};

Table *table_create(const char *first_heading, ...)
{
        Table *table = xnew(Table);
        va_list arguments;

        va_start(arguments, first_heading);
        for (const char *heading = first_heading; heading; heading = va_arg(arguments, const char *))
                strv_add(&table->headings, heading);
        va_end(arguments);
        table->n_columns = strv_length(table->headings);
        return table;
}

void table_add_heading(Table *table, const char *heading)
{
        strv_add(&table->headings, heading);
        table->n_columns++;
}

void table_free(Table *table)
{
        if (!table)
                return;
        VECTOR_FOREACH(row, &table->rows)
                strv_free(*row);
        vector_done(&table->rows);
        strv_free(table->headings);
        free(table);
}

void table_add(Table *table, const char *const *cells)
{
        char **row = NULL;

        for (size_t i = 0; i < table->n_columns; i++)
                strv_add(&row, cells[i] ?: "");
        vector_add(&table->rows, row);
}

size_t table_length(const Table *table)
{
        return table->rows.length;
}

void table_set_flexible(Table *table, size_t column)
{
        table->flexible |= 1u << column;
}

static void measure(const Table *table, size_t *widths)
{
        for (size_t i = 0; i < table->n_columns; i++) {
                widths[i] = text_width(table->headings[i]);
                VECTOR_FOREACH(row, &table->rows)
                        widths[i] = MAX(widths[i], text_width((*row)[i]));
        }
}

static size_t total_width(const Table *table, const size_t *widths)
{
        size_t total = GAP * (table->n_columns - 1);

        for (size_t i = 0; i < table->n_columns; i++)
                total += widths[i];
        return total;
}

static void shrink_to(const Table *table, size_t *widths, size_t available, unsigned candidates)
{
        while (total_width(table, widths) > available) {
                size_t widest = table->n_columns;

                for (size_t i = 0; i < table->n_columns; i++)
                        if (candidates & 1u << i &&
                            widths[i] > MAX((size_t)NARROWEST, text_width(table->headings[i])) &&
                            (widest == table->n_columns || widths[i] > widths[widest]))
                                widest = i;
                if (widest == table->n_columns)
                        return;
                widths[widest]--;
        }
}

static void print_row(const Table *table, char *const *cells, const size_t *widths, FILE *stream)
{
        size_t used = table->n_columns;

        while (used > 0 && !*cells[used - 1])
                used--;
        for (size_t i = 0; i < used; i++) {
                _cleanup_free_ char *cell = text_shorten(cells[i], widths[i]);
                size_t padding = widths[i] - text_width(cell) + GAP;

                fprintf(stream, "%s%*s", cell, i + 1 < used ? (int)padding : 0, "");
        }
        fputc('\n', stream);
}

void table_print(const Table *table, FILE *stream)
{
        _cleanup_free_ size_t *widths = xnew_array(size_t, table->n_columns);

        measure(table, widths);
        if (stream_is_terminal(stream))
                shrink_to(table, widths, terminal_width(stream), table->flexible);
        print_row(table, table->headings, widths, stream);
        VECTOR_FOREACH(row, &table->rows)
                print_row(table, *row, widths, stream);
}
