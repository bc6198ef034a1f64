#include "postgres/migrate/run.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/parse.h"
#include "postgres/migrate/script.h"
#include "postgres/migrate/status.h"

static void tell(const MigrateLog *log, const char *format, ...) _printf_(2, 3);
static void tell(const MigrateLog *log, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        log->line(log->context, text);
}

char *migrate_step_title(const MigrateStep *step)
{
        return xasprintf("%" PRIu64 "/%c %s", step->version, step->up ? 'u' : 'd', step->name);
}

/* *ret_checksum is the caller's. */
static int run_file(MigrateState *state, const MigrationSource *source, const MigrateStep *step, bool multi_statement,
                    char **ret_checksum, Error **err)
{
        _cleanup_free_ char *path = path_join(source->folder, step->file);
        Script script = { .path = path, .noun = "migration", .multi_statement = multi_statement };
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r = migration_source_read(source, step->file, &sql, err);

        if (r < 0)
                return r;
        *ret_checksum = migration_checksum(&sql);
        return script_run(state, &script, strbuf_text(&sql), err);
}

static void tell_begin(const MigrateLog *log, const MigrateStep *step)
{
        _cleanup_free_ char *title = migrate_step_title(step);

        if (log->step)
                log->step(log->context, MIGRATE_BEGINS, step, 0);
        else if (log->verbose && step->file)
                tell(log, "Read and execute %s", title);
}

static void tell_done(const MigrateLog *log, const MigrateStep *step, int64_t duration_ns)
{
        _cleanup_free_ char *title = migrate_step_title(step), *duration = format_duration(duration_ns);

        if (log->step)
                log->step(log->context, MIGRATE_DONE, step, duration_ns);
        else if (log->verbose)
                tell(log, "Finished %s (read 0s, ran %s)", title, duration);
        else
                tell(log, "%s (%s)", title, duration);
}

/* The migrations' own commits need not wait for the disk: the mark that says they are done does, and it comes later in
 * the same log. So each is durable when it is told, for one wait. */
static int relax_commits(MigrateState *state, bool relax, Error **err)
{
        return migrate_state_execute(state, relax ? "SET synchronous_commit = off" : "RESET synchronous_commit", NULL,
                                     NULL, err);
}

static bool must_stop(const MigrateState *state)
{
        return state->stop && *state->stop;
}

typedef struct Run {
        MigrateState *state;
        const MigrationSource *source;
        const MigrateRequest *request;
        const MigrateLog *log;
        const MigrationHistory *history;
} Run;

/* Marks it clean, and the next one (NULL: none) dirty. */
static int finish_step(const Run *run, const MigrateStep *step, const MigrateStep *next, const char *checksum,
                       Error **err)
{
        _cleanup_free_ char *note = migration_history_note(run->state, run->history, step, checksum);

        return next ? migrate_state_advance(run->state, step->target, next->target, note, err)
                    : migrate_state_set(run->state, step->target, false, note, err);
}

static int carry_out(const Run *run, const MigratePlan *plan, Error **err)
{
        MigrateState *state = run->state;
        bool marked = false;
        int r = 0;

        for (size_t i = 0; i < plan->steps.length && !must_stop(state); i++) {
                const MigrateStep *step = &plan->steps.items[i];
                _cleanup_free_ char *checksum = NULL;
                int64_t start = clock_monotonic_ns();

                tell_begin(run->log, step);
                if (!marked)
                        r = migrate_state_set(state, step->target, true, NULL, err);
                if (r == 0 && step->file)
                        r = run_file(state, run->source, step, run->request->multi_statement, &checksum, err);
                if (r < 0)
                        return r;
                marked = i + 1 < plan->steps.length && !must_stop(state);
                r = finish_step(run, step, marked ? step + 1 : NULL, checksum, err);
                if (r < 0)
                        return r;
                tell_done(run->log, step, clock_monotonic_ns() - start);
                /* The signal came while the next one was being marked. */
                if (marked && must_stop(state))
                        return migrate_state_set(state, step->target, false, NULL, err);
        }
        return must_stop(state) || !plan->failure ? 0 : error_set(err, ERROR_NOT_FOUND, "%s", plan->failure);
}

static int make_plan(const MigrationSource *source, const MigrateRequest *request, int64_t current, MigratePlan *ret,
                     Error **err)
{
        switch (request->command) {
        case MIGRATE_UP:
                return migrate_plan_up(source, current, request->limit, ret, err);
        case MIGRATE_DOWN:
                return migrate_plan_down(source, current, request->limit, ret, err);
        case MIGRATE_GOTO:
                return migrate_plan_goto(source, current, request->version, ret, err);
        }
        return error_set(err, ERROR_INTERNAL, "unknown migration command");
}

static void tell_plan(const MigrateLog *log, const MigratePlan *plan)
{
        VECTOR_FOREACH(step, &plan->steps) {
                _cleanup_free_ char *title = migrate_step_title(step);

                if (log->step)
                        log->step(log->context, MIGRATE_PLANNED, step, 0);
                else
                        tell(log, "would run %s%s%s", title, step->file ? ": " : "", step->file ? step->file : "");
        }
        if (plan->failure)
                tell(log, "then: error: %s", plan->failure);
}

/* What `up` passes over in silence elsewhere. */
static int warn(const Run *run, int64_t current, Error **err)
{
        MigrationStatuses statuses = { 0 };
        int r = migration_status(run->source, run->history, current, false, &statuses, err);

        for (size_t i = 0; r == 0 && run->log->warning && i < statuses.length; i++) {
                const MigrationStatus *status = &statuses.items[i];
                _cleanup_free_ char *text = NULL;

                if (status->condition == MIGRATION_OUT_OF_ORDER)
                        text = xasprintf("%s came after later migrations were applied: up passes over it, give it a "
                                         "higher number",
                                         status->file ? status->file : status->name);
                else if (status->condition == MIGRATION_CHANGED)
                        text = xasprintf("%s has changed since it was applied: what is in the database is what it was",
                                         status->file ? status->file : status->name);
                if (text)
                        run->log->warning(run->log->context, text);
        }
        vector_done(&statuses);
        return r;
}

static int run_plan(const Run *run, const MigratePlan *plan, int64_t current, Error **err)
{
        int r = run->request->command == MIGRATE_UP && run->history->exists ? warn(run, current, err) : 0;

        if (r < 0)
                return r;
        if (plan->no_change)
                tell(run->log, "no change");
        if (run->request->dry_run) {
                tell_plan(run->log, plan);
                return 0;
        }
        if (plan->steps.length > 0)
                r = relax_commits(run->state, true, err);
        return r < 0 ? r : carry_out(run, plan, err);
}

static int run_locked(MigrateState *state, const MigrationSource *source, const MigrateRequest *request,
                      const MigrateLog *log, Error **err)
{
        _cleanup_migrate_plan_ MigratePlan plan = { 0 };
        _cleanup_migration_history_ MigrationHistory history = { 0 };
        const Run run = { state, source, request, log, &history };
        int64_t current;
        bool dirty;
        int r;

        r = migrate_state_version(state, &current, &dirty, err);
        if (r < 0)
                return r;
        if (dirty)
                return error_set(err, ERROR_CONFLICT, "Dirty database version %" PRId64 ". Fix and force version.",
                                 current);
        r = make_plan(source, request, current, &plan, err);
        if (r == 0)
                r = request->dry_run ? migration_history_load(state, &history, err)
                                     : migration_history_open(state, source, current, request->history, &history, err);
        return r < 0 ? r : run_plan(&run, &plan, current, err);
}

static int lock(MigrateState *state, int timeout_ms, Error **err)
{
        int r = migrate_state_lock(state, timeout_ms, err);

        return r < 0 ? r : migrate_state_make_table(state, err);
}

int migrate_run(MigrateState *state, const MigrationSource *source, const MigrateRequest *request,
                const MigrateLog *log, Error **err)
{
        int r;

        /* Nothing to do by the command's own words: the original does not even lock. */
        if (request->command != MIGRATE_GOTO && request->limit == 0) {
                tell(log, "no change");
                return 0;
        }
        if (!request->dry_run) {
                r = lock(state, request->lock_timeout_ms, err);
                if (r < 0)
                        return r;
        }
        r = run_locked(state, source, request, log, err);
        migrate_state_unlock(state, NULL);
        return r;
}

int migrate_force(MigrateState *state, int64_t version, int lock_timeout_ms, Error **err)
{
        int r = lock(state, lock_timeout_ms, err);

        if (r == 0)
                r = migrate_state_set(state, version, false, NULL, err);
        migrate_state_unlock(state, NULL);
        return r;
}

int migrate_drop(MigrateState *state, int lock_timeout_ms, Error **err)
{
        int r = lock(state, lock_timeout_ms, err);

        if (r == 0)
                r = migrate_state_drop(state, err);
        migrate_state_unlock(state, NULL);
        return r;
}
