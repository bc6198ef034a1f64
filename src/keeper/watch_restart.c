/* What the end of a container means: its restart policy. */
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "deploy/spec.h"
#include "keeper/execute.h"
#include "keeper/watch_private.h"

static int64_t annotation_int(const ContainerSpec *spec, const char *key, int64_t fallback)
{
        const char *text = spec ? strv_env_get(spec->annotations, key) : NULL;
        int64_t value = fallback;

        if (text)
                parse_int64(text, 0, INT64_MAX, &value);
        return value;
}

void unit_read_policy(Unit *unit, const ContainerSpec *spec)
{
        unit->policy = (RestartPolicy){ RESTART_NO, -1, -1, -1 };
        if (!spec)
                return;
        restart_policy_from_text(spec->restart, &unit->policy);
        unit->policy.delay_ns = annotation_int(spec, ANNOTATION_RESTART_DELAY, -1);
        unit->policy.window_ns = annotation_int(spec, ANNOTATION_RESTART_WINDOW, -1);
}

typedef struct RestartTask {
        Keeper *keeper;
        char *id;
        unsigned run;
        int64_t restart_count;
        UnitNews news;
} RestartTask;

static int restart_work(void *context, Error **err)
{
        RestartTask *task = context;
        Engine *engine = task->keeper->parts.engine;
        _cleanup_error_ Error *reason = NULL;
        int r, r2;

        engine->operations->container_note(engine, task->id, NULL, task->restart_count, NULL);
        r = engine->operations->container_start(engine, task->id, NULL, &reason);
        r2 = unit_news_read(engine, task->id, &task->news, err);
        if (r2 < 0)
                return r2; /* it is gone */
        return r < 0 ? error_move(err, &reason, r) : 0;
}

static void restart_done(void *context, int result, Error *error)
{
        RestartTask *task = context;
        Keeper *keeper = task->keeper;
        Unit *unit = watch_find(keeper, task->id);

        if (unit)
                unit->restart_in_flight = false;
        if (unit && unit->run == task->run) {
                unit->restarting = false;
                if (result < 0)
                        log_failure(LOG_LEVEL_WARNING, error, "restart container %s", unit->name);
                if (!task->news.info) {
                        watch_forget(keeper, task->id);
                } else {
                        keeper_publish(keeper, result < 0 ? "die" : "restart", unit->id, unit->name, unit->service,
                                       NULL);
                        watch_update(keeper, &task->news, true);
                }
        }
        unit_news_done(&task->news);
        free(task->id);
        free(task);
        execution_poke(keeper);
        keeper_check_idle(keeper);
}

static void on_restart_timer(void *context)
{
        Unit *unit = context;
        RestartTask *task = xnew(RestartTask);

        unit->restart_timer = NULL;
        unit->restart_in_flight = true;
        unit->restart_count++;
        *task = (RestartTask){ unit->keeper, xstrdup(unit->id), unit->run, unit->restart_count, { .exit_fd = -1 } };
        thread_pool_post(unit->keeper->parts.pool, restart_work, restart_done, task);
}

void unit_schedule_restart(Unit *unit, int64_t uptime_ns, bool manual)
{
        RestartEnd end = {
                .exit_code = unit->exit_code, .manual = manual, .uptime_ns = uptime_ns, .attempts = unit->attempts
        };
        RestartVerdict verdict = restart_decide(&unit->policy, &end);
        Loop *loop = unit->keeper->parts.loop;

        unit->attempts = verdict.attempts;
        if (!verdict.restart || unit->oneoff || unit->stopping || unit->keeper->halting ||
            (unit->keeper->parts.engine->capabilities & ENGINE_RESTARTS))
                return;
        unit->restarting = true;
        unit->restart_timer = loop_add_timer(loop, loop_now_ns(loop) + verdict.delay_ns, on_restart_timer, unit);
}

void unit_cancel_restart(Unit *unit)
{
        unit->restart_timer = loop_timer_remove(unit->restart_timer);
        unit->restarting = false;
}
