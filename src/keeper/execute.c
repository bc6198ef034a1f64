#include "keeper/execute.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "keeper/step.h"
#include "keeper/watch.h"

#define HEAVY_PER_PROCESSOR 8

typedef enum StepState { STEP_PENDING, STEP_RUNNING, STEP_DONE, STEP_FAILED } StepState;

typedef struct StepRecord {
        StepState state;
        char *created_id;
} StepRecord;

struct Execution {
        Keeper *keeper;
        Request *request;
        Plan *plan;
        ExecutionOptions options;
        ExecutionDone done;
        void *context;
        StepRecord *records;       /* parallel to the plan's actions */
        size_t n_running;          /* on the pool */
        size_t n_heavy, max_heavy; /* of these: makings and starts, which keep the processors busy */
        Error *error;              /* the first */
        bool advancing, again, timed_out;
        LoopTimer *wait_timer;
        char **started;
};

static void advance(Execution *execution);

const Plan *execution_plan(const Execution *execution)
{
        return execution->plan;
}

json_t *execution_started(const Execution *execution)
{
        json_t *list = json_array();

        STRV_FOREACH(name, execution->started)
                json_array_append_new(list, json_string(*name));
        return list;
}

const char *execution_created_id(const Execution *execution, size_t action)
{
        return execution->records[action].created_id;
}

static void execution_free(Execution *execution)
{
        for (size_t i = 0; i < execution->plan->actions.length; i++)
                free(execution->records[i].created_id);
        free(execution->records);
        loop_timer_remove(execution->wait_timer);
        plan_free(execution->plan);
        error_free(execution->error);
        strv_free(execution->started);
        free(execution);
}

static void tell(Execution *execution, const PlanAction *action, const char *id, const char *state, const char *text)
{
        if (state)
                request_resource(execution->request, plan_verb_kind(action->verb), action->name, action->service, id,
                                 state, text);
}

/* ---- results ---- */

static void fail(Execution *execution, size_t index, const Error *error)
{
        PlanAction *action = plan_at(execution->plan, index);

        if (action->optional) {
                execution->records[index].state = STEP_DONE;
                if (action->verb == PLAN_WAIT)
                        request_warning(execution->request, "optional dependency \"%s\" failed to start: %s",
                                        action->service, error->message);
                else
                        request_warning(execution->request, "%s %s: %s", plan_verb_kind(action->verb), action->name,
                                        error->message);
                return;
        }
        execution->records[index].state = STEP_FAILED;
        if (action->verb != PLAN_WAIT)
                tell(execution, action, action->id, "failed", error->message);
        if (!execution->error)
                execution->error = error_copy(error);
}

static const char *container_id(const Execution *execution, const PlanAction *action)
{
        return action->id                     ? action->id
               : action->creator != PLAN_NONE ? execution->records[action->creator].created_id
                                              : NULL;
}

static void take_result(Execution *execution, Step *step)
{
        Keeper *keeper = execution->keeper;
        PlanAction *action = plan_at(execution->plan, step->index);
        Unit *unit = step->news.info ? watch_update(keeper, &step->news, action->verb == PLAN_CONTAINER_START) : NULL;

        execution->records[step->index].state = STEP_DONE;
        execution->records[step->index].created_id = TAKE_PTR(step->created_id);
        if (action->verb == PLAN_CONTAINER_CREATE && unit)
                keeper_publish(keeper, "create", unit->id, unit->name, unit->service, NULL);
        if (action->verb == PLAN_CONTAINER_START) {
                strv_add(&execution->started, action->name);
                if (unit)
                        keeper_publish(keeper, "start", unit->id, unit->name, unit->service, NULL);
        }
        if (action->verb == PLAN_CONTAINER_STOP && unit) {
                watch_tell_end(unit, step->news.info);
                keeper_publish(keeper, "stop", unit->id, unit->name, unit->service, NULL);
        }
        if (action->verb == PLAN_CONTAINER_REMOVE)
                watch_forget(keeper, step->id);
        tell(execution, action,
             action->verb == PLAN_CONTAINER_CREATE ? execution->records[step->index].created_id : step->id,
             step_state_after(action), NULL);
}

/* More of these at once than the processors can serve only get in each other's way; stops mostly wait. */
static bool is_heavy(const PlanAction *action)
{
        return action->verb == PLAN_CONTAINER_CREATE || action->verb == PLAN_CONTAINER_START;
}

static void step_done(void *context, int result, Error *error)
{
        Step *step = context;
        Execution *execution = step->execution;
        Unit *unit = step->id ? watch_find(execution->keeper, step->id) : NULL;

        execution->n_running--;
        execution->n_heavy -= is_heavy(step->action);
        if (unit && step->action->verb == PLAN_CONTAINER_STOP && result < 0)
                unit->stopping = false; /* otherwise only a start ends it: news of its end may still be on the way */
        if (result < 0)
                fail(execution, step->index, error);
        else
                take_result(execution, step);
        request_progress_done(&step->progress);
        unit_news_done(&step->news);
        free(step->created_id);
        free(step);
        advance(execution);
}

/* ---- beginning ---- */

/* A container of the service that runs; the lowest of several. */
static char *find_running(const Execution *execution, const char *service)
{
        const Unit *found = NULL;

        STRMAP_FOREACH(entry, &execution->keeper->units) {
                const Unit *unit = entry->value;
                if (!unit->oneoff && streq(unit->service, service) && unit->state == CONTAINER_RUNNING &&
                    (!found || unit->number < found->number))
                        found = unit;
        }
        return found ? arena_strdup(execution->plan->arena, found->id) : NULL;
}

static void begin_step(Execution *execution, size_t index)
{
        Keeper *keeper = execution->keeper;
        PlanAction *action = plan_at(execution->plan, index);
        Step *step = xnew(Step);
        Unit *unit;

        if (action->verb == PLAN_MIGRATE || action->verb == PLAN_SECURE)
                action->id = find_running(execution, action->service);

        *step = (Step){
                .execution = execution,
                .index = index,
                .engine = keeper->parts.engine,
                .action = action,
                .id = container_id(execution, action),
                .stop_timeout_ms = execution->options.stop_timeout_ms,
                .layout = keeper->parts.layout,
                .stop_reason = execution->options.halt ? STOP_FOR_HALT : STOP_BY_COMMAND,
                .purge = execution->options.purge,
                .news = { .exit_fd = -1 },
        };
        request_progress_init(&step->progress, execution->request, plan_verb_kind(action->verb), action->name,
                              action->service);
        unit = step->id ? watch_find(keeper, step->id) : NULL;
        if (unit && (action->verb == PLAN_CONTAINER_STOP || action->verb == PLAN_CONTAINER_REMOVE))
                watch_expect_stop(unit);
        if (unit && action->verb == PLAN_CONTAINER_START)
                watch_expect_nothing(unit);
        execution->records[index].state = STEP_RUNNING;
        execution->n_running++;
        execution->n_heavy += is_heavy(action);
        tell(execution, action, step->id, step_state_before(action), NULL);
        thread_pool_post(keeper->parts.pool, step_work, step_done, step);
}

static void tell_wait(Execution *execution, const PlanAction *action, const char *state)
{
        Keeper *keeper = execution->keeper;

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                bool healthy = action->condition == DEPENDENCY_HEALTHY && unit->health_config;
                if (!unit->oneoff && streq(unit->service, action->service))
                        request_resource(execution->request, "container", unit->name, unit->service, unit->id,
                                         state                                       ? state
                                         : action->condition == DEPENDENCY_COMPLETED ? "exited"
                                         : healthy                                   ? "healthy"
                                                                                     : "running",
                                         NULL);
        }
}

static int check_wait(Execution *execution, const PlanAction *action, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (action->at_end && execution->timed_out) {
                _cleanup_free_ char *limit = format_duration(execution->options.wait_timeout_ms * NSEC_PER_MSEC);
                return error_set(err, ERROR_TIMEOUT, "application not healthy after %s", limit);
        }
        r = watch_check_condition(execution->keeper, action->service, action->condition, action->running_is_enough,
                                  &reason);
        if (r < 0 && action->condition == DEPENDENCY_HEALTHY && !action->running_is_enough && !action->optional)
                error_prefix(&reason, r, "dependency failed to start");
        return r < 0 ? error_move(err, &reason, r) : r;
}

static void on_wait_timeout(void *context)
{
        Execution *execution = context;

        execution->wait_timer = NULL;
        execution->timed_out = true;
        advance(execution);
}

/* A wait looks at once, and again whenever something has changed. */
static void look(Execution *execution, size_t index)
{
        PlanAction *action = plan_at(execution->plan, index);
        StepRecord *record = &execution->records[index];
        _cleanup_error_ Error *error = NULL;
        Loop *loop = execution->keeper->parts.loop;
        int r;

        if (record->state == STEP_PENDING) {
                record->state = STEP_RUNNING;
                tell_wait(execution, action, "waiting");
        }
        r = check_wait(execution, action, &error);
        if (r < 0) {
                fail(execution, index, error);
                if (!action->optional)
                        tell_wait(execution, action, "failed");
        } else if (r > 0) {
                record->state = STEP_DONE;
                tell_wait(execution, action, NULL);
        } else if (action->at_end && execution->options.wait_timeout_ms >= 0 && !execution->wait_timer &&
                   !execution->timed_out) {
                execution->wait_timer =
                        loop_add_timer(loop, loop_now_ns(loop) + execution->options.wait_timeout_ms * NSEC_PER_MSEC,
                                       on_wait_timeout, execution);
        }
}

/* 1: everything before it is done; 0: not yet; -1: something before it failed, so it never will. */
static int readiness(const Execution *execution, size_t index)
{
        const PlanAction *action = &execution->plan->actions.items[index];
        int ready = 1;

        for (size_t i = 0; i < action->after.length; i++) {
                StepState state = execution->records[action->after.items[i]].state;
                if (state == STEP_FAILED)
                        return -1;
                if (state != STEP_DONE)
                        ready = 0;
        }
        return ready;
}

/* A restart policy is starting that very container: one at a time. */
static bool is_busy_elsewhere(const Execution *execution, const PlanAction *action)
{
        const char *id = container_id(execution, action);
        const Unit *unit = id ? watch_find(execution->keeper, id) : NULL;

        return unit && unit->restart_in_flight;
}

static bool advance_one(Execution *execution, size_t index)
{
        PlanAction *action = plan_at(execution->plan, index);
        StepState before = execution->records[index].state;

        if (before == STEP_DONE || before == STEP_FAILED)
                return false;
        if (before == STEP_PENDING) {
                if (execution->error || execution->request->cancelled || readiness(execution, index) <= 0)
                        return false;
                if (is_heavy(action) && execution->n_heavy >= execution->max_heavy)
                        return false;
                if (action->verb != PLAN_WAIT && is_busy_elsewhere(execution, action))
                        return false; /* the end of that restart looks here again */
                if (action->verb != PLAN_WAIT) {
                        begin_step(execution, index);
                        return true;
                }
        }
        if (action->verb == PLAN_WAIT && !execution->error && !execution->request->cancelled)
                look(execution, index);
        return execution->records[index].state != before;
}

static bool is_waiting(const Execution *execution)
{
        for (size_t i = 0; i < execution->plan->actions.length; i++)
                if (execution->records[i].state != STEP_DONE)
                        return true;
        return false;
}

static void end(Execution *execution)
{
        Keeper *keeper = execution->keeper;

        if (!execution->error && execution->request->cancelled)
                error_set(&execution->error, ERROR_CANCELLED, "cancelled");
        keeper->execution = NULL;
        execution->done(execution->context, execution, execution->error);
        execution_free(execution);
}

/* Begins what can begin; ends when nothing runs and nothing is going to. */
static void advance(Execution *execution)
{
        bool changed = true;

        if (execution->advancing) {
                execution->again = true;
                return;
        }
        execution->advancing = true;
        while (changed || execution->again) {
                changed = execution->again = false;
                for (size_t i = 0; i < execution->plan->actions.length; i++)
                        changed |= advance_one(execution, i);
        }
        execution->advancing = false;
        if (execution->n_running == 0 && (execution->error || execution->request->cancelled || !is_waiting(execution)))
                end(execution);
}

void execution_begin(Request *request, Plan *plan, const ExecutionOptions *options, ExecutionDone done, void *context)
{
        Execution *execution = xnew(Execution);

        *execution = (Execution){
                .keeper = request->keeper,
                .request = request,
                .plan = plan,
                .options = *options,
                .done = done,
                .context = context,
                .records = xnew_array(StepRecord, plan->actions.length + 1),
                .max_heavy = HEAVY_PER_PROCESSOR * (size_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L),
        };
        request->keeper->execution = execution;
        STRV_FOREACH(warning, plan->warnings)
                request_warning(request, "%s", *warning);
        advance(execution);
}

void execution_poke(Keeper *keeper)
{
        if (keeper->execution)
                advance(keeper->execution);
}

void execution_end_waits(Keeper *keeper)
{
        if (keeper->execution)
                keeper->execution->timed_out = true;
        execution_poke(keeper);
}

void execution_cancel(Keeper *keeper)
{
        execution_poke(keeper);
}
