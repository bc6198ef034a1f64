#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/receiver_private.h"
#include "state/document.h"

#define STATE_FORMAT 1
#define TELL_NS      (500 * NSEC_PER_MSEC)

char *receiver_state_path(const ReceiverOptions *options)
{
        return layout_run(options->layout, "projects/%s/receivers/%s.json", options->project, options->service);
}

json_t *receiver_wish(bool synchronous, int64_t async_after_ns)
{
        return json_pack("{s:b, s:I}", "synchronous", synchronous, "async_after_ns", (json_int_t)async_after_ns);
}

void receiver_state_tell(ReceiverState *state, const ReceiverOptions *options, const Repository *repository, bool now)
{
        _cleanup_free_ char *path = NULL, *boot_id = NULL;
        char received[LSN_TEXT_SIZE], flushed[LSN_TEXT_SIZE], server[LSN_TEXT_SIZE];
        _cleanup_json_ json_t *document = NULL;

        if (!now && clock_monotonic_ns() - state->told_ns < TELL_NS)
                return;
        state->told_ns = clock_monotonic_ns();
        path = receiver_state_path(options);
        boot_id = layout_boot_id();
        document =
                json_pack("{s:s, s:i, s:i, s:s, s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "boot_id", boot_id, "pid",
                          (int)getpid(), "server_pid", (int)options->target.pid, "phase", state->phase, "timeline",
                          (int)state->timeline, "received", lsn_format(state->received, received), "flushed",
                          lsn_format(state->flushed, flushed), "server", lsn_format(state->server, server),
                          "received_ns", (json_int_t)state->received_ns, "caught_up_ns",
                          (json_int_t)state->caught_up_ns, "gap_ns", (json_int_t)state->gap_ns, "slot", options->slot);
        json_set_string(document, "message", state->message);
        json_set_string(document, "synchronous", synchronous_state_name(state->synchronous->state));
        json_set_string(document, "synchronous_message", state->synchronous->message);
        json_object_set_new(document, "asked", receiver_wish(options->synchronous, options->async_after_ns));
        json_set_string(document, "repository", repository ? repository->path : NULL);
        document_save_volatile(path, STATE_FORMAT, document, NULL);
}
