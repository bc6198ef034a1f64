/* Certificates of what runs: looked at every few hours, renewed in time, and the server told. */
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/step.h"

#define RENEWAL_NS (6 * 3600 * NSEC_PER_SEC)

typedef struct Renewal {
        Keeper *keeper;
        char **ids;
        int64_t now_s;
} Renewal;

static int renew_one(const KeeperParts *parts, const char *id, int64_t now_s, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        bool renewed = false;
        int r = parts->engine->operations->container_inspect(parts->engine, id, &info, err);

        if (r >= 0)
                r = parts->renew_certificate(parts->layout, info, now_s, &renewed, err);
        if (r >= 0 && renewed)
                r = step_refresh(parts->engine, id, err);
        return info ? error_prefix(err, r, "certificate of %s", info->name) : r;
}

static int renewal_work(void *context, Error **err)
{
        Renewal *renewal = context;

        STRV_FOREACH(id, renewal->ids) {
                _cleanup_error_ Error *error = NULL;
                if (renew_one(&renewal->keeper->parts, *id, renewal->now_s, &error) < 0)
                        log_failure(LOG_LEVEL_WARNING, error, "renew certificates");
        }
        return 0;
}

static void renewal_done(void *context, int result, Error *error)
{
        Renewal *renewal = context;

        keeper_schedule_renewal(renewal->keeper);
        strv_free(renewal->ids);
        free(renewal);
}

static char **serving(const Keeper *keeper)
{
        char **ids = NULL;

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->serves_tls && unit->state == CONTAINER_RUNNING)
                        strv_add(&ids, unit->id);
        }
        return ids;
}

static void on_renewal(void *context)
{
        Keeper *keeper = context;
        Renewal *renewal = xnew(Renewal);

        keeper->renewal_timer = NULL;
        *renewal = (Renewal){ .keeper = keeper,
                              .ids = serving(keeper),
                              .now_s = loop_realtime_ns(keeper->parts.loop) / NSEC_PER_SEC };
        thread_pool_post(keeper->parts.pool, renewal_work, renewal_done, renewal);
}

void keeper_schedule_renewal(Keeper *keeper)
{
        Loop *loop = keeper->parts.loop;
        _cleanup_strv_ char **ids = serving(keeper);

        if (ids && keeper->parts.renew_certificate && !keeper->renewal_timer)
                keeper->renewal_timer = loop_add_timer(loop, loop_now_ns(loop) + RENEWAL_NS, on_renewal, keeper);
}
