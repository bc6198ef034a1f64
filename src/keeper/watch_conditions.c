/* What depends_on asks of a service's containers. */
#include "keeper/watch.h"

static int check_healthy(const Unit *unit, bool running_is_enough, Error **err)
{
        if (unit->restarting || unit->ending)
                return 0;
        if (unit->state == CONTAINER_EXITED || unit->state == CONTAINER_DEAD)
                return error_set(err, ERROR_FAILED, "container %s exited (%d)", unit->name, unit->exit_code);
        if (unit->state == CONTAINER_CREATED) /* all starts of the plan are over */
                return error_set(err, ERROR_FAILED, "container %s was not started", unit->name);
        if (unit->state != CONTAINER_RUNNING)
                return 0;
        if (!unit->health_config)
                return running_is_enough ? 1
                                         : error_set(err, ERROR_FAILED, "container %s has no healthcheck configured",
                                                     unit->name);
        if (unit->health.status == HEALTH_UNHEALTHY)
                return error_set(err, ERROR_UNHEALTHY, "container %s is unhealthy", unit->name);
        return unit->health.status == HEALTH_HEALTHY && !unit->noting; /* whoever looks next shall see it, too */
}

static int check_completed(const Unit *unit, Error **err)
{
        if (unit->state == CONTAINER_CREATED)
                return error_set(err, ERROR_FAILED, "container %s was not started", unit->name);
        if (unit->restarting || unit->ending || unit->state != CONTAINER_EXITED)
                return 0;
        if (unit->exit_code != 0)
                return error_set(err, ERROR_FAILED, "service \"%s\" didn't complete successfully: exit %d", unit->service,
                                 unit->exit_code);
        return 1;
}

int watch_check_condition(Keeper *keeper, const char *service, DependencyCondition condition, bool running_is_enough,
                          Error **err)
{
        int all = 1;

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                int r;
                if (unit->oneoff || !streq(unit->service, service))
                        continue;
                r = condition == DEPENDENCY_COMPLETED ? check_completed(unit, err)
                    : condition == DEPENDENCY_HEALTHY ? check_healthy(unit, running_is_enough, err) : 1;
                if (r < 0)
                        return r;
                all &= r;
        }
        return all;
}
