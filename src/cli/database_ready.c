/* Waiting until a database that was just started answers. */
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/database.h"
#include "cli/work.h"
#include "operate/target.h"
#include "state/document.h"

#define LOOK_NS  (20 * NSEC_PER_MSEC)
#define LIMIT_NS (60 * NSEC_PER_SEC)

/* One that refuses us, for want of a password, answers, too. */
static bool answers(const Invocation *invocation, const Scope *scope, const ContainerInfo *info, char **ret_reason)
{
        _cleanup_json_ json_t *answer = NULL;
        _cleanup_error_ Error *error = NULL;
        const char *reason;
        int r = work_ask(invocation, "status",
                         json_pack("{s:s, s:s, s:o, s:b}", "project", scope->name, "service", info->service, "target",
                                   database_target_to_json(info), "cluster_only", 1),
                         &answer, &error);

        if (r < 0) {
                free_and_replace(ret_reason, xstrdup(error->message));
                return false;
        }
        reason = json_get_string(answer, "unreachable", NULL);
        if (!reason || streq(json_get_string(answer, "unreachable_kind", ""), error_kind_name(ERROR_DENIED)))
                return true;
        free_and_replace(ret_reason, xstrdup(reason));
        return false;
}

int scope_database_await(const Invocation *invocation, const Scope *scope, const char *service, Error **err)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + LIMIT_NS;
        _cleanup_free_ char *reason = NULL;
        int r;

        for (;;) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;

                r = scope_database(scope, service, &info, err);
                if (r < 0)
                        return error_hint(err, r, "\"berth logs %s\" says why it ended.", service);
                if (answers(invocation, scope, info, &reason))
                        return 0;
                if (clock_monotonic_ns() >= until_ns)
                        break;
                nanosleep(&pause, NULL);
        }
        r = error_set(err, ERROR_TIMEOUT, "the server of service \"%s\" does not answer: %s", service, reason);
        return error_hint(err, r, "\"berth logs %s\" shows what it does.", service);
}
