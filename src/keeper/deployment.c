/* up, pull and run: the model is loaded and images are found on the pool; what is missing is pulled, several at once; then
 * comes the plan, and it is carried out. */
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/execute.h"
#include "keeper/prepare.h"
#include "keeper/release.h"
#include "keeper/watch.h"
#include "state/document.h"

typedef struct Deployment {
        Request *request;
        Preparation preparation;
        size_t n_pulling;
        Error *error; /* of the first pull that failed */
        bool dry_run;
        ProjectState state; /* what is saved, by the pool, before anything changes */
        bool save;
        json_t *result; /* once it was carried out */
} Deployment;

typedef struct Pull {
        Deployment *deployment;
        const MissingImage *image;
        RequestProgress progress;
} Pull;

static void deployment_free(Deployment *deployment)
{
        preparation_done(&deployment->preparation);
        project_state_done(&deployment->state);
        error_free(deployment->error);
        json_decref(deployment->result);
        free(deployment);
}

/* error may be the deployment's own: it is freed last. */
static void deployment_fail(Deployment *deployment, const Error *error)
{
        request_fail(deployment->request, error);
        deployment_free(deployment);
}

static bool stop_if_cancelled(Deployment *deployment)
{
        _cleanup_error_ Error *error = NULL;

        if (!deployment->request->cancelled)
                return false;
        error_set(&error, ERROR_CANCELLED, "cancelled");
        deployment_fail(deployment, error);
        return true;
}

/* ---- carrying out ---- */

static json_t *deployment_result(const Deployment *deployment, const Execution *execution)
{
        const Plan *plan = execution_plan(execution);
        json_t *result = json_pack("{s:o, s:o}", "containers", json_from_strv(plan->containers), "started",
                                   execution_started(execution));
        size_t oneoff = deployment->preparation.oneoff_create;

        if (oneoff != PLAN_NONE) {
                json_set_string(result, "id", execution_created_id(execution, oneoff));
                json_set_string(result, "name", plan->actions.items[oneoff].name);
        }
        return result;
}

static void finish(Deployment *deployment)
{
        request_finish(deployment->request, TAKE_PTR(deployment->result));
        deployment_free(deployment);
}

/* Backups that were switched off leave nothing in a cluster; what was backed up stays. A failure is told, and tried again by the
 * next "up". */
static void on_released(void *context, const json_t *results, const Error *error)
{
        Deployment *deployment = context;
        const json_t *row, *change;
        size_t i, k;

        json_array_foreach(results, i, row) {
                const char *service = json_get_string(row, "service", "");

                json_array_foreach(json_object_get(row, "changes"), k, change) {
                        _cleanup_free_ char *text = release_text(change);
                        request_note(deployment->request, "service \"%s\": backups are off: %s", service, text);
                }
                request_note(deployment->request, "service \"%s\": its backups stay in %s until they are removed",
                             service, json_get_string(row, "repository", ""));
        }
        if (error)
                request_warning(deployment->request, "backups are off, but not all could be taken back: %s",
                                error->message);
        finish(deployment);
}

static void on_executed(void *context, Execution *execution, const Error *error)
{
        Deployment *deployment = context;
        Request *request = deployment->request;
        json_t *result = error ? NULL : deployment_result(deployment, execution);

        if (error) {
                request_fail(request, error);
                deployment_free(deployment);
                return;
        }
        deployment->result = result;
        if (!release_unwanted(request->keeper, request, on_released, deployment))
                finish(deployment);
}

/* What runs already is told too, so that the client can list every container of the command. */
static void tell_running(Deployment *deployment, const Plan *plan)
{
        Request *request = deployment->request;

        STRV_FOREACH(name, plan->containers) {
                const Unit *unit = watch_find_name(request->keeper, *name);
                bool touched = false;
                for (size_t i = 0; i < plan->actions.length; i++)
                        touched |=
                                streq(plan->actions.items[i].name, *name) && plan->actions.items[i].verb < PLAN_MIGRATE;
                if (!touched && unit)
                        request_resource(request, "container", unit->name, unit->service, unit->id, "running", NULL);
        }
}

/* What was released is backed up again. */
static void lift_releases(Deployment *deployment)
{
        _cleanup_strv_ char **services = json_get_strv(deployment->request->params, "services");

        release_lift(deployment->request->keeper, strv_length(services) ? services : NULL);
}

static void tell_plan(Deployment *deployment)
{
        Plan *plan = deployment->preparation.plan;

        STRV_FOREACH(warning, plan->warnings)
                request_warning(deployment->request, "%s", *warning);
        request_finish(deployment->request,
                       json_pack("{s:o, s:[], s:o}", "containers", json_from_strv(plan->containers), "started", "plan",
                                 plan_to_json(plan)));
        deployment_free(deployment);
}

static void on_planned(void *context, int result, Error *error)
{
        Deployment *deployment = context;
        Request *request = deployment->request;
        const json_t *params = request->params;
        ExecutionOptions options = {
                .stop_timeout_ms = (int)json_get_int(params, "timeout_ms", -1),
                .wait_timeout_ms = (int)json_get_int(params, "wait_timeout_ms", -1),
        };

        STRV_FOREACH(note, deployment->preparation.notes)
                request_note(request, "%s", *note);
        if (result < 0) {
                deployment_fail(deployment, error);
                return;
        }
        if (deployment->dry_run) {
                tell_plan(deployment);
                return;
        }
        if (stop_if_cancelled(deployment))
                return;
        if (deployment->save)
                project_state_set(&request->keeper->state, deployment->state.working_dir, deployment->state.files,
                                  deployment->state.model);
        if (!deployment->preparation.for_run)
                lift_releases(deployment);
        tell_running(deployment, deployment->preparation.plan);
        execution_begin(request, TAKE_PTR(deployment->preparation.plan), &options, on_executed, deployment);
}

static int plan_work(void *context, Error **err)
{
        Deployment *deployment = context;
        int r = prepare_plan(&deployment->preparation, err);

        if (r >= 0 && deployment->save)
                r = project_state_save(&deployment->state, err);
        return r;
}

/* ---- images ---- */

static void finish_pull_command(Deployment *deployment)
{
        Request *request = deployment->request;

        deployment_free(deployment);
        request_finish(request, NULL);
}

static void plan_next(Deployment *deployment)
{
        if (deployment->error) {
                deployment_fail(deployment, deployment->error);
                return;
        }
        if (stop_if_cancelled(deployment))
                return;
        if (deployment->preparation.only_pull)
                finish_pull_command(deployment);
        else
                thread_pool_post(deployment->request->keeper->parts.pool, plan_work, on_planned, deployment);
}

static int pull_work(void *context, Error **err)
{
        Pull *pull = context;
        Engine *engine = pull->deployment->preparation.parts.engine;

        return engine->operations->image_pull(engine, pull->image->reference, pull->image->policy,
                                              pull->image->platform, &pull->progress.progress, err);
}

static void on_pulled(void *context, int result, Error *error)
{
        Pull *pull = context;
        Deployment *deployment = pull->deployment;

        request_resource(deployment->request, "image", pull->image->reference, pull->image->service, NULL,
                         result < 0 ? "failed" : "pulled", result < 0 ? error->message : NULL);
        if (result < 0 && !deployment->error) {
                deployment->error = error_copy(error);
                error_prefix(&deployment->error, 0, "service \"%s\": image %s (%s)", pull->image->service,
                             pull->image->reference, pull->image->reason);
        }
        request_progress_done(&pull->progress);
        free(pull);
        if (--deployment->n_pulling == 0)
                plan_next(deployment);
}

static void begin_pulls(Deployment *deployment)
{
        Preparation *preparation = &deployment->preparation;

        deployment->n_pulling = preparation->missing.length;
        VECTOR_FOREACH(image, &preparation->missing) {
                Pull *pull = xnew(Pull);
                pull->deployment = deployment;
                pull->image = image;
                request_progress_init(&pull->progress, deployment->request, "image", image->reference, image->service);
                request_resource(deployment->request, "image", image->reference, image->service, NULL, "pulling", NULL);
                thread_pool_post(preparation->parts.pool, pull_work, on_pulled, pull);
        }
}

/* --dry-run where images are missing: what they say about entrypoints and volumes is not known yet. */
static void tell_missing(Deployment *deployment)
{
        json_t *plan = json_array();

        VECTOR_FOREACH(image, &deployment->preparation.missing)
                json_array_append_new(plan,
                                      json_pack("{s:s, s:s, s:s, s:s, s:s}", "action", "pull", "kind", "image", "name",
                                                image->reference, "service", image->service, "reason", image->reason));
        request_note(deployment->request, "the rest of the plan depends on images that are not here yet");
        request_finish(deployment->request, json_pack("{s:[], s:[], s:o}", "containers", "started", "plan", plan));
        deployment_free(deployment);
}

static void on_loaded(void *context, int result, Error *error)
{
        Deployment *deployment = context;

        if (result < 0)
                deployment_fail(deployment, error);
        else if (deployment->preparation.missing.length && deployment->dry_run)
                tell_missing(deployment);
        else if (deployment->preparation.missing.length)
                begin_pulls(deployment);
        else if (deployment->preparation.plan)
                on_planned(deployment, 0, NULL);
        else
                plan_next(deployment);
}

/* One turn on the pool where no image is missing: the plan follows at once. */
static int load_work(void *context, Error **err)
{
        Deployment *deployment = context;
        int r = prepare_load(&deployment->preparation, err);

        if (r < 0 || deployment->preparation.missing.length || deployment->preparation.only_pull)
                return r;
        return plan_work(deployment, err);
}

/* ---- beginning ---- */

static int begin(Request *request, bool for_run, bool only_pull, Error **err)
{
        Keeper *keeper = request->keeper;
        const json_t *params = request->params;
        const char *working_dir = json_get_string(params, "working_dir", NULL);
        _cleanup_strv_ char **files = json_get_strv(params, "files");
        Deployment *deployment;
        int r;

        r = project_state_check_folder(&keeper->state, keeper->project, working_dir,
                                       json_get_bool(params, "name_given", false), err);
        if (r < 0)
                return r;
        deployment = xnew(Deployment);
        deployment->request = request;
        deployment->dry_run = json_get_bool(params, "dry_run", false);
        deployment->preparation = (Preparation){ .parts = keeper->parts,
                                                 .project_name = keeper->project,
                                                 .params = params,
                                                 .for_run = for_run,
                                                 .only_pull = only_pull,
                                                 .oneoff_create = PLAN_NONE };
        deployment->save = !deployment->dry_run && !only_pull && (!for_run || !keeper->state.working_dir);
        project_state_init(&deployment->state, keeper->parts.layout, keeper->project);
        project_state_set(&deployment->state, working_dir, files, json_object_get(params, "model"));
        thread_pool_post(keeper->parts.pool, load_work, on_loaded, deployment);
        return 0;
}

static void begin_or_fail(Request *request, bool for_run, bool only_pull)
{
        _cleanup_error_ Error *error = NULL;

        if (begin(request, for_run, only_pull, &error) < 0)
                request_fail(request, error);
}

void method_up(Request *request)
{
        begin_or_fail(request, false, false);
}

void method_pull(Request *request)
{
        begin_or_fail(request, false, true);
}

void method_run(Request *request)
{
        begin_or_fail(request, true, false);
}
