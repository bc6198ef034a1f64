/* alert {"project", "service", "what", "good", "message", "ways": {"command"?, "webhook"?, "mail"?: {"to", "from"?}}} → {} */
#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/alert.h"
#include "state/document.h"
#include "worker/job.h"

int job_alert(const Job *job, json_t **ret, Error **err)
{
        const json_t *given = json_object_get(job->params, "ways"), *mail = json_object_get(given, "mail");
        _cleanup_strv_ char **command = json_get_strv(given, "command");
        AlertWays ways = { command, json_get_string(given, "webhook", NULL), json_get_string(mail, "to", NULL),
                           json_get_string(mail, "from", NULL) };
        Alert alert = { .good = json_get_bool(job->params, "good", false),
                        .message = json_get_string(job->params, "message", NULL),
                        .at_ns = clock_realtime_ns() };
        int r = job_require(job, "project", &alert.project, err);

        if (r == 0)
                r = job_require(job, "service", &alert.service, err);
        if (r == 0)
                r = job_require(job, "what", &alert.what, err);
        return r == 0 ? alert_send(&ways, &alert, err) : r;
}
