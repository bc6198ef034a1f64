#include "postgres/migrate/seed.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/strv.h"
#include "postgres/migrate/script.h"

static int run_seed(MigrateState *state, const char *folder, const char *file, Error **err)
{
        const MigrationSource source = { .folder = (char *)folder };
        _cleanup_free_ char *path = path_join(folder, file);
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        Script script = { .path = path, .noun = "seed" };
        int r = migration_source_read(&source, file, &sql, err);

        if (r == 0)
                r = script_run(state, &script, strbuf_text(&sql), err);
        /* What a dump sets for its own load is not for the next file. */
        return r < 0 ? r : migrate_state_execute(state, "RESET ALL", NULL, NULL, err);
}

static void tell_done(const MigrateLog *log, const char *file, int64_t duration_ns)
{
        const MigrateStep step = { .up = true, .file = file, .name = file };
        _cleanup_free_ char *line = NULL, *duration = format_duration(duration_ns);

        if (log->step) {
                log->step(log->context, MIGRATE_DONE, &step, duration_ns);
                return;
        }
        line = xasprintf("%s (%s)", file, duration);
        log->line(log->context, line);
}

static int list_seeds(const char *folder, char ***ret, Error **err)
{
        _cleanup_strv_ char **files = NULL;
        int r = fs_list_directory(AT_FDCWD, folder, &files, err);

        if (r < 0)
                return r;
        STRV_FOREACH(file, files)
                if (endswith(*file, ".sql") && **file != '.')
                        strv_add(ret, *file);
        return *ret ? 0 : error_set(err, ERROR_NOT_FOUND, "no *.sql file is in %s", folder);
}

int seed_run(MigrateState *state, const char *folder, int lock_timeout_ms, const MigrateLog *log, Error **err)
{
        _cleanup_strv_ char **files = NULL;
        int r = list_seeds(folder, &files, err);

        if (r == 0)
                r = migrate_state_lock(state, lock_timeout_ms, err);
        for (char **file = files; r == 0 && *file && !(state->stop && *state->stop); file++) {
                int64_t start = clock_monotonic_ns();

                r = run_seed(state, folder, *file, err);
                if (r == 0)
                        tell_done(log, *file, clock_monotonic_ns() - start);
        }
        migrate_state_unlock(state, NULL);
        return r;
}
