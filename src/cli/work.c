#include "cli/work.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cli/interrupts.h"
#include "cli/output/progress.h"
#include "cli/report.h"
#include "state/document.h"
#include "state/worker.h"

typedef struct Shown {
        const Work *work;
        Progress *progress;
        int64_t start_ns;
} Shown;

static void show_state(Shown *shown, const char *state, const char *text)
{
        _cleanup_json_ json_t *event = json_pack(
                "{s:s, s:s, s:s, s:s, s:I}", "event", "resource", "kind", shown->work->kind, "name", shown->work->name,
                "state", state, "ms", (json_int_t)((clock_monotonic_ns() - shown->start_ns) / NSEC_PER_MSEC));

        json_set_string(event, "text", text);
        progress_event(shown->progress, event);
}

/* A line that is redrawn has it in itself. */
static void show_status(Shown *shown, const char *text)
{
        _cleanup_free_ char *line = xasprintf("%s: %s", shown->work->name, text);

        show_state(shown, shown->work->state, text);
        if (!progress_is_live(shown->progress))
                progress_message(shown->progress, line);
}

static void show_bytes(Shown *shown, const json_t *told)
{
        _cleanup_json_ json_t *event =
                json_pack("{s:s, s:s, s:s}", "event", "bytes", "kind", shown->work->kind, "name", shown->work->name);

        json_object_update(event, (json_t *)told);
        progress_event(shown->progress, event);
}

static void on_event(void *context, const json_t *event)
{
        Shown *shown = context;
        const char *status = json_get_string(event, "status", NULL), *warning = json_get_string(event, "warning", NULL);

        if (status)
                show_status(shown, status);
        else if (warning)
                report_warning(warning);
        else if (json_object_get(event, "done"))
                show_bytes(shown, event);
        if (progress_is_live(shown->progress))
                progress_tick(shown->progress);
}

int work_run(const Invocation *invocation, const Work *work, json_t *params, json_t **ret, Error **err)
{
        _cleanup_(progress_freep) Progress *progress =
                progress_create(invocation_progress_mode(invocation), work->title);
        _cleanup_json_ json_t *owned = params;
        Shown shown = { work, progress, clock_monotonic_ns() };
        WorkerRun run = { .job = work->job,
                          .params = owned,
                          .input_fd = -1,
                          .cancel_fd = interrupts_open(),
                          .context = &shown,
                          .event = on_event };
        int r;

        show_state(&shown, work->state, NULL);
        r = worker_run(invocation->layout, &run, ret, err);
        show_state(&shown, r < 0 ? "failed" : work->end_state, NULL);
        progress_finish(progress, r >= 0);
        return r;
}

int work_ask(const Invocation *invocation, const char *job, json_t *params, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *owned = params;
        WorkerRun run = { .job = job, .params = owned, .input_fd = -1, .cancel_fd = -1 };

        return worker_run(invocation->layout, &run, ret, err);
}
