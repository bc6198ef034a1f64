/* A file of SQL, sent to the server as one simple query: one transaction, unless it has its own. */
#ifndef BERTH_POSTGRES_MIGRATE_SCRIPT_H
#define BERTH_POSTGRES_MIGRATE_SCRIPT_H

#include "postgres/migrate/state.h"

typedef struct Script {
        const char *path;     /* of the file: the place of an error */
        const char *noun;     /* "migration", "seed": the subject of the message */
        bool multi_statement; /* a statement at a time, without the implicit transaction */
} Script;

/* ERROR_FAILED with the message of the server, the failing statement alone, and its place in the error's file, line and
 * column. A text that begins a transaction and does not end it is rolled back and refused. Blank texts do nothing. */
int script_run(MigrateState *state, const Script *script, const char *sql, Error **err);

#endif
