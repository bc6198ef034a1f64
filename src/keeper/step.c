#include "keeper/step.h"

#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "deploy/spec.h"
#include "keeper/migrations.h"
#include "keeper/secure.h"
#include "operate/synchronous_off.h"
#include "state/document.h"

#define HOOK_OUTPUT_LIMIT 4096

/* What the reference calls each step, while it runs and after. */
static const struct {
        const char *before, *after;
} states[] = {
        [PLAN_NETWORK_CREATE] = { "creating", "created" },
        [PLAN_NETWORK_REMOVE] = { "removing", "removed" },
        [PLAN_VOLUME_CREATE] = { "creating", "created" },
        [PLAN_VOLUME_REMOVE] = { "removing", "removed" },
        [PLAN_CONTAINER_CREATE] = { "creating", "created" },
        [PLAN_CONTAINER_RENAME] = { NULL, NULL },
        [PLAN_CONTAINER_START] = { "starting", "started" },
        [PLAN_CONTAINER_STOP] = { "stopping", "stopped" },
        [PLAN_CONTAINER_REMOVE] = { "removing", "removed" },
        [PLAN_MIGRATE] = { NULL, NULL }, /* each migration is told */
        [PLAN_SECURE] = { NULL, NULL },  /* what changes is told */
        [PLAN_CONTAINER_REFRESH] = { "refreshing", "refreshed" },
        [PLAN_WAIT] = { NULL, NULL },
};

const char *step_state_before(const PlanAction *action)
{
        if (action->recreate) /* one line tells the whole replacement: it begins with the first step that speaks */
                return action->verb == PLAN_CONTAINER_CREATE || action->verb == PLAN_CONTAINER_STOP ? "recreating"
                                                                                                    : NULL;
        return states[action->verb].before;
}

const char *step_state_after(const PlanAction *action)
{
        if (action->recreate)
                return action->verb == PLAN_CONTAINER_CREATE ? "recreated" : NULL;
        return states[action->verb].after;
}

static int run_hook(Step *step, const char *kind, const json_t *hook, Error **err)
{
        _cleanup_strv_ char **argv = json_get_strv(hook, "command"), **environment = json_get_strv(hook, "environment");
        ExecSpec spec = { .argv = argv,
                          .environment = environment,
                          .user = json_get_string(hook, "user", NULL),
                          .working_dir = json_get_string(hook, "working_dir", NULL),
                          .privileged = json_get_bool(hook, "privileged", false),
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1,
                          .timeout_ms = -1,
                          .output_limit = HOOK_OUTPUT_LIMIT };
        ExecResult result = { 0 };
        int r = step->engine->operations->exec(step->engine, step->id, &spec, &result, err);

        if (r >= 0 && result.exit_code != 0)
                r = error_set(err, ERROR_FAILED, "%s hook of %s exited with status code %d%s%s", kind,
                              step->action->name, result.exit_code, isempty(result.output) ? "" : ": ",
                              result.output ? result.output : "");
        free(result.output);
        return r;
}

/* post_start and pre_stop, as the container's record holds them, one after the other. */
static int run_hooks(Step *step, const ContainerInfo *info, const char *kind, const char *annotation, Error **err)
{
        const char *text = info->spec ? strv_env_get(info->spec->annotations, annotation) : NULL;
        _cleanup_json_ json_t *hooks = text && info->state == CONTAINER_RUNNING ? json_loads(text, 0, NULL) : NULL;
        const json_t *hook;
        size_t i;

        json_array_foreach(hooks, i, hook) {
                int r = run_hook(step, kind, hook, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int start_container(Step *step, Error **err)
{
        const EngineOperations *operations = step->engine->operations;
        int r = operations->container_start(step->engine, step->id, &step->progress.progress, err);

        if (r >= 0)
                r = unit_news_read(step->engine, step->id, &step->news, err);
        return r < 0 ? r : run_hooks(step, step->news.info, "post_start", ANNOTATION_POST_START, err);
}

/* A database ends: its commits must not wait for its receiver any more, nor those of its next start, by whomever. */
static void leave_synchronous(const Step *step, const ContainerInfo *info)
{
        _cleanup_error_ Error *error = NULL;

        if (spec_is_database(info->spec) && info->state == CONTAINER_RUNNING &&
            synchronous_off_running(step->layout, step->engine, info, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "%s: end of synchronous commits", info->name);
}

static void clear_synchronous(const Step *step, const ContainerInfo *info)
{
        _cleanup_error_ Error *error = NULL;
        int r = spec_is_database(info->spec) ? synchronous_off_stopped(step->engine, info, &error) : 0;

        if (r < 0)
                log_failure(LOG_LEVEL_WARNING, error, "%s: end of synchronous commits", info->name);
        else if (r > 0)
                log_info("%s: synchronous_standby_names was taken out of its postgresql.auto.conf", info->name);
}

static int stop_container(Step *step, Error **err)
{
        const EngineOperations *operations = step->engine->operations;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (operations->container_inspect(step->engine, step->id, &info, NULL) >= 0) {
                run_hooks(step, info, "pre_stop", ANNOTATION_PRE_STOP, NULL); /* it stops all the same */
                leave_synchronous(step, info);
        }
        r = operations->container_stop(step->engine, step->id, step->stop_timeout_ms, step->stop_reason, &reason);
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        if (info)
                clear_synchronous(step, info);
        return unit_news_read(step->engine, step->id, &step->news, err);
}

static int create_container(Step *step, Error **err)
{
        const EngineOperations *operations = step->engine->operations;
        int r = operations->container_create(step->engine, step->action->spec, &step->progress.progress,
                                             &step->created_id, err);

        return r < 0 ? r : unit_news_read(step->engine, step->created_id, &step->news, err);
}

static int rename_container(Step *step, Error **err)
{
        int r = step->engine->operations->container_rename(step->engine, step->id, step->action->new_name, err);

        return r < 0 ? r : unit_news_read(step->engine, step->id, &step->news, err);
}

/* Its restart policy may have started it after the plan was made. */
static int remove_container(Step *step, Error **err)
{
        const EngineOperations *operations = step->engine->operations;
        unsigned flags = step->action->remove_volumes ? REMOVE_ANONYMOUS_VOLUMES : 0;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        /* One that ended by itself: its data may be somebody else's next. */
        if (operations->container_inspect(step->engine, step->id, &info, NULL) >= 0 && info->state != CONTAINER_RUNNING)
                clear_synchronous(step, info);
        r = operations->container_remove(step->engine, step->id, flags, &reason);

        if (r != -ERROR_CONFLICT)
                return r < 0 ? error_move(err, &reason, r) : 0;
        r = operations->container_stop(step->engine, step->id, step->stop_timeout_ms, STOP_BY_COMMAND, err);
        return r < 0 ? r : operations->container_remove(step->engine, step->id, flags, err);
}

int step_refresh(Engine *engine, const char *id, Error **err)
{
        const EngineOperations *operations = engine->operations;
        int r = operations->container_refresh ? operations->container_refresh(engine, id, err) : 0;

        return r < 0 ? r : operations->container_kill(engine, id, SIGHUP, err);
}

int step_work(void *context, Error **err)
{
        Step *step = context;
        const PlanAction *action = step->action;
        const EngineOperations *operations = step->engine->operations;

        switch (action->verb) {
        case PLAN_NETWORK_CREATE:
                return operations->network_create(step->engine, action->network, err);
        case PLAN_NETWORK_REMOVE:
                return operations->network_remove(step->engine, action->name, err);
        case PLAN_VOLUME_CREATE:
                return operations->volume_create(step->engine, action->volume, err);
        case PLAN_VOLUME_REMOVE:
                return operations->volume_remove(step->engine, action->name, step->purge, err);
        case PLAN_CONTAINER_CREATE:
                return create_container(step, err);
        case PLAN_CONTAINER_RENAME:
                return rename_container(step, err);
        case PLAN_CONTAINER_START:
                return start_container(step, err);
        case PLAN_CONTAINER_STOP:
                return stop_container(step, err);
        case PLAN_CONTAINER_REMOVE:
                return remove_container(step, err);
        case PLAN_MIGRATE:
                return migrate_container(step, err);
        case PLAN_SECURE:
                return secure_container(step, err);
        case PLAN_CONTAINER_REFRESH:
                return step_refresh(step->engine, step->id, err);
        case PLAN_WAIT:
                break;
        }
        return error_set(err, ERROR_INTERNAL, "a wait is no work");
}
