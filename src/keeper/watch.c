#include "keeper/watch_private.h"

#include <sys/epoll.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "deploy/spec.h"
#include "keeper/backups.h"
#include "keeper/execute.h"
#include "keeper/offsite.h"
#include "keeper/probe.h"
#include "keeper/readiness.h"
#include "keeper/schedules.h"
#include "operate/tls_serve.h"
#include "state/document.h"

void unit_news_done(UnitNews *news)
{
        container_info_free(news->info);
        fs_close(news->exit_fd);
        *news = (UnitNews){ .exit_fd = -1 };
}

int unit_news_read(Engine *engine, const char *id, UnitNews *ret, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r;

        *ret = (UnitNews){ .exit_fd = -1 };
        /* First the descriptor, then the state: a container that ends in between is seen as ended. */
        r = engine->operations->container_exit_fd(engine, id, &ret->exit_fd, &reason);
        if (r < 0 && r != -ERROR_NOT_FOUND)
                return error_move(err, &reason, r);
        if (r < 0)
                ret->exit_fd = -1;
        r = engine->operations->container_inspect(engine, id, &ret->info, err);
        if (r < 0)
                unit_news_done(ret);
        return r;
}

static void stop_watching_exit(Unit *unit)
{
        unit->exit_io = loop_io_remove(unit->exit_io);
        unit->exit_fd = fs_close(unit->exit_fd);
}

void watch_free_unit(void *pointer)
{
        Unit *unit = pointer;

        unit_cancel_restart(unit);
        unit->probe_timer = loop_timer_remove(unit->probe_timer);
        stop_watching_exit(unit);
        health_config_free(unit->health_config);
        free(unit->probe_output);
        free(unit->postmaster_path);
        free(unit->error);
        free(unit->service);
        free(unit->name);
        free(unit->id);
        free(unit);
}

Unit *watch_find(Keeper *keeper, const char *id)
{
        return strmap_get(&keeper->units, id);
}

Unit *watch_find_name(Keeper *keeper, const char *name)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                Unit *unit = entry->value;
                if (streq(unit->name, name))
                        return unit;
        }
        return NULL;
}

bool watch_is_busy(const Keeper *keeper)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->state == CONTAINER_RUNNING || unit->state == CONTAINER_PAUSED || unit->restarting)
                        return true;
        }
        return false;
}

const char *unit_health_name(const Unit *unit)
{
        return unit->health_config ? health_status_name(unit->health.status) : NULL;
}

/* ---- ends ---- */

typedef struct ExitTask {
        Keeper *keeper;
        char *id;
        unsigned run;
        bool release; /* nobody is stopping it, so nobody else lets go of what it held */
        UnitNews news;
} ExitTask;

/* An engine lets go of what the run held, and makes its end durable, when a container that ended is stopped. */
static int exit_work(void *context, Error **err)
{
        ExitTask *task = context;
        Engine *engine = task->keeper->parts.engine;
        int r;

        r = unit_news_read(engine, task->id, &task->news, err);
        if (r < 0 || !task->release || task->news.info->state == CONTAINER_RUNNING ||
            task->news.info->state == CONTAINER_PAUSED)
                return r;
        r = engine->operations->container_stop(engine, task->id, 0, STOP_RELEASE, err);
        if (r < 0)
                return r;
        unit_news_done(&task->news);
        return unit_news_read(engine, task->id, &task->news, err);
}

void watch_tell_end(Unit *unit, const ContainerInfo *info)
{
        if (unit->end_told || (info->state != CONTAINER_EXITED && info->state != CONTAINER_DEAD))
                return;
        unit->end_told = true;
        if (info->oom_killed)
                keeper_publish(unit->keeper, "oom", unit->id, unit->name, unit->service, NULL);
        keeper_publish(unit->keeper, "die", unit->id, unit->name, unit->service,
                       json_pack("{s:o}", "exitCode", json_sprintf("%d", info->exit_code)));
}

static void exit_done(void *context, int result, Error *error)
{
        ExitTask *task = context;
        Keeper *keeper = task->keeper;
        Unit *unit = watch_find(keeper, task->id);

        if (unit && unit->run == task->run) {
                int64_t uptime_ns = loop_now_ns(keeper->parts.loop) - unit->started_ns;
                unit->ending = false;
                if (result == -ERROR_NOT_FOUND) {
                        watch_forget(keeper, task->id);
                } else if (result < 0) {
                        log_failure(LOG_LEVEL_WARNING, error, "container %s ended", unit->name);
                } else {
                        bool told = container_was_told_to_stop(task->news.info);
                        bool is_over =
                                task->news.info->state == CONTAINER_EXITED || task->news.info->state == CONTAINER_DEAD;
                        watch_tell_end(unit, task->news.info);
                        watch_update(keeper, &task->news, false);
                        if (is_over)
                                unit_schedule_restart(unit, uptime_ns, told);
                        unit_remove_if_over(unit);
                }
        }
        unit_news_done(&task->news);
        free(task->id);
        free(task);
        execution_poke(keeper);
        keeper_check_idle(keeper);
}

static void look_at_end(Unit *unit)
{
        ExitTask *task = xnew(ExitTask);

        unit->ending = true;
        *task = (ExitTask){ unit->keeper, xstrdup(unit->id), unit->run, !unit->stopping, { .exit_fd = -1 } };
        thread_pool_post(unit->keeper->parts.pool, exit_work, exit_done, task);
}

static void on_exit_fd(void *context, int fd, uint32_t events)
{
        Unit *unit = context;

        stop_watching_exit(unit);
        look_at_end(unit);
}

void watch_ended(Unit *unit, int64_t uptime_ns, bool manual)
{
        unit_schedule_restart(unit, uptime_ns, manual);
        unit_remove_if_over(unit);
}

/* ---- knowing ---- */

static Unit *unit_create(Keeper *keeper, const ContainerInfo *info)
{
        Unit *unit = xnew(Unit);

        unit->keeper = keeper;
        unit->exit_fd = -1;
        unit->end_told = true; /* where it does not run */
        unit->id = xstrdup(info->id);
        unit->service = xstrdup(info->service ? info->service : "");
        unit->number = info->number;
        unit->oneoff = info->oneoff;
        unit->restart_count = unit->attempts = info->restart_count;
        unit->serves_tls = info->spec && strv_env_get(info->spec->annotations, ANNOTATION_TLS);
        unit->log_max_size = info->spec ? info->spec->log_max_size : -1;
        if (info->spec && !(keeper->parts.engine->capabilities & ENGINE_PROBES_HEALTH))
                unit->health_config = health_config_from_json(info->spec->healthcheck_json);
        unit->remove_at_end = info->spec && strv_env_get(info->spec->annotations, ANNOTATION_REMOVE);
        unit->bound = info->spec && strv_env_get(info->spec->annotations, ANNOTATION_BOUND);
        unit_read_policy(unit, info->spec);
        strmap_set(&keeper->units, unit->id, unit);
        return unit;
}

static void begin_run(Unit *unit, const ContainerInfo *info, bool fresh)
{
        Loop *loop = unit->keeper->parts.loop;
        int64_t now_ns = loop_now_ns(loop), age_ns = loop_realtime_ns(loop) - info->started_ns;

        unit->run++;
        unit->ending = unit->end_told = false;
        unit->started_ns = fresh || age_ns < 0 ? now_ns : now_ns - age_ns;
        free_and_replace(&unit->postmaster_path, readiness_path(info));
        if (fresh)
                probe_begin(unit);
        else if (unit->bound && !unit->owner)
                unit_kill_if_bound(unit); /* its client was the connection of a keeper before this one */
        else
                probe_take_over(unit, health_status_from_name(info->health));
}

Unit *watch_update(Keeper *keeper, UnitNews *news, bool fresh)
{
        const ContainerInfo *info = news->info;
        Unit *unit = watch_find(keeper, info->id);
        bool ran = unit && unit->state == CONTAINER_RUNNING && unit->exit_fd >= 0;
        bool runs = info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;

        if (!unit)
                unit = unit_create(keeper, info);
        free_and_replace(&unit->name, xstrdup(info->name));
        free_and_replace(&unit->error, xstrdup(info->error));
        unit->state = info->state;
        unit->exit_code = info->exit_code;
        if (runs && (fresh || !ran)) {
                stop_watching_exit(unit);
                unit->exit_fd = TAKE_FD(news->exit_fd);
                if (unit->exit_fd >= 0 &&
                    loop_add_io(keeper->parts.loop, unit->exit_fd, EPOLLIN, on_exit_fd, unit, &unit->exit_io, NULL) < 0)
                        log_warning("container %s: its end cannot be watched", unit->name);
                begin_run(unit, info, fresh);
                backups_update(keeper);
                schedules_update(keeper);
                offsite_update(keeper);
                keeper_schedule_rotation(keeper);
                keeper_schedule_renewal(keeper);
        } else if (!runs) {
                stop_watching_exit(unit);
                probe_end(unit);
        }
        if (fresh && !runs) { /* it ended before it could be watched */
                unit->run++;
                unit->end_told = false;
                unit->started_ns = loop_now_ns(keeper->parts.loop);
                look_at_end(unit);
        }
        return unit;
}

void watch_forget(Keeper *keeper, const char *id)
{
        Unit *unit = watch_find(keeper, id);

        if (!unit)
                return;
        keeper_publish(keeper, "destroy", unit->id, unit->name, unit->service, NULL);
        strmap_remove(&keeper->units, unit->id);
}

void watch_expect_stop(Unit *unit)
{
        unit->stopping = true;
        unit_cancel_restart(unit);
        probe_end(unit);
}

void watch_expect_nothing(Unit *unit)
{
        unit->stopping = false;
        unit->attempts = 0;
        unit_cancel_restart(unit);
}

json_t *watch_status(Keeper *keeper)
{
        json_t *containers = json_array();

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:b}", "id", unit->id, "name", unit->name,
                                         "service", unit->service, "state",
                                         unit->restarting ? "restarting" : container_state_name(unit->state),
                                         "restarts", (json_int_t)unit->restart_count, "exit_code", unit->exit_code,
                                         "oneoff", unit->oneoff);
                json_set_string(item, "health", unit_health_name(unit));
                if (unit->probe_output)
                        json_object_set_new(item, "last_probe",
                                            json_pack("{s:i, s:s}", "exit_code", unit->probe_exit_code, "output",
                                                      unit->probe_output));
                json_array_append_new(containers, item);
        }
        return json_pack("{s:o}", "containers", containers);
}
