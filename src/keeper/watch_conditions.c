/* What depends_on asks of a service's containers. */
#include <string.h>

#include "base/mem.h"
#include "keeper/watch.h"

#define LINE_LIMIT 200 /* bytes */

/* An end, or a check that fails, has its reason in what the container said. */
static int look_at_logs(const Unit *unit, int result, Error **err)
{
        return error_hint(err, result, "\"berth logs %s\" shows what it said.", unit->service);
}

/* The first line of what the last check said, without what a terminal might obey. */
static int unhealthy(const Unit *unit, Error **err)
{
        int r = error_set(err, ERROR_UNHEALTHY, "container %s is unhealthy", unit->name);
        size_t length = unit->probe_output ? strcspn(unit->probe_output, "\n") : 0;
        _cleanup_free_ char *line = xstrndup(unit->probe_output ?: "", MIN(length, (size_t)LINE_LIMIT));

        if (!*line)
                return look_at_logs(unit, r, err);
        for (char *c = line; *c; c++)
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        *c = '?';
        return error_hint(err, r, "Its check said: %s. \"berth logs %s\" shows what the service said.", line,
                          unit->service);
}

static int check_healthy(const Unit *unit, bool running_is_enough, Error **err)
{
        if (unit->restarting || unit->ending)
                return 0;
        if (unit->state == CONTAINER_EXITED || unit->state == CONTAINER_DEAD)
                return look_at_logs(
                        unit, error_set(err, ERROR_FAILED, "container %s exited (%d)", unit->name, unit->exit_code),
                        err);
        if (unit->state == CONTAINER_CREATED) /* all starts of the plan are over */
                return error_set(err, ERROR_FAILED, "container %s was not started", unit->name);
        if (unit->state != CONTAINER_RUNNING)
                return 0;
        if (!unit->health_config)
                return running_is_enough
                               ? 1
                               : error_set(err, ERROR_FAILED, "container %s has no healthcheck configured", unit->name);
        if (unit->noting) /* whoever looks next shall see it, too */
                return 0;
        return unit->health.status == HEALTH_UNHEALTHY ? unhealthy(unit, err) : unit->health.status == HEALTH_HEALTHY;
}

static int check_completed(const Unit *unit, Error **err)
{
        if (unit->state == CONTAINER_CREATED)
                return error_set(err, ERROR_FAILED, "container %s was not started", unit->name);
        if (unit->restarting || unit->ending || unit->state != CONTAINER_EXITED)
                return 0;
        if (unit->exit_code != 0)
                return look_at_logs(unit,
                                    error_set(err, ERROR_FAILED, "service \"%s\" didn't complete successfully: exit %d",
                                              unit->service, unit->exit_code),
                                    err);
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
                    : condition == DEPENDENCY_HEALTHY ? check_healthy(unit, running_is_enough, err)
                                                      : 1;
                if (r < 0)
                        return r;
                all &= r;
        }
        return all;
}
