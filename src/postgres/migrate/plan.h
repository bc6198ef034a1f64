/* What a command would do, as a pure function of the files and the database's version. */
#ifndef BERTH_POSTGRES_MIGRATE_PLAN_H
#define BERTH_POSTGRES_MIGRATE_PLAN_H

#include "postgres/migrate/source.h"

#define MIGRATE_NIL_VERSION (-1)
#define MIGRATE_ALL         (-1)

typedef struct MigrateStep {
        uint64_t version;
        int64_t target; /* the version the database has afterwards; -1: none */
        bool up;
        const char *file; /* borrowed from the source; NULL: the half is missing, only the version moves */
        const char *name; /* "<empty>" where there is no file */
} MigrateStep;

typedef struct MigratePlan {
        VECTOR(MigrateStep) steps;
        bool no_change;
        /* What is reported after the steps have been carried out; NULL: nothing. */
        char *failure; /* "file does not exist", "limit 2 short", "first .: file does not exist" */
} MigratePlan;

void migrate_plan_done(MigratePlan *plan);
#define _cleanup_migrate_plan_ _cleanup_(migrate_plan_done)

/* current -1: nothing applied. limit MIGRATE_ALL or how many. ERROR_NOT_FOUND: the database's version is not in the
 * source ("no migration found for version V: …"); nothing is planned then. */
int migrate_plan_up(const MigrationSource *source, int64_t current, int64_t limit, MigratePlan *ret, Error **err);
int migrate_plan_down(const MigrationSource *source, int64_t current, int64_t limit, MigratePlan *ret, Error **err);
int migrate_plan_goto(const MigrationSource *source, int64_t current, uint64_t version, MigratePlan *ret, Error **err);

#endif
