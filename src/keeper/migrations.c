#include "keeper/migrations.h"

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/readiness.h"
#include "operate/migration.h"
#include "postgres/migrate/source.h"
#include "state/document.h"

#define READY_POLL_MS  20
#define READY_LIMIT_NS (10 * 60 * NSEC_PER_SEC)

static XBerth settings_of(const PlanMigration *migration)
{
        return (XBerth){ .migrations_table = migration->table,
                         .migrations_lock_timeout_ns = migration->lock_timeout_ns };
}

static int run(const Layout *layout, const ContainerInfo *info, const PlanAction *action, const char *verb,
               MigrationEvent event, void *context, int cancel_fd, Error **err)
{
        const PlanMigration *migration = &action->migration;
        char *arguments[] = { (char *)verb, NULL };
        XBerth settings = settings_of(migration);
        MigrationCommand command = { .layout = layout,
                                     .container = info,
                                     .settings = &settings,
                                     .folder = migration->folder,
                                     .role = migration->role,
                                     .role_password = json_get_string(action->task, "password", NULL),
                                     .arguments = arguments };

        return migration_run(&command, event, context, cancel_fd, err);
}

/* ---- before ---- */

static const ContainerInfo *find_running(const Preparation *preparation, const char *service)
{
        for (size_t i = 0; i < preparation->found.containers.length; i++) {
                const ContainerInfo *info = preparation->found.containers.items[i];
                if (!info->oneoff && streq_ptr(info->service, service) && info->state == CONTAINER_RUNNING)
                        return info;
        }
        return NULL;
}

static void add_pending(void *context, const json_t *event)
{
        char ***pending = context;

        if (streq(json_get_string(event, "state", ""), "pending"))
                strv_addf(pending, "%lld_%s", (long long)json_get_int(event, "version", 0),
                          json_get_string(event, "name", ""));
}

static void add_files(const MigrationSource *source, char ***pending)
{
        VECTOR_FOREACH(migration, &source->migrations)
                strv_addf(pending, "%llu_%s", (unsigned long long)migration->version,
                          migration->up.file ? migration->up.name : migration->down.name);
}

/* What would run, as far as it can be known: a server that does not run now cannot be asked what it has. */
static char *describe(const Preparation *preparation, const PlanAction *action, const MigrationSource *source)
{
        const ContainerInfo *info = find_running(preparation, action->service);
        _cleanup_error_ Error *error = NULL;
        _cleanup_strv_ char **pending = NULL;
        _cleanup_free_ char *names = NULL;

        if (info && run(preparation->parts.layout, info, action, "status", add_pending, &pending, -1, &error) < 0)
                return xasprintf("what is pending cannot be told: %s", error->message);
        if (!info)
                add_files(source, &pending);
        names = strv_join(pending, ", ");
        if (!pending)
                return xasprintf("no migration is pending");
        return info ? xasprintf("pending: %s", names) : xasprintf("what it lacks of: %s (it does not run now)", names);
}

static void keep_password(PlanAction *action, const Project *project, const Service *service)
{
        _cleanup_(free_secretp) char *password = migration_role_password(project, service);

        if (password)
                action->task = json_pack("{s:s}", "password", password);
}

static int find_migration(Preparation *preparation, PlanAction *action, Error **err)
{
        const Project *project = preparation->project;
        const Service *service = project_find_service(project, action->service);
        Arena *arena = preparation->plan->arena;
        _cleanup_migration_source_ MigrationSource source = { 0 };
        _cleanup_free_ char *folder = NULL, *reason = NULL;
        XBerth settings = preparation_settings(preparation, service);
        int r;

        r = migration_find_folder(project->working_dir, &settings, false, &folder, err);
        if (r == 0)
                r = error_prefix(err, migration_source_open(folder, &source, err), "migrations in %s", folder);
        if (r < 0)
                return error_prefix(err, r, "service \"%s\"", action->service);
        action->migration = (PlanMigration){ .folder = arena_strdup(arena, folder),
                                             .table = arena_strdup(arena, settings.migrations_table),
                                             .role = arena_strdup(arena, migration_role(project, service)),
                                             .lock_timeout_ns = settings.migrations_lock_timeout_ns };
        if (!json_get_bool(preparation->params, "dry_run", false))
                keep_password(action, project, service);
        else {
                reason = describe(preparation, action, &source);
                action->reason = arena_strdup(arena, reason);
        }
        return 0;
}

int preparation_find_migrations(Preparation *preparation, Error **err)
{
        for (size_t i = 0; i < preparation->plan->actions.length; i++) {
                PlanAction *action = plan_at(preparation->plan, i);
                int r = action->verb == PLAN_MIGRATE ? find_migration(preparation, action, err) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the step ---- */

/* A database without a health check counts as healthy as soon as it runs: its server's own word is waited for. */
int database_wait_until_ready(const Step *step, const ContainerInfo *info, Error **err)
{
        _cleanup_free_ char *path = readiness_path(info);
        int64_t deadline = clock_monotonic_ns() + READY_LIMIT_NS;

        while (path && !readiness_reached(path) && clock_monotonic_ns() < deadline) {
                struct pollfd poller = { .fd = step->progress.progress.cancel_fd, .events = POLLIN };

                if (poll(&poller, 1, READY_POLL_MS) > 0)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (kill(info->pid, 0) < 0)
                        return error_set(err, ERROR_FAILED, "container %s ended before it was ready", info->name);
        }
        return 0;
}

static void tell(void *context, const json_t *event)
{
        const Step *step = context;
        const EngineProgress *progress = &step->progress.progress;
        const char *kind = json_get_string(event, "event", "");
        _cleanup_free_ char *name = NULL, *text = NULL;

        if (streq(kind, "warning")) {
                text = xasprintf("service \"%s\": %s", step->action->service, json_get_string(event, "message", ""));
                progress->warning(progress->context, text);
        } else if (streq(kind, "begin") || streq(kind, "done")) {
                name = xasprintf("%s/%lld_%s", step->action->service, (long long)json_get_int(event, "version", 0),
                                 json_get_string(event, "name", ""));
                request_progress_resource(&step->progress, "migration", name,
                                          streq(kind, "done") ? "applied" : "applying", NULL);
        }
}

int migrate_container(Step *step, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        int r;

        if (!step->id)
                return error_set(err, ERROR_FAILED, "service \"%s\" does not run: its migrations cannot",
                                 step->action->service);
        r = step->engine->operations->container_inspect(step->engine, step->id, &info, err);
        if (r >= 0)
                r = database_wait_until_ready(step, info, err);
        if (r >= 0)
                r = run(step->layout, info, step->action, "up", tell, step, step->progress.progress.cancel_fd, err);
        return error_prefix(err, r, "service \"%s\"", step->action->service);
}
