/* Seeds: a folder of SQL files, run in the order of their names, all of them each time. */
#ifndef BERTH_POSTGRES_MIGRATE_SEED_H
#define BERTH_POSTGRES_MIGRATE_SEED_H

#include "postgres/migrate/run.h"

/* Every *.sql of the folder is one transaction; the first that fails ends it, and those before it stay. Holds the lock of
 * migrations, so that no two run at once. ERROR_NOT_FOUND where the folder holds no such file. */
int seed_run(MigrateState *state, const char *folder, int lock_timeout_ms, const MigrateLog *log, Error **err);

#endif
