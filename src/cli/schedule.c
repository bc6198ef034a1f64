/* schedule: what a project does by the clock, from the file that its keeper writes; no keeper is needed to look. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "deploy/schedule.h"
#include "state/document.h"

#define OFFSITE_FORMAT 1

static const ListingColumn columns[] = {
        { "SERVICE", "Service" },
        { "JOB", "Job" },
        { "SCHEDULE", "Schedule" },
        { "NEXT", "Next" },
        { "LAST", "Last" },
        { "RESULT", "Result" },
        { "MESSAGE", "Message", .flexible = true },
        { NULL },
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
        if (json_get_int(job, "failures", 0)) /* it is tried again, before it is due or when it is */
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

/* ---- copies elsewhere, which have a file of their own ---- */

static char *copy_result(const json_t *state)
{
        int failures = (int)json_get_int(state, "failures", 0);

        if (json_get_bool(state, "running", false))
                return failures ? xasprintf("running, failed %d times", failures) : xstrdup("running");
        if (failures)
                return xasprintf("failed %d times", failures);
        return xstrdup(json_get_int(state, "finished_ns", 0) ? "succeeded" : "never");
}

/* How far behind it is, and why. */
static char *copy_message(const json_t *state)
{
        int64_t copied_ns = json_get_int(state, "copied_ns", 0), behind_ns = clock_realtime_ns() - copied_ns;
        const char *message = json_get_string(state, "message", "");
        _cleanup_free_ char *age = format_duration(MAX(behind_ns, INT64_C(0)) / NSEC_PER_SEC * NSEC_PER_SEC);
        _cleanup_free_ char *behind = copied_ns ? xasprintf("%s behind", age) : xstrdup("nothing is there yet");

        return *message ? xasprintf("%s: %s", behind, message) : TAKE_PTR(behind);
}

static json_t *row_of_copy(const char *service, const json_t *state, const Timezone *timezone)
{
        const char *zone = json_get_string(state, "timezone", NULL), *schedule = json_get_string(state, "schedule", "");
        bool is_interval = schedule[strcspn(schedule, " @")] == '\0';
        _cleanup_free_ char *next = local_text(timezone, json_get_int(state, "next_ns", 0)),
                            *result = copy_result(state);
        _cleanup_free_ char *last = local_text(timezone, json_get_int(state, "finished_ns", 0)),
                            *message = copy_message(state);
        _cleanup_free_ char *text = is_interval ? xasprintf("every %s", schedule)
                                    : zone      ? xasprintf("%s (%s)", schedule, zone)
                                                : xstrdup(schedule);

        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Service", service, "Job", "copy", "Schedule", text, "Next",
                         next, "Last", last, "Result", result, "Message", message);
}

static json_t *load(const Invocation *invocation, const Scope *scope, const char *file, int format, Error **err)
{
        _cleanup_free_ char *path = layout_data(invocation->layout, "projects/%s/%s", scope->name, file);
        _cleanup_error_ Error *failure = NULL;
        json_t *document = NULL;

        if (document_load(path, format, &document, &failure) < 0 && failure->kind != ERROR_NOT_FOUND)
                error_move(err, &failure, -(int)failure->kind);
        return document;
}

static int add_rows(const Invocation *invocation, const Scope *scope, const Timezone *timezone, json_t *rows,
                    Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        _cleanup_json_ json_t *jobs = load(invocation, scope, "schedule.json", SCHEDULE_FORMAT, &failure);
        _cleanup_json_ json_t *copies =
                load(invocation, scope, "offsite.json", OFFSITE_FORMAT, failure ? NULL : &failure);
        const char *service;
        json_t *item;
        size_t i;

        if (failure)
                return error_move(err, &failure, -(int)failure->kind);
        json_array_foreach(json_object_get(jobs, "jobs"), i, item)
                json_array_append_new(rows, row_of(item, timezone));
        json_object_foreach(json_object_get(copies, "services"), service, item)
                json_array_append_new(rows, row_of_copy(service, item, timezone));
        if (jobs || json_array_size(rows))
                return 0;
        return error_hint(err, error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no schedule", scope->name),
                          "It has one once \"berth up\" has started a database that is backed up.");
}

static int run_schedule(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_timezone_ Timezone *timezone = NULL;
        _cleanup_json_ json_t *rows = json_array();
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r == 0)
                r = timezone_load(NULL, &timezone, err);
        if (r == 0)
                r = add_rows(invocation, &scope, timezone, rows, err);
        return r < 0 ? r
                     : listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

static const Option options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};

const Command command_schedule = {
        .name = "schedule",
        .summary = "List what the project does by the clock: when next, when last, and how that went",
        .details =
                "Times are this machine's. A database is backed up at 02:00 unless x-berth.backup.schedule says "
                "otherwise. What came due while the machine was off is done once, when it is up again; what fails is "
                "tried three times more, and then told to whom x-berth.alerts names. Copies elsewhere are listed too, "
                "with how far behind they are.",
        .examples = "berth schedule\nberth -p shop schedule --format json",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .function = run_schedule,
};
