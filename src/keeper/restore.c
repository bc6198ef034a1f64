/* restore, restore_part and restore_exchange: the copy is made beside a service that may go on running; the client stops it, has the
 * copy exchanged with the data, and starts it again. */
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/request.h"
#include "keeper/watch.h"
#include "operate/drill.h"
#include "operate/part.h"
#include "state/document.h"

typedef struct RestoreTask {
        Request *request;
        ServiceRestore restore; /* strings of the request's parameters */
        RequestProgress progress;
        const char *copy;           /* exchange */
        char **databases, **tables; /* part */
        char *volume;
        json_t *result;
} RestoreTask;

static int prepare_work(void *context, Error **err)
{
        RestoreTask *task = context;
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        int r = restore_service_begin(&task->restore, &places, err);

        return r < 0 ? r
                     : restore_service_prepare(&task->restore, &places, &task->progress.progress, &task->result, err);
}

static int part_work(void *context, Error **err)
{
        RestoreTask *task = context;
        const json_t *params = task->request->params;
        Part part = { .restore = task->restore,
                      .databases = task->databases,
                      .tables = task->tables,
                      .as_table = json_get_string(params, "as_table", NULL),
                      .into = json_get_string(params, "into_database", NULL),
                      .clean = json_get_bool(params, "clean", false) };

        part.restore.into = task->volume;
        return part_restore(&part, &task->progress.progress, &task->result, err);
}

static int exchange_work(void *context, Error **err)
{
        RestoreTask *task = context;

        return restore_service_exchange(&task->restore, task->copy, err);
}

static void task_done(void *context, int result, Error *error)
{
        RestoreTask *task = context;
        Request *request = task->request;
        json_t *answer = TAKE_PTR(task->result);

        request_resource(request, "database", task->restore.service, task->restore.service, NULL,
                         result >= 0                                             ? "created"
                         : task->restore.reflink && result == -ERROR_UNSUPPORTED ? "not shared"
                                                                                 : "failed",
                         NULL);
        request_progress_done(&task->progress);
        strv_free(task->databases);
        strv_free(task->tables);
        free(task->volume);
        free(task);
        if (result < 0)
                request_fail(request, error);
        else
                request_finish(request, answer);
}

static int require(const Request *request, const char *key, const char **ret, Error **err)
{
        *ret = json_get_string(request->params, key, NULL);
        return *ret ? 0 : error_set(err, ERROR_USAGE, "parameter \"%s\" is missing", key);
}

static int begin(Request *request, const char *needed, const char **ret_needed, PoolWork work, Error **err)
{
        Keeper *keeper = request->keeper;
        const char *service = NULL;
        RestoreTask *task;
        int r = require(request, "service", &service, err);

        if (r == 0)
                r = require(request, needed, ret_needed, err);
        if (r < 0)
                return r;
        task = xnew(RestoreTask);
        task->request = request;
        task->databases = json_get_strv(request->params, "databases");
        task->tables = json_get_strv(request->params, "tables");
        task->volume = throwaway_volume(keeper->project, service, PART_SUFFIX);
        task->copy = json_get_string(request->params, "copy", NULL);
        task->restore = (ServiceRestore){ .layout = keeper->parts.layout,
                                          .engine = keeper->parts.engine,
                                          .project = keeper->project,
                                          .service = service,
                                          .repository = json_get_string(request->params, "repository", NULL),
                                          .to = json_get_string(request->params, "to", NULL),
                                          .backup = json_get_string(request->params, "backup", NULL),
                                          .timeline = json_get_int(request->params, "timeline", 0),
                                          .elsewhere = json_object_get(request->params, "elsewhere"),
                                          .into = json_get_string(request->params, "into", NULL),
                                          .key = json_get_string(request->params, "key", NULL),
                                          .reflink = json_get_bool(request->params, "reflink", false) };
        request_progress_init(&task->progress, request, "database", service, service);
        request_resource(request, "database", service, service, NULL, task->restore.reflink ? "sharing" : "creating",
                         NULL);
        thread_pool_post(keeper->parts.pool, work, task_done, task);
        return 0;
}

static void begin_or_fail(Request *request, const char *needed, PoolWork work)
{
        _cleanup_error_ Error *error = NULL;
        const char *value;

        if (begin(request, needed, &value, work, &error) < 0)
                request_fail(request, error);
}

void method_restore(Request *request)
{
        begin_or_fail(request, json_get_bool(request->params, "reflink", false) ? "into" : "repository", prepare_work);
}

void method_restore_part(Request *request)
{
        begin_or_fail(request, "repository", part_work);
}

void method_restore_exchange(Request *request)
{
        begin_or_fail(request, "copy", exchange_work);
}
