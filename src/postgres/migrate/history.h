/* What was applied, file by file, in the table berth.migrations of the database itself, so that it travels with dumps
 * and base backups. golang-migrate knows nothing of it: what that tool does meanwhile is taken over at the next lock.
 *
 *      state_table text      "schema"."table" of the one-row table, quoted
 *      version bigint        of the migration; primary key with state_table
 *      name text, checksum text      SHA-256 of the up file, CRLF read as LF, without a byte order mark; NULL: no file
 *      applied_at timestamptz
 *      adopted boolean       found applied: by another tool, so the time is when that was noticed */
#ifndef BERTH_POSTGRES_MIGRATE_HISTORY_H
#define BERTH_POSTGRES_MIGRATE_HISTORY_H

#include "postgres/migrate/plan.h"
#include "postgres/migrate/state.h"

typedef struct MigrationRecord {
        uint64_t version;
        char *name;
        char *checksum;   /* NULL */
        char *applied_at; /* "2026-11-21T12:00:00Z" */
        bool adopted;
} MigrationRecord;

typedef struct MigrationHistory {
        VECTOR(MigrationRecord) records; /* by version */
        bool exists;
        bool writable; /* changes are noted */
} MigrationHistory;

void migration_history_done(MigrationHistory *history);
#define _cleanup_migration_history_ _cleanup_(migration_history_done)

/* 64 hexadecimal digits; the caller's. */
char *migration_checksum(const Strbuf *text);
const MigrationRecord *migration_history_find(const MigrationHistory *history, uint64_t version); /* NULL */

/* Reads it; what may not be read is as if it were not there. */
int migration_history_load(MigrateState *state, MigrationHistory *ret, Error **err);
/* The same under the lock: made where it is absent and make is set (a user who may not does without), and brought up to
 * date with the version that the database has: what another tool took back is forgotten, what it applied is adopted. */
int migration_history_open(MigrateState *state, const MigrationSource *source, int64_t current, bool make,
                           MigrationHistory *ret, Error **err);
/* SQL that notes a step which is done; checksum NULL: its half was missing. Owned by the caller; NULL where nothing is
 * noted. */
char *migration_history_note(MigrateState *state, const MigrationHistory *history, const MigrateStep *step,
                             const char *checksum);

#endif
