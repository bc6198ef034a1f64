/* What has been applied and what has not: files beside the database's version and its history. */
#ifndef BERTH_POSTGRES_MIGRATE_STATUS_H
#define BERTH_POSTGRES_MIGRATE_STATUS_H

#include "postgres/migrate/history.h"

typedef enum MigrationCondition {
        MIGRATION_APPLIED,
        MIGRATION_PENDING,
        MIGRATION_DIRTY,        /* it failed half-way: its version is marked */
        MIGRATION_CHANGED,      /* applied, and its file is another one now */
        MIGRATION_OUT_OF_ORDER, /* its file came after later ones had been applied: up passes over it */
        MIGRATION_MISSING,      /* applied, and its file is gone */
        _MIGRATION_CONDITION_MAX,
} MigrationCondition;

typedef struct MigrationStatus {
        uint64_t version;
        MigrationCondition condition;
        const char *name;       /* borrowed from source or history */
        const char *file;       /* of the up half; NULL */
        const char *applied_at; /* NULL: not applied, or not known */
} MigrationStatus;

typedef VECTOR(MigrationStatus) MigrationStatuses;

/* "applied", "pending", "dirty", "changed", "out of order", "missing" */
const char *migration_condition_name(MigrationCondition condition);
/* By version. Reads the files of applied migrations. Where history does not exist, whatever is not later than current
 * counts as applied. The caller frees ret with vector_done. */
int migration_status(const MigrationSource *source, const MigrationHistory *history, int64_t current, bool dirty,
                     MigrationStatuses *ret, Error **err);

#endif
