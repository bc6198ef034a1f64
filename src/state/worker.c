#include "state/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "state/document.h"

#define LINE_LIMIT      ((size_t)16 * 1024 * 1024)
#define CANCEL_GRACE_MS 10000 /* it has files to remove */

typedef struct Session {
        const WorkerRun *run;
        Process process;
        int output_fd;
        bool cancelled;
        int64_t kill_at_ns; /* 0: not yet told to give up */
        json_t *result;
        Error *error;
} Session;

static int write_params(const json_t *params, Error **err)
{
        _cleanup_(free_secretp) char *text = json_dumps(params, JSON_COMPACT);

        return fs_memory_file("params", text, strlen(text), err);
}

static int start(const Layout *layout, Session *session, Error **err)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-worker");
        const char *argv[] = { program, session->run->job, NULL };
        _cleanup_close_ int params = write_params(session->run->params, err), output = -1;
        int keep[] = { params, -1 }, both[2], r;
        ProcessSpec spec = PROCESS_SPEC_INIT;

        if (params < 0)
                return params;
        if (pipe2(both, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "pipe");
        session->output_fd = both[0];
        output = both[1];
        spec.argv = (char *const *)argv;
        spec.stdin_fd = session->run->input_fd;
        spec.stdout_fd = output;
        spec.stderr_fd = STDERR_FILENO;
        spec.keep_fds = keep;
        r = process_spawn(&spec, &session->process, err);
        return error_prefix(err, r, "start the worker");
}

static void take_line(Session *session, const char *line, size_t length)
{
        _cleanup_json_ json_t *event = json_loadb(line, length, 0, NULL);

        if (!json_is_object(event))
                return;
        if (json_object_get(event, "result"))
                session->result = json_incref(json_object_get(event, "result"));
        else if (json_object_get(event, "error"))
                error_from_json(&session->error, json_object_get(event, "error"));
        else if (session->run->event)
                session->run->event(session->run->context, event);
}

static void take_lines(Session *session, Strbuf *text)
{
        size_t start = 0;

        for (;;) {
                const char *line = strbuf_text(text) + start;
                const char *end = memchr(line, '\n', text->length - start);

                if (!end)
                        break;
                take_line(session, line, (size_t)(end - line));
                start += (size_t)(end - line) + 1;
        }
        strbuf_consume(text, start);
}

/* Told once; killed where it does not listen. */
static void cancel(Session *session)
{
        session->cancelled = true;
        session->kill_at_ns = clock_monotonic_ns() +
                              (session->run->grace_ms ? session->run->grace_ms : CANCEL_GRACE_MS) * NSEC_PER_MSEC;
        kill(session->process.pid, SIGTERM);
}

static int read_events(Session *session, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct pollfd items[2] = {
                { .fd = session->output_fd, .events = POLLIN },
                { .fd = session->run->cancel_fd, .events = POLLIN },
        };

        for (;;) {
                ssize_t n;

                if (poll(items, 2, session->cancelled ? 100 : -1) < 0 && errno != EINTR)
                        return error_set_errno(err, errno, "poll");
                if (session->cancelled && clock_monotonic_ns() > session->kill_at_ns)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (items[1].revents && !session->cancelled) {
                        cancel(session);
                        items[1].fd = -1;
                }
                if (!items[0].revents)
                        continue;
                strbuf_reserve(&text, 65536);
                n = read(session->output_fd, text.data + text.length, 65535);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n == 0 ? 0 : error_set_errno(err, errno, "read from the worker");
                text.length += (size_t)n;
                text.data[text.length] = '\0';
                if (text.length > LINE_LIMIT)
                        return error_set(err, ERROR_INTERNAL, "the worker's line is too long");
                take_lines(session, &text);
        }
}

static int finish(Session *session, json_t **ret, Error **err)
{
        int status, r = process_wait(&session->process, -1, &status, err);

        if (r < 0)
                return r;
        if (session->result) {
                *ret = TAKE_PTR(session->result);
                return 0;
        }
        if (session->error)
                return error_move(err, &session->error, -(int)session->error->kind);
        if (session->cancelled)
                return error_set(err, ERROR_CANCELLED, "cancelled");
        return error_set(err, ERROR_INTERNAL, "the worker's job \"%s\" ended with status %d and no result",
                         session->run->job, status);
}

int worker_run(const Layout *layout, const WorkerRun *run, json_t **ret, Error **err)
{
        Session session = { .run = run, .output_fd = -1 };
        int r = start(layout, &session, err);

        if (r == 0) {
                r = read_events(&session, err);
                if (r < 0)
                        process_kill(&session.process);
                else
                        r = finish(&session, ret, err);
        }
        fs_close(session.output_fd);
        json_decref(session.result);
        error_free(session.error);
        return r;
}
