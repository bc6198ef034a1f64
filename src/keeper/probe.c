#include "keeper/probe.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/execute.h"
#include "keeper/readiness.h"

#define LOOK_PAUSE_NS (5 * NSEC_PER_MSEC) /* between two looks whether a server answers; it grows with the age */
#define OUTPUT_LIMIT  4096                /* bytes of a probe's output that are kept, as the reference does */

typedef struct ProbeTask {
        Keeper *keeper;
        char *id;
        unsigned run;
        char **argv;
        int timeout_ms;
        int64_t begun_ns;
        ExecResult result;
} ProbeTask;

static void schedule_probe(Unit *unit);

/* CMD-SHELL runs by the image's shell. */
static char **probe_argv(const HealthConfig *config)
{
        char **argv = NULL;

        if (streq(config->test[0], "CMD-SHELL"))
                return strv_new("/bin/sh", "-c", config->test[1], NULL);
        strv_add_all(&argv, config->test + 1);
        return argv;
}

static int probe_work(void *context, Error **err)
{
        ProbeTask *task = context;
        Engine *engine = task->keeper->parts.engine;
        ExecSpec spec = { .argv = task->argv,
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1,
                          .timeout_ms = task->timeout_ms,
                          .output_limit = OUTPUT_LIMIT };

        return engine->operations->exec(engine, task->id, &spec, &task->result, err);
}

typedef struct NoteTask {
        Keeper *keeper;
        char *id;
        HealthStatus status;
        int64_t restart_count;
} NoteTask;

static int note_work(void *context, Error **err)
{
        NoteTask *task = context;
        Engine *engine = task->keeper->parts.engine;

        return engine->operations->container_note(engine, task->id, health_status_name(task->status),
                                                  task->restart_count, err);
}

static void write_note(Unit *unit);

static void note_done(void *context, int result, Error *error)
{
        NoteTask *task = context;
        Unit *unit = watch_find(task->keeper, task->id);

        if (result < 0 && result != -ERROR_NOT_FOUND)
                log_failure(LOG_LEVEL_WARNING, error, "note the health of container %.12s", task->id);
        if (unit) {
                unit->noting = false;
                unit->noted = task->status;
                if (unit->noted != unit->health.status)
                        write_note(unit);
                else
                        execution_poke(task->keeper);
        }
        free(task->id);
        free(task);
}

/* One at a time, or an older word could overwrite a newer one. */
static void write_note(Unit *unit)
{
        NoteTask *task;

        if (unit->noting)
                return;
        unit->noting = true;
        task = xnew(NoteTask);
        *task = (NoteTask){ unit->keeper, xstrdup(unit->id), unit->health.status, unit->restart_count };
        thread_pool_post(unit->keeper->parts.pool, note_work, note_done, task);
}

/* Tells the engine's record, where `ps` reads it, and whoever follows the events. */
static void note_health(Unit *unit)
{
        _cleanup_free_ char *action = xasprintf("health_status: %s", unit_health_name(unit));

        write_note(unit);
        if (unit->health.status != HEALTH_STARTING)
                keeper_publish(unit->keeper, action, unit->id, unit->name, unit->service, NULL);
}

static void take_result(Unit *unit, ProbeTask *task, int result, const Error *error)
{
        bool success = result >= 0 && !task->result.timed_out && task->result.exit_code == 0;

        unit->probe_exit_code = result < 0 || task->result.timed_out ? -1 : task->result.exit_code;
        if (result < 0)
                free_and_replace(&unit->probe_output, xstrdup(error->message));
        else if (task->result.timed_out)
                free_and_replace(&unit->probe_output,
                                 xasprintf("Health check exceeded timeout (%d ms)", task->timeout_ms));
        else
                free_and_replace(&unit->probe_output, TAKE_PTR(task->result.output));
        if (health_probed(&unit->health, success, task->begun_ns, loop_now_ns(unit->keeper->parts.loop)))
                note_health(unit);
}

static void probe_done(void *context, int result, Error *error)
{
        ProbeTask *task = context;
        Keeper *keeper = task->keeper;
        Unit *unit = watch_find(keeper, task->id);

        if (unit && unit->run == task->run && unit->probing) {
                unit->probing = false;
                take_result(unit, task, result, error);
                schedule_probe(unit);
                execution_poke(keeper);
        }
        strv_free(task->argv);
        free(task->result.output);
        free(task->id);
        free(task);
}

static void on_probe_timer(void *context);

/* A database that does not answer yet needs no probe, which costs a process in its container and slows its start. */
static bool is_put_off(Unit *unit)
{
        Loop *loop = unit->keeper->parts.loop;
        int64_t now_ns = loop_now_ns(loop), age_ns = now_ns - unit->started_ns;

        if (!unit->postmaster_path || !health_is_early(&unit->health, now_ns) ||
            readiness_reached(unit->postmaster_path))
                return false;
        unit->probe_timer = loop_add_timer(loop, now_ns + MAX(LOOK_PAUSE_NS, age_ns / 32), on_probe_timer, unit);
        return true;
}

static void on_probe_timer(void *context)
{
        Unit *unit = context;
        ProbeTask *task;

        unit->probe_timer = NULL;
        if (is_put_off(unit))
                return;
        task = xnew(ProbeTask);
        unit->probing = true;
        *task = (ProbeTask){
                .keeper = unit->keeper,
                .id = xstrdup(unit->id),
                .run = unit->run,
                .argv = probe_argv(unit->health_config),
                .timeout_ms = (int)MIN(unit->health_config->timeout_ns / NSEC_PER_MSEC, (int64_t)INT32_MAX),
                .begun_ns = loop_now_ns(unit->keeper->parts.loop),
        };
        thread_pool_post(unit->keeper->parts.pool, probe_work, probe_done, task);
}

static void schedule_probe(Unit *unit)
{
        if (unit->state == CONTAINER_RUNNING && !unit->stopping)
                unit->probe_timer =
                        loop_add_timer(unit->keeper->parts.loop, unit->health.next_ns, on_probe_timer, unit);
}

void probe_begin(Unit *unit)
{
        probe_end(unit);
        if (!unit->health_config)
                return;
        health_start(&unit->health, unit->health_config, unit->started_ns);
        note_health(unit);
        schedule_probe(unit);
}

void probe_take_over(Unit *unit, HealthStatus status)
{
        probe_end(unit);
        if (!unit->health_config)
                return;
        health_take_over(&unit->health, unit->health_config, status, unit->started_ns,
                         loop_now_ns(unit->keeper->parts.loop));
        schedule_probe(unit);
}

void probe_end(Unit *unit)
{
        unit->probe_timer = loop_timer_remove(unit->probe_timer);
        unit->probing = false; /* a probe that still runs belongs to the past */
}
