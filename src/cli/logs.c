/* logs: reads the files that the monitor writes; needs no keeper. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/describe.h"
#include "cli/interrupts.h"
#include "cli/output/log_view.h"
#include "cli/scope.h"
#include "cli/verbs.h"

/* A time, or how long ago. */
static int parse_moment(const char *option, const char *text, int64_t *ret_ns, Error **err)
{
        int64_t duration_ns, seconds;

        if (clock_parse_time(text, ret_ns))
                return 0;
        if (parse_int64(text, 0, INT64_MAX / NSEC_PER_SEC, &seconds)) {
                *ret_ns = seconds * NSEC_PER_SEC;
                return 0;
        }
        if (parse_duration(text, &duration_ns)) {
                *ret_ns = clock_realtime_ns() - duration_ns;
                return 0;
        }
        return error_hint(err, error_set(err, ERROR_USAGE, "--%s: \"%s\" is no time", option, text),
                          "Write a time as 2026-11-21T12:00:00Z, or how long ago as 10m or 2h30m.");
}

static int log_query(const Invocation *invocation, LogQuery *ret, Error **err)
{
        const char *since = invocation_text(invocation, "since", NULL),
                   *until = invocation_text(invocation, "until", NULL);
        const char *tail = invocation_text(invocation, "tail", "all");
        int r = 0;

        *ret = (LogQuery){ .follow = invocation_flag(invocation, "follow"), .tail = -1, .cancel_fd = -1 };
        if (!streq(tail, "all") && !parse_int64(tail, -1, INT64_MAX, &ret->tail))
                return error_set(err, ERROR_USAGE, "--tail: \"%s\" is neither a number of lines nor \"all\"", tail);
        if (since)
                r = parse_moment("since", since, &ret->since_ns, err);
        if (r >= 0 && until)
                r = parse_moment("until", until, &ret->until_ns, err);
        return r;
}

static int show(LogView *view, bool follow, Error **err)
{
        const char *id;

        for (;;) {
                int r = log_view_run(view, !follow, follow ? interrupts_open() : -1, -1, &id, err);

                if (r < 0)
                        return r;
                if (r == LOG_VIEW_INTERRUPTED)
                        return -ERROR_CANCELLED;
                if (r == LOG_VIEW_ALL_ENDED)
                        return 0;
        }
}

static int run_logs(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_(log_view_freep) LogView *view = NULL;
        int64_t index = invocation_number(invocation, "index", 0);
        LogQuery query;
        int r;

        r = log_query(invocation, &query, err);
        if (r < 0)
                return r;
        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, scope.containers != NULL, &list, err);
        if (r < 0)
                return r;
        view = log_view_create(scope.engine, (LogStyle){ .prefix = !invocation_flag(invocation, "no-log-prefix"),
                                                         .timestamps = invocation_flag(invocation, "timestamps"),
                                                         .color = !invocation_flag(invocation, "no-color") });
        for (size_t i = 0; i < list.length; i++) {
                if (index > 0 && list.items[i]->number != index)
                        continue;
                r = log_view_add(view, list.items[i]->id, container_short_name(list.items[i]), &query, err);
                if (r < 0)
                        return r;
        }
        return show(view, query.follow, err);
}

static const Option options[] = {
        { "follow", 'f', OPTION_FLAG, NULL, "Go on with what comes" },
        { "index", 0, OPTION_NUMBER, "N", "The n-th container of a scaled service" },
        { "no-color", 0, OPTION_FLAG, NULL, "No colour" },
        { "no-log-prefix", 0, OPTION_FLAG, NULL, "No name in front of the lines" },
        { "since", 0, OPTION_TEXT, "TIME", "Only lines since a time (2026-11-21T12:00:00Z) or for so long (42m)" },
        { "tail", 'n', OPTION_TEXT, "LINES", "Only the last lines of each container (default: all)" },
        { "timestamps", 't', OPTION_FLAG, NULL, "A time in front of each line" },
        { "until", 0, OPTION_TEXT, "TIME", "Only lines before a time, or until so long ago" },
        { NULL },
};

const Command command_logs = {
        .name = "logs",
        .summary = "Show the output of containers",
        .arguments = "[SERVICE...]",
        .examples = "berth logs -f db\nberth logs --since 10m --no-log-prefix db | grep ERROR",
        .differences = "lines of several services are in order of their time.",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT,
        .options = options,
        .max_arguments = -1,
        .function = run_logs,
        .complete = COMPLETE_SERVICES,
};
