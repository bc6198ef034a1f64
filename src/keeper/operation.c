/* down, start, stop, restart, boot, halt, rm, kill and start_oneoff: they work on the state found and need no model, though
 * down uses one where there is one. */
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "deploy/restart.h"
#include "deploy/spec.h"
#include "keeper/execute.h"
#include "keeper/watch.h"
#include "operate/synchronous_off.h"
#include "state/document.h"

typedef int (*Planner)(const PlanInput *input, Plan **ret, Error **err);

typedef struct Operation {
        Request *request;
        Engine *engine;
        const char *project_name;
        Planner planner, second; /* second: planned after the first is carried out (rm --stop); NULL */
        char **services;
        char *model; /* for down; NULL */
        char *working_dir;
        Project *project;
        Found found;
        Plan *plan;
        bool wait;     /* start, restart: until healthy */
        char **images; /* down: to be removed when all is down */
        char **kept;   /* why some of them stay */
        json_t *result;
} Operation;

static void operation_free(Operation *operation)
{
        plan_free(operation->plan);
        found_done(&operation->found);
        project_free(operation->project);
        strv_free(operation->services);
        strv_free(operation->images);
        strv_free(operation->kept);
        json_decref(operation->result);
        free(operation->model);
        free(operation->working_dir);
        free(operation);
}

static void add_waits(Operation *operation)
{
        size_t n = operation->plan->actions.length;

        for (size_t i = 0; operation->wait && i < n; i++) {
                const char *service = plan_at(operation->plan, i)->service;
                size_t wait;
                if (plan_at(operation->plan, i)->verb != PLAN_CONTAINER_START)
                        continue;
                wait = plan_add(operation->plan, PLAN_WAIT, service, service, NULL, "--wait");
                plan_at(operation->plan, wait)->condition = DEPENDENCY_HEALTHY;
                plan_at(operation->plan, wait)->running_is_enough = plan_at(operation->plan, wait)->at_end = true;
                plan_after(operation->plan, wait, i);
        }
}

/* `down --rmi all`. Nothing is built here, so `local` means none. */
static void collect_images(Operation *operation)
{
        for (size_t i = 0; i < operation->found.containers.length; i++) {
                const ContainerInfo *container = operation->found.containers.items[i];
                bool named = !operation->services ||
                             (container->service && strv_contains(operation->services, container->service));
                if (named && container->image && !strv_contains(operation->images, container->image))
                        strv_add(&operation->images, container->image);
        }
}

static int images_work(void *context, Error **err)
{
        Operation *operation = context;
        const KeeperParts *parts = &operation->request->keeper->parts;

        STRV_FOREACH(image, operation->images) {
                _cleanup_error_ Error *reason = NULL;
                if (parts->remove_image(parts->layout, parts->engine, *image, &reason) < 0)
                        strv_addf(&operation->kept, "image %s stays: %s", *image, reason->message);
        }
        return 0;
}

static void on_images_removed(void *context, int result, Error *error)
{
        Operation *operation = context;
        Request *request = operation->request;

        STRV_FOREACH(text, operation->kept)
                request_warning(request, "%s", *text);
        request_finish(request, TAKE_PTR(operation->result));
        operation_free(operation);
}

static int operation_work(void *context, Error **err)
{
        Operation *operation = context;
        const json_t *params = operation->request->params;
        PlanOptions options = {
                .services = operation->services,
                .no_deps = json_get_bool(params, "no_deps", false),
                .remove_volumes =
                        json_get_bool(params, "remove_volumes", false) || json_get_bool(params, "volumes", false),
                .remove_orphans = json_get_bool(params, "remove_orphans", false) || !operation->model,
        };
        PlanInput input = { .found = &operation->found, .options = &options };
        int r;

        if (operation->model && !operation->project) {
                r = project_from_json(operation->model, strlen(operation->model), operation->working_dir,
                                      &operation->project, err);
                if (r < 0)
                        return error_prefix(err, r, "model");
        }
        found_done(&operation->found);
        r = found_load(operation->engine, operation->project_name, operation->project, &operation->found, err);
        if (r < 0)
                return r;
        input.project = operation->project;
        if (operation->planner == plan_down && streq(json_get_string(params, "remove_images", ""), "all"))
                collect_images(operation);
        r = operation->planner(&input, &operation->plan, err);
        if (r < 0)
                return r;
        strv_add_all(&operation->plan->warnings, operation->found.warnings);
        add_waits(operation);
        return 0;
}

static bool project_is_gone(const Keeper *keeper)
{
        STRMAP_FOREACH(entry, &keeper->units)
                return false;
        return true;
}

static void on_planned(void *context, int result, Error *error);

static void on_executed(void *context, Execution *execution, const Error *error)
{
        Operation *operation = context;
        Request *request = operation->request;
        Keeper *keeper = request->keeper;

        if (operation->planner == plan_halt)
                keeper->halting = false; /* what was stopped says so in its record */
        if (!error && operation->second) {
                operation->planner = TAKE_PTR(operation->second);
                thread_pool_post(keeper->parts.pool, operation_work, on_planned, operation);
                return;
        }
        if (!error && operation->planner == plan_down && project_is_gone(keeper))
                project_state_remove(&keeper->state, NULL); /* a leftover file claims a name; the next `up` tells why */
        if (!error && operation->images && keeper->parts.remove_image) {
                operation->result = json_pack("{s:o}", "started", execution_started(execution));
                thread_pool_post(keeper->parts.pool, images_work, on_images_removed, operation);
                return;
        }
        operation_free(operation);
        if (error)
                request_fail(request, error);
        else
                request_finish(request, json_pack("{s:o}", "started", execution_started(execution)));
}

static void on_planned(void *context, int result, Error *error)
{
        Operation *operation = context;
        Request *request = operation->request;
        ExecutionOptions options = {
                .stop_timeout_ms = (int)json_get_int(request->params, "timeout_ms", -1),
                .wait_timeout_ms = (int)json_get_int(request->params, "wait_timeout_ms", -1),
                .purge = json_get_bool(request->params, "purge", false),
                .halt = operation->planner == plan_halt,
        };

        if (result < 0) {
                request->keeper->halting = false;
                operation_free(operation);
                request_fail(request, error);
                return;
        }
        execution_begin(request, TAKE_PTR(operation->plan), &options, on_executed, operation);
}

/* What is about to be stopped is not started by its policy meanwhile. */
static void hold_restarts(Keeper *keeper, char *const *services)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                Unit *unit = entry->value;
                if (unit->restart_timer &&
                    (!services || strv_contains(services, unit->service) || strv_contains(services, unit->name)))
                        watch_expect_stop(unit);
        }
}

static void begin(Request *request, Planner planner, Planner second)
{
        Keeper *keeper = request->keeper;
        Operation *operation = xnew(Operation);
        const json_t *model = json_object_get(request->params, "model");

        operation->request = request;
        operation->engine = keeper->parts.engine;
        operation->project_name = keeper->project;
        operation->planner = planner;
        operation->second = second;
        operation->services = json_get_strv(request->params, "services");
        if (strv_length(operation->services) == 0)
                operation->services = strv_free(operation->services);
        if (planner == plan_down && json_is_object(model)) {
                operation->model = json_dumps(model, JSON_COMPACT);
                operation->working_dir = xstrdup(json_get_string(request->params, "working_dir", "/"));
        }
        operation->wait = json_get_bool(request->params, "wait", false);
        if (planner != plan_start && planner != plan_boot)
                hold_restarts(keeper, operation->services);
        thread_pool_post(keeper->parts.pool, operation_work, on_planned, operation);
}

void method_down(Request *request)
{
        begin(request, plan_down, NULL);
}

void method_start(Request *request)
{
        begin(request, plan_start, NULL);
}

void method_stop(Request *request)
{
        begin(request, plan_stop, NULL);
}

void method_restart(Request *request)
{
        begin(request, plan_restart, NULL);
}

/* What the boot unit's keeper asks of itself. */
void method_boot(Request *request)
{
        begin(request, plan_boot, NULL);
}

/* An engine that applies restart policies by itself looks after shutdowns by itself as well. */
void method_halt(Request *request)
{
        Keeper *keeper = request->keeper;

        if (!(keeper->parts.engine->capabilities & ENGINE_RESTARTS)) {
                begin(request, plan_halt, NULL);
                return;
        }
        keeper->halting = false;
        request_finish(request, NULL);
}

void method_rm(Request *request)
{
        bool stop = json_get_bool(request->params, "stop", false);

        begin(request, stop ? plan_stop : plan_rm, stop ? plan_rm : NULL);
}

/* ---- kill, pause, unpause ---- */

typedef enum KillAction { KILL_SIGNAL, KILL_PAUSE, KILL_UNPAUSE } KillAction;

typedef struct Kill {
        Request *request;
        Engine *engine;
        const Layout *layout;
        char **ids;
        KillAction action;
        int signal_number;
} Kill;

/* "SIGKILL", "KILL" or "9". */
static bool parse_signal(const char *text, int *ret)
{
        const char *name = startswith(text, "SIG") ? text + 3 : text;
        int64_t number;

        if (parse_int64(text, 1, SIGRTMAX, &number)) {
                *ret = (int)number;
                return true;
        }
        for (int i = 1; i < NSIG; i++) {
                const char *abbreviation = sigabbrev_np(i);
                if (abbreviation && strcasecmp(abbreviation, name) == 0) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

/* A signal that ends a server: SIGKILL, and those of its three kinds of shutdown. */
static bool ends_server(const Kill *task)
{
        static const int signals[] = { SIGKILL, SIGTERM, SIGINT, SIGQUIT };

        for (size_t i = 0; task->action == KILL_SIGNAL && i < ARRAY_SIZE(signals); i++)
                if (task->signal_number == signals[i])
                        return true;
        return false;
}

static void leave_synchronous(const Kill *task, const char *id)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *error = NULL;

        if (ends_server(task) && task->engine->operations->container_inspect(task->engine, id, &info, NULL) >= 0 &&
            spec_is_database(info->spec) && synchronous_off_running(task->layout, task->engine, info, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "%s: end of synchronous commits", info->name);
}

static int kill_work(void *context, Error **err)
{
        Kill *task = context;
        const EngineOperations *operations = task->engine->operations;

        STRV_FOREACH(id, task->ids) {
                int r;

                leave_synchronous(task, *id);
                r = task->action == KILL_SIGNAL
                            ? operations->container_kill(task->engine, *id, task->signal_number, err)
                            : operations->container_pause(task->engine, *id, task->action == KILL_PAUSE, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void tell_killed(const Kill *task, Unit *unit)
{
        static const char *const actions[] = { "kill", "pause", "unpause" }, *const states[] = { "killed", "paused",
                                                                                                 "running" };
        json_t *attributes = task->action == KILL_SIGNAL
                                     ? json_pack("{s:o}", "signal", json_sprintf("%d", task->signal_number))
                                     : NULL;

        if (task->action != KILL_SIGNAL)
                unit->state = task->action == KILL_PAUSE ? CONTAINER_PAUSED : CONTAINER_RUNNING;
        keeper_publish(unit->keeper, actions[task->action], unit->id, unit->name, unit->service, attributes);
        request_resource(task->request, "container", unit->name, unit->service, unit->id, states[task->action], NULL);
}

static void on_killed(void *context, int result, Error *error)
{
        Kill *task = context;
        Request *request = task->request;

        STRV_FOREACH(id, task->ids) {
                Unit *unit = watch_find(request->keeper, *id);
                if (unit && result >= 0)
                        tell_killed(task, unit);
        }
        strv_free(task->ids);
        free(task);
        if (result < 0)
                request_fail(request, error);
        else
                request_finish(request, NULL);
}

static void begin_kill(Request *request, KillAction action, int signal_number)
{
        Keeper *keeper = request->keeper;
        ContainerState wanted = action == KILL_UNPAUSE ? CONTAINER_PAUSED : CONTAINER_RUNNING;
        _cleanup_strv_ char **services = json_get_strv(request->params, "services");
        Kill *task = xnew(Kill);

        *task = (Kill){ request, keeper->parts.engine, keeper->parts.layout, NULL, action, signal_number };
        STRMAP_FOREACH(entry, &keeper->units) {
                Unit *unit = entry->value;
                bool named = strv_length(services) == 0
                                     ? !unit->oneoff
                                     : strv_contains(services, unit->service) || strv_contains(services, unit->name);
                if (!named || unit->state != wanted)
                        continue;
                if (action == KILL_SIGNAL && signal_number == SIGKILL) /* it is not to come back */
                        watch_expect_stop(unit);
                strv_add(&task->ids, unit->id);
        }
        thread_pool_post(keeper->parts.pool, kill_work, on_killed, task);
}

void method_kill(Request *request)
{
        const char *signal_name = json_get_string(request->params, "signal", "SIGKILL");
        _cleanup_error_ Error *error = NULL;
        int signal_number;

        if (parse_signal(signal_name, &signal_number)) {
                begin_kill(request, KILL_SIGNAL, signal_number);
                return;
        }
        error_set(&error, ERROR_USAGE, "\"%s\" is no signal", signal_name);
        request_fail(request, error);
}

void method_pause(Request *request)
{
        begin_kill(request, KILL_PAUSE, 0);
}

void method_unpause(Request *request)
{
        begin_kill(request, KILL_UNPAUSE, 0);
}

/* ---- start_oneoff ---- */

static void on_oneoff_started(void *context, Execution *execution, const Error *error)
{
        Request *request = context;

        if (error)
                request_fail(request, error);
        else
                request_finish(request, NULL);
}

void method_start_oneoff(Request *request)
{
        Keeper *keeper = request->keeper;
        const char *id = json_get_string(request->params, "id", "");
        Unit *unit = watch_find(keeper, id);
        ExecutionOptions options = { .stop_timeout_ms = -1, .wait_timeout_ms = -1 };
        _cleanup_error_ Error *error = NULL;
        Plan *plan;

        if (!unit) {
                error_set(&error, ERROR_NOT_FOUND, "no such container: %s", id);
                request_fail(request, error);
                return;
        }
        unit->owner = request->channel;
        plan = plan_create();
        plan_add(plan, PLAN_CONTAINER_START, unit->name, unit->service, unit->id, "asked for");
        execution_begin(request, plan, &options, on_oneoff_started, request);
}
