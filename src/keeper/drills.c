#include "keeper/drills.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/alerts.h"
#include "keeper/backup_tasks.h"
#include "keeper/backups.h"
#include "keeper/offsite.h"
#include "operate/drill.h"
#include "state/document.h"

typedef struct DrillTask {
        Keeper *keeper;
        char *service, *to;
        json_t *checks, *elsewhere;
        bool no_amcheck;
        EngineProgress progress; /* without a request */
        Request *request;        /* NULL: by the clock */
        RequestProgress request_progress;
        json_t *report;
        DrillDone done;
        void *context;
} DrillTask;

static int drill_work(void *context, Error **err)
{
        DrillTask *task = context;
        const KeeperParts *parts = &task->keeper->parts;
        const Drill drill = { .layout = parts->layout,
                              .engine = parts->engine,
                              .project = task->keeper->project,
                              .service = task->service,
                              .to = task->to,
                              .checks = task->checks,
                              .no_amcheck = task->no_amcheck,
                              .elsewhere = task->elsewhere };

        return drill_run(&drill, task->request ? &task->request_progress.progress : &task->progress, &task->report,
                         err);
}

static void task_free(DrillTask *task)
{
        json_decref(task->checks);
        json_decref(task->elsewhere);
        json_decref(task->report);
        free(task->service);
        free(task->to);
        free(task);
}

static void log_report(const DrillTask *task, int result, const Error *error)
{
        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "drill of %s", task->service);
        else
                log_info("drill of %s: %s; the newest point was %lld ms old", task->service,
                         json_get_string(task->report, "message", ""),
                         (long long)json_get_int(task->report, "rpo_ms", -1));
}

static void answer(DrillTask *task, int result, Error *error)
{
        Request *request = task->request;

        request_resource(request, "database", task->service, task->service, NULL, result < 0 ? "failed" : "healthy",
                         NULL);
        request_progress_done(&task->request_progress);
        if (result < 0)
                request_fail(request, error);
        else
                request_finish(request, json_incref(task->report));
}

/* Damage is worth a word, though the copy had what was needed: the disk may be failing. */
static void tell_damage(const DrillTask *task)
{
        size_t mended = json_array_size(json_object_get(task->report, "mended"));
        _cleanup_free_ char *text = NULL;

        if (!mended)
                return;
        text = xasprintf("%zu damaged objects of the backups were mended from their copy; look at the disk", mended);
        log_warning("drill of %s: %s", task->service, text);
        alerts_tell(task->keeper, task->service, "damaged backup", false, text);
}

static void drill_ended(void *context, int result, Error *error)
{
        DrillTask *task = context;
        Keeper *keeper = task->keeper;

        strv_remove(keeper->drilling, task->service);
        log_report(task, result, error);
        tell_damage(task);
        if (task->done)
                task->done(task->context, task->service, task->report, result < 0 ? error : NULL);
        if (task->request && result < 0 && result != -ERROR_CANCELLED)
                alerts_tell(keeper, task->service, "drill", false, error->message);
        if (task->request)
                answer(task, result, error);
        task_free(task);
        keeper_check_idle(keeper);
}

static DrillTask *task_create(Keeper *keeper, const char *service, Error **err)
{
        const json_t *settings = backup_setting(keeper, service, "drill");
        DrillTask *task;

        if (strv_contains(keeper->drilling, service)) {
                error_set(err, ERROR_CONFLICT, "service \"%s\": a drill is at work", service);
                return NULL;
        }
        task = xnew(DrillTask);
        task->keeper = keeper;
        task->service = xstrdup(service);
        task->checks = json_deep_copy(json_object_get(settings, "checks"));
        task->elsewhere = offsite_location(keeper, service);
        task->no_amcheck = !json_get_bool(settings, "amcheck", true);
        strv_add(&keeper->drilling, service);
        return task;
}

int drills_begin(Keeper *keeper, const char *service, DrillDone done, void *context, Error **err)
{
        DrillTask *task = task_create(keeper, service, err);

        if (!task)
                return -ERROR_CONFLICT;
        task->progress.cancel_fd = backups_cancel_fd(keeper);
        task->done = done;
        task->context = context;
        thread_pool_post(keeper->parts.pool, drill_work, drill_ended, task);
        return 0;
}

void method_drill(Request *request)
{
        const char *service = json_get_string(request->params, "service", "");
        _cleanup_error_ Error *error = NULL;
        DrillTask *task = task_create(request->keeper, service, &error);

        if (!task) {
                request_fail(request, error);
                return;
        }
        task->request = request;
        task->to = xstrdup(json_get_string(request->params, "to", NULL));
        request_progress_init(&task->request_progress, request, "database", service, service);
        request_resource(request, "database", service, service, NULL, "checking", NULL);
        thread_pool_post(request->keeper->parts.pool, drill_work, drill_ended, task);
}
