/* schedule: what a project does by the clock, from the file that its keeper writes; no keeper is needed to look. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "deploy/schedule.h"
#include "state/document.h"

static const ListingColumn columns[] = {
        { "SERVICE", "Service" }, { "JOB", "Job" },         { "SCHEDULE", "Schedule" },
        { "NEXT", "Next" },       { "LAST", "Last" },       { "RESULT", "Result" },
        { "MESSAGE", "Message", .flexible = true }, { NULL },
};

/* "2026-11-22 02:04 CET"-like, in this machine's zone; "" for never. */
static char *local_text(const Timezone *timezone, int64_t realtime_ns)
{
        LocalTime local;

        if (realtime_ns <= 0)
                return xstrdup("");
        timezone_local(timezone, realtime_ns / NSEC_PER_SEC, &local);
        return xasprintf("%04d-%02d-%02d %02d:%02d", local.year, local.month, local.day, local.hour, local.minute);
}

static char *result_text(const json_t *job)
{
        if (json_get_bool(job, "running", false))
                return xstrdup("running");
        if (json_get_int(job, "retry_ns", 0))
                return xasprintf("failed %d times", (int)json_get_int(job, "failures", 0));
        return xstrdup(json_get_string(job, "outcome", "never"));
}

static json_t *row_of(const json_t *job, const Timezone *timezone)
{
        const char *zone = json_get_string(job, "timezone", NULL), *expression = json_get_string(job, "expression", "");
        _cleanup_free_ char *next = local_text(timezone, json_get_int(job, "next_ns", 0)), *result = result_text(job);
        _cleanup_free_ char *last = local_text(timezone, json_get_int(job, "finished_ns", 0));
        _cleanup_free_ char *schedule = zone ? xasprintf("%s (%s)", expression, zone) : xstrdup(expression);

        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Service", json_get_string(job, "service", ""), "Job",
                         json_get_string(job, "kind", ""), "Schedule", schedule, "Next", next, "Last", last, "Result",
                         result, "Message", json_get_string(job, "message", ""));
}

static int run_schedule(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_timezone_ Timezone *timezone = NULL;
        _cleanup_json_ json_t *rows = json_array(), *document = NULL;
        _cleanup_free_ char *path = NULL;
        const json_t *job;
        size_t i;
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r < 0)
                return r;
        path = layout_data(invocation->layout, "projects/%s/schedule.json", scope.name);
        if (!fs_exists(path))
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no schedule", scope.name),
                                  "It has one once \"berth up\" has started a database that is backed up.");
        r = document_load(path, SCHEDULE_FORMAT, &document, err);
        if (r == 0)
                r = timezone_load(NULL, &timezone, err);
        if (r < 0)
                return r;
        json_array_foreach(json_object_get(document, "jobs"), i, job)
                json_array_append_new(rows, row_of(job, timezone));
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

static const Option options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};

const Command command_schedule = {
        .name = "schedule",
        .summary = "List what the project does by the clock: when next, when last, and how that went",
        .details = "Times are this machine's. A database is backed up at 02:00 unless x-berth.backup.schedule says "
                   "otherwise. What came due while the machine was off is done once, when it is up again; what fails is "
                   "tried three times more, and then told to whom x-berth.alerts names.",
        .examples = "berth schedule\nberth -p shop schedule --format json",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .function = run_schedule,
};
