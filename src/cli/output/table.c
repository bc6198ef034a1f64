#include "cli/output/table.h"

#include <stdarg.h>
#include <string.h>

#include "base/strv.h"
#include "base/vector.h"
#include "cli/output/color.h"

#define GAP       3
#define NARROWEST 8
#define READABLE  16 /* narrower than that a name says little */

struct Table {
        char **headings;
        size_t n_columns;
        VECTOR(char **) rows;
        unsigned flexible, spare; /* a bit a column */
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

void table_set_spare(Table *table, size_t column)
{
        table->spare |= 1u << column;
}

/* On a stream: how wide each column is, and which are left out. */
typedef struct Shape {
        size_t *widths;
        unsigned without;
} Shape;

static void measure(const Table *table, size_t *widths)
{
        for (size_t i = 0; i < table->n_columns; i++) {
                widths[i] = text_width(table->headings[i]);
                VECTOR_FOREACH(row, &table->rows)
                        widths[i] = MAX(widths[i], text_width((*row)[i]));
        }
}

static size_t total_width(const Table *table, const Shape *shape)
{
        size_t total = 0;

        for (size_t i = 0; i < table->n_columns; i++)
                if (!(shape->without & 1u << i))
                        total += shape->widths[i] + (total ? GAP : 0);
        return total;
}

static size_t narrowest(const Table *table, size_t column)
{
        return MAX((size_t)NARROWEST, text_width(table->headings[column]));
}

static void shrink_to(const Table *table, const Shape *shape, size_t available)
{
        unsigned candidates = table->flexible & ~shape->without;
        size_t *widths = shape->widths;

        while (total_width(table, shape) > available) {
                size_t widest = table->n_columns;

                for (size_t i = 0; i < table->n_columns; i++)
                        if (candidates & 1u << i && widths[i] > narrowest(table, i) &&
                            (widest == table->n_columns || widths[i] > widths[widest]))
                                widest = i;
                if (widest == table->n_columns)
                        return;
                widths[widest]--;
        }
}

/* It fits, and nothing that is wanted most had to be cut too short. */
static bool is_readable(const Table *table, const Shape *shape, const size_t *wanted, size_t available)
{
        for (size_t i = 0; i < table->n_columns; i++)
                if (table->flexible & ~table->spare & 1u << i && shape->widths[i] < MIN(wanted[i], (size_t)READABLE))
                        return false;
        return total_width(table, shape) <= available;
}

/* Leaves spare columns out, the last one first, for as long as the others have no room. */
static void fit(const Table *table, Shape *shape, size_t available)
{
        _cleanup_free_ size_t *wanted = xnew_array(size_t, table->n_columns);

        memcpy(wanted, shape->widths, table->n_columns * sizeof(size_t));
        shrink_to(table, shape, available);
        for (size_t i = table->n_columns; i-- > 0 && !is_readable(table, shape, wanted, available);)
                if (table->spare & 1u << i) {
                        shape->without |= 1u << i;
                        memcpy(shape->widths, wanted, table->n_columns * sizeof(size_t));
                        shrink_to(table, shape, available);
                }
}

static void print_row(const Table *table, char *const *cells, const Shape *shape, FILE *stream)
{
        size_t used = table->n_columns;

        while (used > 0 && (!*cells[used - 1] || shape->without & 1u << (used - 1)))
                used--;
        for (size_t i = 0; i < used; i++) {
                _cleanup_free_ char *cell = text_shorten(cells[i], shape->widths[i]);
                size_t padding = shape->widths[i] - text_width(cell) + GAP;

                if (shape->without & 1u << i)
                        continue;
                fprintf(stream, "%s%*s", cell, i + 1 < used ? (int)padding : 0, "");
        }
        fputc('\n', stream);
}

void table_print(const Table *table, FILE *stream)
{
        _cleanup_free_ size_t *widths = xnew_array(size_t, table->n_columns);
        Shape shape = { .widths = widths };

        measure(table, widths);
        if (stream_is_terminal(stream))
                fit(table, &shape, terminal_width(stream));
        print_row(table, table->headings, &shape, stream);
        VECTOR_FOREACH(row, &table->rows)
                print_row(table, *row, &shape, stream);
}
