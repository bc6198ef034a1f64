/* A listing: rows that are JSON objects, shown as a table, as JSON, or by a template such as '{{.Name}}\t{{.State}}'.
 */
#ifndef BERTH_CLI_OUTPUT_LISTING_H
#define BERTH_CLI_OUTPUT_LISTING_H

#include <jansson.h>

#include "base/error.h"

typedef struct ListingColumn {
        const char *heading; /* "NAME"; NULL ends a table */
        const char *key;     /* of the object */
        bool flexible;       /* gives way first on a narrow terminal */
        bool spare;          /* is left out there where the flexible ones would be cut too short */
} ListingColumn;

typedef enum ListingJson {
        LISTING_LINES, /* an object a line */
        LISTING_ARRAY, /* one array */
} ListingJson;

/* format: NULL or "table", "json", "table TEMPLATE", or a template of Go's kind, of which {{.Key}}, {{json .}} and
 * {{json .Key}} are understood (ERROR_USAGE for more). rows is an array and stays the caller's. */
int listing_print(const json_t *rows, const ListingColumn *columns, const char *format, ListingJson json, Error **err);

/* A cell's text: strings as they are, numbers and booleans printed, lists joined; owned by the caller. */
char *json_cell(const json_t *value);

#endif
