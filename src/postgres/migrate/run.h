/* Carrying migrations out. */
#ifndef BERTH_POSTGRES_MIGRATE_RUN_H
#define BERTH_POSTGRES_MIGRATE_RUN_H

#include "postgres/migrate/history.h"
#include "postgres/migrate/plan.h"
#include "postgres/migrate/state.h"

typedef enum MigrateMoment { MIGRATE_PLANNED, MIGRATE_BEGINS, MIGRATE_DONE } MigrateMoment;

/* What is told while it goes on: lines for people in golang-migrate's words, or, where `step` is given, each step as
 * data instead of its line. */
typedef struct MigrateLog {
        void *context;
        void (*line)(void *context, const char *text); /* without newline */
        void (*step)(void *context, MigrateMoment moment, const MigrateStep *step, int64_t duration_ns);
        void (*warning)(void *context, const char *text);
        bool verbose;
} MigrateLog;

typedef enum MigrateCommand { MIGRATE_UP, MIGRATE_DOWN, MIGRATE_GOTO } MigrateCommand;

typedef struct MigrateRequest {
        MigrateCommand command;
        int64_t limit;    /* up and down: how many, MIGRATE_ALL */
        uint64_t version; /* goto */
        int lock_timeout_ms;
        bool multi_statement;
        bool dry_run;       /* tell the plan and do nothing */
        bool history;       /* note what is applied (history.h), even where nothing is noted yet */
        int64_t started_ns; /* of the clock's monotonic time */
} MigrateRequest;

/* Locks, plans, runs and unlocks. "no change" is told and is success. A dirty database is refused. The failing
 * statement of a migration is in the message, its place in the error's file, line and column. Where there is a history,
 * `up` warns of files that came too late and of applied ones that have changed. */
int migrate_run(MigrateState *state, const MigrationSource *source, const MigrateRequest *request,
                const MigrateLog *log, Error **err);
/* "3/u name"; the caller's. */
char *migrate_step_title(const MigrateStep *step);
/* Sets the version without running anything. */
int migrate_force(MigrateState *state, int64_t version, int lock_timeout_ms, Error **err);
int migrate_drop(MigrateState *state, int lock_timeout_ms, Error **err);

#endif
