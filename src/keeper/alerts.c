#include "keeper/alerts.h"

#include "base/log.h"
#include "base/mem.h"
#include "state/worker.h"

typedef struct Telling {
        const Layout *layout;
        json_t *params;
} Telling;

static int tell_work(void *context, Error **err)
{
        Telling *telling = context;
        WorkerRun run = { .job = "alert", .params = telling->params, .input_fd = -1, .cancel_fd = -1 };
        json_t *result = NULL;
        int r = worker_run(telling->layout, &run, &result, err);

        json_decref(result);
        return r;
}

static void tell_done(void *context, int result, Error *error)
{
        Telling *telling = context;

        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "tell of a failure");
        json_decref(telling->params);
        free(telling);
}

void alerts_tell(const Keeper *keeper, const char *service, const char *what, bool good, const char *message)
{
        json_t *ways = json_object_get(json_object_get(keeper->state.model, "x-berth"), "alerts");
        Telling *telling;

        if (!json_is_object(ways))
                return;
        telling = xnew(Telling);
        telling->layout = keeper->parts.layout;
        telling->params =
                json_pack("{s:s,s:s,s:s,s:b,s:s,s:o}", "project", keeper->project, "service", service, "what", what,
                          "good", (int)good, "message", message ? message : "", "ways", json_deep_copy(ways));
        thread_pool_post(keeper->parts.pool, tell_work, tell_done, telling);
}
