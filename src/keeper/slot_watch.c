#include "keeper/slot_watch.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "keeper/alerts.h"
#include "operate/target.h"
#include "state/document.h"
#include "state/worker.h"

#define WHAT         "replication slot"
#define AWAY_LOOK_NS (5 * NSEC_PER_SEC)
#define WELL_LOOK_NS (300 * NSEC_PER_SEC)
/* Less than this part of the limit is left: near. */
#define NEAR_PART 4

static bool slot_fills_disk(const json_t *slot)
{
        int64_t room = json_get_int(slot, "room_bytes", -1);

        return room >= 0 && room < json_get_int(slot, "kept_bytes", 0) / (NEAR_PART - 1);
}

SlotState slot_judge(const json_t *cluster)
{
        const json_t *slot = json_object_get(cluster, "slot");
        int64_t kept = json_get_int(slot, "kept_bytes", 0), left = json_get_int(slot, "left_bytes", -1);
        const char *status = json_get_string(slot, "wal_status", "");

        if (streq(status, "lost"))
                return SLOT_IS_LOST;
        if (streq(status, "unreserved") || (left >= 0 && left < kept / (NEAR_PART - 1)))
                return SLOT_IS_NEAR;
        return slot_fills_disk(slot) ? SLOT_FILLS_DISK : SLOT_IS_WELL;
}

typedef struct Look {
        Keeper *keeper;
        char *service, *id;
        json_t *result;
        SlotSeen seen;
} Look;

static int look_work(void *context, Error **err)
{
        Look *look = context;
        const KeeperParts *parts = &look->keeper->parts;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_json_ json_t *params = NULL;
        WorkerRun run = { .job = "status", .input_fd = -1, .cancel_fd = -1 };
        int r = parts->engine->operations->container_inspect(parts->engine, look->id, &info, err);

        if (r < 0 || info->pid <= 0)
                return r;
        params = json_pack("{s:s, s:s, s:o, s:b}", "project", look->keeper->project, "service", look->service, "target",
                           database_target_to_json(info), "cluster_only", 1);
        run.params = params;
        return worker_run(parts->layout, &run, &look->result, err);
}

static void look_done(void *context, int result, Error *error)
{
        Look *look = context;

        look->seen(look->keeper, look->service, look->id, json_object_get(look->result, "cluster"));
        json_decref(look->result);
        free(look->service);
        free(look->id);
        free(look);
}

bool slot_watch_look(SlotWatch *watch, Keeper *keeper, const char *service, const char *id, bool receives,
                     SlotSeen seen)
{
        int64_t now_ns = loop_now_ns(keeper->parts.loop);
        int64_t pause_ns = receives && watch->state == SLOT_IS_WELL ? WELL_LOOK_NS : AWAY_LOOK_NS;
        Look *look;

        if (!watch->looked_ns)
                watch->looked_ns = now_ns; /* it has only just begun */
        if (watch->looking || now_ns - watch->looked_ns < pause_ns)
                return false;
        watch->looking = true;
        watch->looked_ns = now_ns;
        look = xnew(Look);
        *look = (Look){ keeper, xstrdup(service), xstrdup(id), NULL, seen };
        thread_pool_post(keeper->parts.pool, look_work, look_done, look);
        return true;
}

static char *near_text(const json_t *cluster)
{
        const json_t *slot = json_object_get(cluster, "slot");
        _cleanup_free_ char *kept = format_size((uint64_t)MAX(json_get_int(slot, "kept_bytes", 0), INT64_C(0)));

        return xasprintf(
                "the log is not received, and the server keeps %s of it: near max_slot_wal_keep_size (%s), where it is lost",
                kept, json_get_string(cluster, "limit", ""));
}

static char *disk_text(const json_t *cluster)
{
        const json_t *slot = json_object_get(cluster, "slot");
        _cleanup_free_ char *kept = format_size((uint64_t)MAX(json_get_int(slot, "kept_bytes", 0), INT64_C(0)));
        _cleanup_free_ char *room = format_size((uint64_t)MAX(json_get_int(slot, "room_bytes", 0), INT64_C(0)));

        return xasprintf(
                "the log is not received, the server keeps %s of it, and its disk has %s left: a server that cannot write its log stops",
                kept, room);
}

void slot_watch_tell(SlotWatch *watch, const Keeper *keeper, const char *service, const json_t *cluster)
{
        _cleanup_free_ char *text = NULL;
        SlotState state;

        watch->looking = false;
        if (!cluster || !json_is_object(json_object_get(cluster, "slot")))
                return;
        state = slot_judge(cluster);
        if (state == watch->state)
                return;
        text = state == SLOT_IS_NEAR      ? near_text(cluster)
               : state == SLOT_FILLS_DISK ? disk_text(cluster)
               : state == SLOT_IS_LOST
                       ? xasprintf("the replication slot is lost: the server had to keep more log than "
                                   "max_slot_wal_keep_size (%s); a new base backup is taken once the log is received "
                                   "again",
                                   json_get_string(cluster, "limit", ""))
                       : xstrdup("the slot is well again");
        if (state == SLOT_IS_WELL)
                log_info("%s: %s", service, text);
        else
                log_warning("%s: %s", service, text);
        alerts_tell(keeper, service, WHAT, state == SLOT_IS_WELL, text);
        watch->state = state;
}
