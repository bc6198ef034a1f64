#include "keeper/keeper.h"

#include <malloc.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/backups.h"
#include "keeper/budget.h"
#include "keeper/execute.h"
#include "keeper/offsite.h"
#include "keeper/request.h"
#include "keeper/schedules.h"
#include "keeper/watch.h"
#include "operate/drill.h"
#include "state/document.h"

#define IDLE_NS     (1 * NSEC_PER_SEC) /* a keeper with nothing to do ends after this */
#define ROTATION_NS (10 * NSEC_PER_SEC)
#define REPAIR_NS   (1 * NSEC_PER_SEC)

int keeper_create(const KeeperParts *parts, const char *project, Keeper **ret, Error **err)
{
        _cleanup_(keeper_freep) Keeper *keeper = xnew(Keeper);
        int r;

        keeper->parts = *parts;
        keeper->project = xstrdup(project);
        keeper->units.free_value = watch_free_unit;
        project_state_init(&keeper->state, parts->layout, project);
        keeper->backups = parts->protect ? backups_create(keeper) : NULL;
        keeper->schedules = parts->protect ? schedules_create(keeper) : NULL;
        keeper->budget = parts->protect ? budget_create(keeper) : NULL;
        keeper->offsite = parts->protect ? offsite_create(keeper) : NULL;
        r = project_state_load(&keeper->state, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(keeper);
        return 0;
}

void keeper_free(Keeper *keeper)
{
        if (!keeper)
                return;
        channel_server_free(keeper->server);
        offsite_free(keeper->offsite);
        budget_free(keeper->budget);
        schedules_free(keeper->schedules);
        backups_free(keeper->backups);
        loop_io_remove(keeper->watch_io);
        loop_timer_remove(keeper->repair_timer);
        VECTOR_FOREACH(request, &keeper->queue)
                request_free(*request);
        vector_done(&keeper->queue);
        vector_done(&keeper->followers);
        loop_timer_remove(keeper->idle_timer);
        loop_timer_remove(keeper->rotation_timer);
        loop_timer_remove(keeper->renewal_timer);
        strmap_done(&keeper->units);
        project_state_done(&keeper->state);
        free(keeper->takeover_error);
        strv_free(keeper->released);
        strv_free(keeper->drilling);
        free(keeper->project);
        free(keeper);
}

/* ---- the end ---- */

static bool has_work(const Keeper *keeper)
{
        return !keeper->ready || keeper->current || keeper->queue.length || thread_pool_pending(keeper->parts.pool);
}

static bool is_wanted(const Keeper *keeper)
{
        return watch_is_busy(keeper) || offsite_is_wanted(keeper) ||
               (keeper->server && channel_server_connections(keeper->server) > 0);
}

static void arm_idle(Keeper *keeper);

static void on_idle(void *context)
{
        Keeper *keeper = context;

        keeper->idle_timer = NULL;
        if (has_work(keeper))
                arm_idle(keeper); /* housekeeping, mostly: it does not look here again by itself */
        else if (keeper->quitting || !is_wanted(keeper))
                loop_quit(keeper->parts.loop);
}

static void arm_idle(Keeper *keeper)
{
        keeper->idle_timer =
                loop_add_timer(keeper->parts.loop, loop_now_ns(keeper->parts.loop) + IDLE_NS, on_idle, keeper);
}

void keeper_check_idle(Keeper *keeper)
{
        backups_update(keeper);
        schedules_update(keeper);
        offsite_update(keeper);
        budget_update(keeper);
        keeper->idle_timer = loop_timer_remove(keeper->idle_timer);
        if (!has_work(keeper))
                malloc_trim(0);
        if (keeper->quitting && !has_work(keeper))
                loop_quit(keeper->parts.loop);
        else if (!is_wanted(keeper) || keeper->quitting)
                arm_idle(keeper);
}

/* ---- logs: looked at every few seconds where one has a limit ---- */

typedef struct Rotation {
        Keeper *keeper;
        char **ids; /* of running containers with a limit */
} Rotation;

static int rotate_work(void *context, Error **err)
{
        Rotation *rotation = context;
        Engine *engine = rotation->keeper->parts.engine;

        STRV_FOREACH(id, rotation->ids) {
                int r = engine->operations->container_rotate_logs(engine, *id, err);
                if (r < 0 && r != -ERROR_NOT_FOUND)
                        return r;
        }
        return 0;
}

static void rotate_done(void *context, int result, Error *error)
{
        Rotation *rotation = context;

        rotation->keeper->rotating = false;
        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "rotate logs");
        keeper_schedule_rotation(rotation->keeper);
        strv_free(rotation->ids);
        free(rotation);
}

static char **limited_logs(const Keeper *keeper)
{
        char **ids = NULL;

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->state == CONTAINER_RUNNING && unit->log_max_size > 0)
                        strv_add(&ids, unit->id);
        }
        return ids;
}

static void on_rotation(void *context)
{
        Keeper *keeper = context;
        char **ids = limited_logs(keeper);
        Rotation *rotation;

        keeper->rotation_timer = NULL;
        if (!ids)
                return;
        keeper->rotating = true;
        rotation = xnew(Rotation);
        *rotation = (Rotation){ keeper, ids };
        thread_pool_post(keeper->parts.pool, rotate_work, rotate_done, rotation);
}

static bool has_limited_logs(const Keeper *keeper)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->state == CONTAINER_RUNNING && unit->log_max_size > 0)
                        return true;
        }
        return false;
}

void keeper_schedule_rotation(Keeper *keeper)
{
        Loop *loop = keeper->parts.loop;

        if (keeper->parts.engine->operations->container_rotate_logs && !keeper->rotation_timer && !keeper->rotating &&
            has_limited_logs(keeper))
                keeper->rotation_timer = loop_add_timer(loop, loop_now_ns(loop) + ROTATION_NS, on_rotation, keeper);
}

/* ---- what others change under our feet ---- */

static int repair_work(void *context, Error **err)
{
        Keeper *keeper = context;

        return keeper->parts.watch_repair(keeper->parts.layout, err);
}

static void repair_done(void *context, int result, Error *error)
{
        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "put firewall rules back");
        else
                log_debug("firewall rules changed: ours were looked after");
}

static void on_repair(void *context)
{
        Keeper *keeper = context;

        keeper->repair_timer = NULL;
        thread_pool_post(keeper->parts.pool, repair_work, repair_done, keeper);
}

/* A firewall changes in many steps: one repair, a moment after the last of them. */
static void on_watch_fd(void *context, int fd, uint32_t events)
{
        Keeper *keeper = context;
        Loop *loop = keeper->parts.loop;

        if (!keeper->parts.watch_read(keeper->parts.layout, fd))
                return;
        loop_timer_remove(keeper->repair_timer);
        keeper->repair_timer = loop_add_timer(loop, loop_now_ns(loop) + REPAIR_NS, on_repair, keeper);
}

/* ---- taking over ---- */

typedef struct Takeover {
        Keeper *keeper;
        ContainerList list;
        VECTOR(UnitNews) news;
} Takeover;

static void log_repair(void *context, const char *text)
{
        log_warning("%s", text);
}

static int takeover_work(void *context, Error **err)
{
        Takeover *takeover = context;
        EngineProgress progress = { .warning = log_repair, .cancel_fd = -1 };
        const Keeper *keeper = takeover->keeper;
        Engine *engine = keeper->parts.engine;
        _cleanup_error_ Error *left = NULL;
        int r;

        r = engine->operations->recover ? engine->operations->recover(engine, takeover->keeper->project, &progress, err)
                                        : 0;
        /* Before what is found is listed. What cannot be cleared away now is when its name is wanted. */
        if (r >= 0 && keeper->parts.protect &&
            drill_clear_left(keeper->parts.layout, engine, keeper->project, &left) < 0)
                log_failure(LOG_LEVEL_WARNING, left, "clear away what was left of a copy");
        if (r >= 0)
                r = engine->operations->container_list(engine, takeover->keeper->project, &takeover->list, err);
        for (size_t i = 0; r >= 0 && i < takeover->list.length; i++) {
                _cleanup_error_ Error *reason = NULL;
                UnitNews news;
                if (unit_news_read(engine, takeover->list.items[i]->id, &news, &reason) >= 0)
                        vector_add(&takeover->news, news);
        }
        return r;
}

static void begin_queued(void *context)
{
        Keeper *keeper = context;

        if (keeper->current)
                return;
        if (keeper->queue.length) {
                Request *next = keeper->queue.items[0];
                keeper->queue.length--;
                memmove(keeper->queue.items, keeper->queue.items + 1, keeper->queue.length * sizeof(Request *));
                keeper->current = next;
                request_begin(next);
        } else {
                keeper_check_idle(keeper);
        }
}

/* Started by the boot unit: what policies want to be started goes before all others. */
static void start_after_boot(Keeper *keeper)
{
        _cleanup_json_ json_t *params = json_pack("{s:i}", "wait_timeout_ms", BOOT_WAIT_MS);

        Request *request = request_create(keeper, NULL, "boot", params);

        vector_add(&keeper->queue, request);
        memmove(keeper->queue.items + 1, keeper->queue.items, (keeper->queue.length - 1) * sizeof(Request *));
        keeper->queue.items[0] = request;
}

/* A container that ended while no keeper watched: its policy is asked now. */
static void take_over_end(Keeper *keeper, const ContainerInfo *info)
{
        Unit *unit = watch_find(keeper, info->id);
        int64_t uptime_ns = info->finished_ns > info->started_ns ? info->finished_ns - info->started_ns : 0;

        if (unit && info->state == CONTAINER_EXITED && info->started_ns > 0)
                watch_ended(unit, uptime_ns, container_was_told_to_stop(info));
}

static void takeover_done(void *context, int result, Error *error)
{
        Takeover *takeover = context;
        Keeper *keeper = takeover->keeper;

        if (result < 0)
                keeper->takeover_error = xasprintf("what runs could not be taken over: %s", error->message);
        if (result < 0)
                log_error("%s", keeper->takeover_error);
        if (keeper->state.kept_aside)
                log_warning("%s was damaged: it is kept as %s and was rebuilt from what runs", keeper->state.path,
                            keeper->state.kept_aside);
        if (!keeper->state.working_dir) {
                project_state_rebuild(&keeper->state, &takeover->list);
                if (keeper->state.kept_aside && keeper->state.working_dir)
                        project_state_save(&keeper->state, NULL);
        }
        VECTOR_FOREACH(news, &takeover->news) {
                watch_update(keeper, news, false);
                if (!keeper->at_boot)
                        take_over_end(keeper, news->info);
                unit_news_done(news);
        }
        if (keeper->at_boot)
                start_after_boot(keeper);
        container_list_done(&takeover->list);
        vector_done(&takeover->news);
        free(takeover);
        keeper->ready = true;
        log_info("watching %zu containers", keeper->units.length);
        loop_defer(keeper->parts.loop, begin_queued, keeper);
}

void keeper_begin(Keeper *keeper, bool at_boot)
{
        Takeover *takeover = xnew(Takeover);

        keeper->at_boot = at_boot;
        takeover->keeper = keeper;
        thread_pool_post(keeper->parts.pool, takeover_work, takeover_done, takeover);
        if (keeper->parts.watch_fd >= 0 && loop_add_io(keeper->parts.loop, keeper->parts.watch_fd, EPOLLIN, on_watch_fd,
                                                       keeper, &keeper->watch_io, NULL) < 0)
                log_warning("changes of firewall rules cannot be watched");
}
