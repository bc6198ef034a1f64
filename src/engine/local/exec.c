#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/exec_process.h"
#include "engine/local/private.h"

#define DEFAULT_OUTPUT_LIMIT ((size_t)1024 * 1024)
#define END_GRACE_MS         3000 /* pg_dump cancels its queries and ends */

/* The runtime's own failure, told apart from the command's by its words: with Docker's exit codes. */
static int exit_code_of(int status, const char *text)
{
        if (status != 255 || !strstr(text, "exec failed"))
                return status;
        return strstr(text, "not found") || strstr(text, "no such file") ? 127 : 126;
}

/* ---- captured ---- */

/* False at its end. */
static bool read_output(int fd, Strbuf *output, size_t limit)
{
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
        if (n <= 0)
                return false;
        if (output->length < limit)
                strbuf_add(output, chunk, MIN((size_t)n, limit - output->length));
        return true;
}

/* Until the process has ended and what it wrote is read: something it left behind may hold the pipe for ever.
 * False where the deadline came first. */
static bool converse(int fd, int pidfd, int timeout_ms, Strbuf *output, size_t limit)
{
        struct pollfd pollers[] = { { fd, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
        int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * NSEC_PER_MSEC;

        for (;;) {
                int64_t left_ms = timeout_ms > 0 ? (deadline - clock_monotonic_ns()) / NSEC_PER_MSEC + 1 : -1;
                if (timeout_ms > 0 && left_ms <= 0)
                        return false;
                if (poll(pollers, ARRAY_SIZE(pollers), (int)left_ms) < 0 && errno != EINTR)
                        return true;
                if (pollers[0].fd >= 0 && pollers[0].revents && !read_output(fd, output, limit))
                        pollers[0].fd = -1;
                if (pollers[1].revents && !(pollers[0].fd >= 0 && (pollers[0].revents & POLLIN)))
                        return true;
        }
}

static int capture(const ExecProcess *process, const ExecSpec *spec, int *ret_status, bool *ret_timed_out,
                   Strbuf *output, Error **err)
{
        ProcessSpec child = PROCESS_SPEC_INIT;
        _cleanup_close_ int output_read = -1, output_write = -1;
        int kept[3], fds[2], r;
        Process started;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        output_read = fds[0];
        output_write = fds[1];
        exec_process_fill(process, &child, kept);
        child.stdout_fd = child.stderr_fd = output_write;
        r = process_spawn(&child, &started, err);
        if (r < 0)
                return r;
        output_write = fs_close(output_write);
        *ret_timed_out = !converse(output_read, started.pidfd, spec->timeout_ms, output,
                                   spec->output_limit ? spec->output_limit : DEFAULT_OUTPUT_LIMIT);
        if (*ret_timed_out)
                exec_process_kill(process, &started);
        return process_wait(&started, -1, ret_status, err);
}

static int run_captured(const Layout *layout, const ContainerRecord *record, const ExecSpec *spec, bool by_runtime,
                        ExecResult *ret, Error **err)
{
        _cleanup_exec_process_ ExecProcess process = { 0 };
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        int status, r = exec_process_prepare(layout, record, spec, by_runtime, &process, err);

        if (r < 0)
                return r;
        if (process.failure) {
                ret->exit_code = process.failure;
                ret->output = xasprintf("%s\n", process.reason);
                return 0;
        }
        r = capture(&process, spec, &status, &ret->timed_out, &output, err);
        if (r < 0)
                return r;
        if (process.direct && status == ENTER_FAILED && startswith(strbuf_text(&output), ENTER_PREFIX))
                return run_captured(layout, record, spec, true, ret, err);
        ret->exit_code = process.direct ? status : exit_code_of(status, strbuf_text(&output));
        ret->output = strbuf_take(&output);
        return 0;
}

int local_exec(Engine *engine, const char *id, const ExecSpec *spec, ExecResult *ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        int r = local_running(engine, id, false, &record, err);

        *ret = (ExecResult){ 0 };
        return r < 0 ? r : run_captured(engine_layout(engine), record, spec, false, ret, err);
}

/* ---- with the caller's descriptors ---- */

/* Its end, or the end of patience with it. */
static int await(const ExecProcess *process, Process *started, const ExecSpec *spec, int *ret_exit_code, Error **err)
{
        struct pollfd pollers[] = { { started->pidfd, POLLIN, 0 },
                                    { spec->cancel_fd > 0 ? spec->cancel_fd : -1, POLLIN, 0 } };
        int64_t deadline = clock_monotonic_ns() + (int64_t)spec->timeout_ms * NSEC_PER_MSEC;
        int ready = 0, r;

        if (started->pidfd < 0 || (spec->timeout_ms <= 0 && spec->cancel_fd <= 0))
                return process_wait(started, -1, ret_exit_code, err);
        do {
                int64_t left_ms = spec->timeout_ms > 0
                                          ? MAX((deadline - clock_monotonic_ns()) / NSEC_PER_MSEC + 1, INT64_C(0))
                                          : -1;
                ready = poll(pollers, ARRAY_SIZE(pollers), (int)left_ms);
        } while (ready < 0 && errno == EINTR);
        if (pollers[0].revents)
                return process_wait(started, -1, ret_exit_code, err);
        exec_process_terminate(process, started);
        pollers[0].revents = 0;
        poll(pollers, 1, END_GRACE_MS);
        if (!pollers[0].revents)
                exec_process_kill(process, started);
        r = process_wait(started, -1, ret_exit_code, err);
        if (r < 0)
                return r;
        return pollers[1].revents
                       ? error_set(err, ERROR_CANCELLED, "cancelled")
                       : error_set(err, ERROR_TIMEOUT, "%s: no answer in %d s", spec->argv[0], spec->timeout_ms / 1000);
}

int local_exec_stdio(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_exec_process_ ExecProcess process = { 0 };
        ProcessSpec child = PROCESS_SPEC_INIT;
        int kept[3], r = local_running(engine, id, false, &record, err);
        Process started;

        if (r >= 0)
                r = exec_process_prepare(engine_layout(engine), record, spec, false, &process, err);
        if (r < 0)
                return r;
        if (process.failure) {
                if (spec->stderr_fd >= 0)
                        dprintf(spec->stderr_fd, "%s\n", process.reason);
                *ret_exit_code = process.failure;
                return 0;
        }
        exec_process_fill(&process, &child, kept);
        child.stdin_fd = spec->stdin_fd;
        child.stdout_fd = spec->stdout_fd;
        child.stderr_fd = spec->stderr_fd;
        r = process_spawn(&child, &started, err);
        return r < 0 ? r : await(&process, &started, spec, ret_exit_code, err);
}
