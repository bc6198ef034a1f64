/* Rows under headings, columns three spaces apart as docker prints them; or an object per row. */
#ifndef BERTH_CLI_OUTPUT_TABLE_H
#define BERTH_CLI_OUTPUT_TABLE_H

#include <stdio.h>

#include "base/macros.h"

typedef struct Table Table;

/* headings: "NAME", "IMAGE", …; end with NULL. */
Table *table_create(const char *first_heading, ...) __attribute__((sentinel));
/* Before the first row. */
void table_add_heading(Table *table, const char *heading);
void table_free(Table *table);
DEFINE_CLEANUP(Table, table_free);

/* A row of as many cells as there are headings, copied; NULL is empty. */
void table_add(Table *table, const char *const *cells);
#define table_add_row(table, ...) table_add((table), (const char *const[]){ __VA_ARGS__ })
size_t table_length(const Table *table);
/* On a terminal this column gives way where a row is too wide. */
void table_set_flexible(Table *table, size_t column);
/* On a terminal that is too narrow even then, this column is left out; the last of several first. */
void table_set_spare(Table *table, size_t column);
void table_print(const Table *table, FILE *stream);

#endif
