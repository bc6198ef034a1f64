/* One-offs: removed once they have ended and their client has looked, killed where they are bound to one that is gone. */
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "keeper/watch_private.h"

typedef struct RemoveTask {
        Keeper *keeper;
        char *id;
} RemoveTask;

static int remove_work(void *context, Error **err)
{
        RemoveTask *task = context;
        Engine *engine = task->keeper->parts.engine;

        return engine->operations->container_remove(engine, task->id, REMOVE_ANONYMOUS_VOLUMES, err);
}

static void remove_done(void *context, int result, Error *error)
{
        RemoveTask *task = context;

        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "remove container %.12s", task->id);
        else
                watch_forget(task->keeper, task->id);
        keeper_check_idle(task->keeper);
        free(task->id);
        free(task);
}

void unit_remove_if_over(Unit *unit)
{
        RemoveTask *task;

        if (!unit->remove_at_end || unit->owner || unit->state != CONTAINER_EXITED)
                return;
        unit->remove_at_end = false; /* once */
        task = xnew(RemoveTask);
        *task = (RemoveTask){ unit->keeper, xstrdup(unit->id) };
        thread_pool_post(unit->keeper->parts.pool, remove_work, remove_done, task);
}

static int kill_bound_work(void *context, Error **err)
{
        RemoveTask *task = context;
        Engine *engine = task->keeper->parts.engine;

        return engine->operations->container_kill(engine, task->id, SIGKILL, err);
}

static void kill_bound_done(void *context, int result, Error *error)
{
        RemoveTask *task = context;

        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "kill container %.12s, whose client is gone", task->id);
        free(task->id);
        free(task);
}

void unit_kill_if_bound(Unit *unit)
{
        RemoveTask *task;

        if (!unit->bound || unit->state != CONTAINER_RUNNING)
                return;
        unit->bound = false; /* once */
        task = xnew(RemoveTask);
        *task = (RemoveTask){ unit->keeper, xstrdup(unit->id) };
        thread_pool_post(unit->keeper->parts.pool, kill_bound_work, kill_bound_done, task);
}

void watch_owner_left(Keeper *keeper, const Channel *channel)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                Unit *unit = entry->value;
                if (unit->owner == channel) {
                        unit->owner = NULL;
                        unit_kill_if_bound(unit);
                        unit_remove_if_over(unit);
                }
        }
}
