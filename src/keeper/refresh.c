/* refresh: running containers get what the files of their secrets hold now. */
#include <signal.h>

#include "base/mem.h"
#include "base/strv.h"
#include "deploy/spec.h"
#include "keeper/step.h"
#include "state/document.h"

typedef struct Refresh {
        Request *request;
        Engine *engine;
        char **ids;
} Refresh;

static int refresh_one(Engine *engine, const char *id, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *error = NULL;
        int r = engine->operations->container_inspect(engine, id, &info, &error);

        if (r >= 0 && spec_is_database(info->spec))
                r = step_refresh(engine, id, &error);
        else if (r >= 0 && engine->operations->container_refresh)
                r = engine->operations->container_refresh(engine, id, &error);
        /* One that has gone meanwhile reads the files when it comes again. */
        return r == -ERROR_NOT_FOUND || r == -ERROR_CONFLICT ? 0 : error_move(err, &error, r);
}

static int refresh_work(void *context, Error **err)
{
        Refresh *refresh = context;

        STRV_FOREACH(id, refresh->ids) {
                int r = refresh_one(refresh->engine, *id, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void refresh_done(void *context, int result, Error *error)
{
        Refresh *refresh = context;
        Request *request = refresh->request;

        strv_free(refresh->ids);
        free(refresh);
        if (result < 0)
                request_fail(request, error);
        else
                request_finish(request, NULL);
}

void method_refresh(Request *request)
{
        Keeper *keeper = request->keeper;
        _cleanup_strv_ char **services = json_get_strv(request->params, "services");
        Refresh *refresh = xnew(Refresh);

        *refresh = (Refresh){ .request = request, .engine = keeper->parts.engine };
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->state == CONTAINER_RUNNING &&
                    (strv_length(services) == 0 || strv_contains(services, unit->service)))
                        strv_add(&refresh->ids, unit->id);
        }
        thread_pool_post(keeper->parts.pool, refresh_work, refresh_done, refresh);
}
