/* What the command says: lines of golang-migrate's words on stderr, or, for programs, JSON on stdout, an object a line:
 *
 *      {"event": "plan"|"begin"|"done", "version": n, "direction": "up"|"down", "name": …, "file": …, "ms": n}
 *      {"event": "note"|"warning", "message": …}
 *      {"event": "status", "version": n, "name": …, "state": …, "file": …, "applied_at": …}
 *      {"event": "version", "version": n|null, "dirty": bool}
 *      {"error": {"kind", "message", "hint", "file", "line", "column", "sqlstate"}}    the end, with exit status 1 */
#ifndef BERTH_POSTGRES_MIGRATE_OUTPUT_H
#define BERTH_POSTGRES_MIGRATE_OUTPUT_H

#include "postgres/migrate/run.h"
#include "postgres/migrate/status.h"

typedef struct Output {
        bool json, verbose;
} Output;

/* A log that tells through output, which it borrows. */
MigrateLog output_log(const Output *output);
void output_line(const Output *output, const char *text);
void output_error(const Output *output, const Error *error);
void output_status(const Output *output, const MigrationStatuses *statuses);
/* -1: none */
void output_version(const Output *output, int64_t version, bool dirty);

#endif
