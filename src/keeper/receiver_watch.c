#include "keeper/receiver_watch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "keeper/alerts.h"
#include "operate/receiver_control.h"
#include "state/document.h"

#define WHAT           "receiver"
#define LIMIT_VARIABLE "BERTH_RECEIVER_ALERT_SECONDS"
#define LIMIT_S        60

static int64_t limit_ns(void)
{
        const char *text = getenv(LIMIT_VARIABLE);
        int64_t seconds = LIMIT_S;

        if (text && !parse_int64(text, 1, 1000000, &seconds))
                seconds = LIMIT_S;
        return seconds * NSEC_PER_SEC;
}

static char *text_of(const Keeper *keeper, const char *service)
{
        _cleanup_json_ json_t *state = receiver_state_load(keeper->parts.layout, keeper->project, service);
        const char *message = json_get_string(state, "message", NULL);

        return xasprintf("the log is not received, and what is committed now would be lost with the database: %s",
                         message ?: "the receiver does not run");
}

void receiver_watch_see(ReceiverWatch *watch, const Keeper *keeper, const char *service, bool receives)
{
        int64_t now_ns = loop_now_ns(keeper->parts.loop);
        _cleanup_free_ char *text = NULL;

        if (receives) {
                if (watch->told)
                        alerts_tell(keeper, service, WHAT, true, "the log is received again");
                *watch = (ReceiverWatch){ 0 };
                return;
        }
        watch->since_ns = watch->since_ns ?: now_ns;
        if (watch->told || now_ns - watch->since_ns < limit_ns())
                return;
        watch->told = true;
        text = text_of(keeper, service);
        log_warning("%s: %s", service, text);
        alerts_tell(keeper, service, WHAT, false, text);
}
