#include "cli/output/log_view.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/vector.h"
#include "cli/output/color.h"
#include "cli/report.h"

#define READ_SIZE 65536
#define SETTLE_MS 20

typedef struct Header { /* of a line in the pipe; text follows */
        int64_t time_ns;
        uint32_t length;
        int32_t stream;
} Header;

typedef struct Source {
        LogView *view;
        char *id, *label;
        LogQuery query;
        size_t index;          /* for its colour */
        int read_fd, write_fd; /* write_fd is the thread's */
        pthread_t thread;
        Strbuf input;
        bool at_end; /* the pipe was closed */
        bool told;   /* its end was reported */
        int result;  /* of the thread, valid once at_end */
        Error *error;
} Source;

struct LogView {
        Engine *engine;
        LogStyle style;
        VECTOR(Source *) sources;
        size_t label_width;
        int cancel_fd;        /* readable: all readers give up */
        VECTOR(char *) known; /* ids in the order of their first coming: their colours */
};

LogView *log_view_create(Engine *engine, LogStyle style)
{
        LogView *view = xnew(LogView);

        view->engine = engine;
        view->style = style;
        view->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return view;
}

static void source_free(Source *source)
{
        fs_close(source->read_fd);
        pthread_join(source->thread, NULL);
        strbuf_done(&source->input);
        error_free(source->error);
        free(source->id);
        free(source->label);
        free(source);
}

void log_view_free(LogView *view)
{
        if (!view)
                return;
        eventfd_write(view->cancel_fd, 1);
        VECTOR_FOREACH(source, &view->sources)
                source_free(*source);
        vector_done(&view->sources);
        VECTOR_FOREACH(id, &view->known)
                free(*id);
        vector_done(&view->known);
        fs_close(view->cancel_fd);
        free(view);
}

void log_view_reserve_width(LogView *view, const char *label)
{
        view->label_width = MAX(view->label_width, text_width(label));
}

/* ---- the reading threads ---- */

static int send_line(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        Source *source = context;
        Header header = { .time_ns = time_ns, .length = (uint32_t)length, .stream = stream };
        char small[4096];

        if (length + sizeof(header) <= sizeof(small)) {
                memcpy(small, &header, sizeof(header));
                memcpy(small + sizeof(header), text, length);
                return fs_write_all(source->write_fd, small, sizeof(header) + length, NULL);
        }
        if (fs_write_all(source->write_fd, &header, sizeof(header), NULL) < 0)
                return -ERROR_CANCELLED;
        return fs_write_all(source->write_fd, text, length, NULL);
}

static void *read_source(void *argument)
{
        Source *source = argument;
        Engine *engine = source->view->engine;

        source->result =
                engine->operations->logs(engine, source->id, &source->query, send_line, source, &source->error);
        fs_close(source->write_fd);
        return NULL;
}

static size_t color_index(LogView *view, const char *id)
{
        for (size_t i = 0; i < view->known.length; i++)
                if (streq(view->known.items[i], id))
                        return i;
        vector_add(&view->known, xstrdup(id));
        return view->known.length - 1;
}

int log_view_add(LogView *view, const char *id, const char *label, const LogQuery *query, Error **err)
{
        Source *source = xnew(Source);
        sigset_t all, before;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0) {
                free(source);
                return error_set_errno(err, errno, "make a pipe");
        }
        *source = (Source){ .view = view,
                            .id = xstrdup(id),
                            .label = xstrdup(label),
                            .query = *query,
                            .index = color_index(view, id),
                            .read_fd = fds[0],
                            .write_fd = fds[1] };
        source->query.cancel_fd = view->cancel_fd;
        log_view_reserve_width(view, label);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&source->thread, NULL, read_source, source);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0) {
                fs_close(fds[0]);
                fs_close(fds[1]);
                free(source->id);
                free(source->label);
                free(source);
                return error_set_errno(err, r, "start a thread");
        }
        vector_add(&view->sources, source);
        return 0;
}

/* ---- printing ---- */

static bool source_has_line(const Source *source)
{
        Header header;

        if (source->input.length < sizeof(header))
                return false;
        memcpy(&header, source->input.data, sizeof(header));
        return source->input.length >= sizeof(header) + header.length;
}

static void print_prefix(const LogView *view, size_t index, const char *label)
{
        if (!view->style.prefix)
                return;
        printf("%s%s%*s  | %s", view->style.color ? color(stdout, color_of_index(index)) : "", label,
               (int)(view->label_width - text_width(label)), "", view->style.color ? color(stdout, COLOR_RESET) : "");
}

static void print_line(const LogView *view, Source *source)
{
        Header header;

        memcpy(&header, source->input.data, sizeof(header));
        print_prefix(view, source->index, source->label);
        if (view->style.timestamps) {
                _cleanup_free_ char *time = clock_format_rfc3339(header.time_ns);

                printf("%s ", time);
        }
        fwrite(source->input.data + sizeof(header), 1, header.length, stdout);
        fputc('\n', stdout);
        strbuf_consume(&source->input, sizeof(header) + header.length);
}

void log_view_note(LogView *view, const char *id, const char *text)
{
        printf("%s%s%s\n", view->style.color ? color(stdout, color_of_index(color_index(view, id))) : "", text,
               view->style.color ? color(stdout, COLOR_RESET) : "");
        fflush(stdout);
}

/* The source whose next line is the oldest; NULL where none has one, or, in_order, where one is still awaited. */
static Source *oldest_line(LogView *view, bool in_order)
{
        Source *best = NULL;
        int64_t best_ns = 0;

        VECTOR_FOREACH(item, &view->sources) {
                Source *source = *item;
                int64_t time_ns;

                if (!source_has_line(source)) {
                        if (in_order && !source->at_end)
                                return NULL;
                        continue;
                }
                memcpy(&time_ns, source->input.data, sizeof(time_ns));
                if (!best || time_ns < best_ns) {
                        best = source;
                        best_ns = time_ns;
                }
        }
        return best;
}

static int print_ready(LogView *view, bool in_order, Error **err)
{
        Source *source;
        bool any = false;

        while ((source = oldest_line(view, in_order))) {
                print_line(view, source);
                any = true;
                if (ferror(stdout))
                        break;
        }
        return any ? report_flush(err) : 0;
}

/* Reads what is there; the end of the pipe is the end of the thread. */
static void source_fill(Source *source)
{
        ssize_t n;

        strbuf_reserve(&source->input, READ_SIZE);
        n = read(source->read_fd, source->input.data + source->input.length, READ_SIZE);
        if (n > 0) {
                source->input.length += (size_t)n;
                source->input.data[source->input.length] = '\0';
        } else if (n == 0 || errno != EINTR) {
                source->at_end = true;
        }
}

/* Polls all pipes that may bring something. Number of ready descriptors, 0 after the timeout, -1 where interrupted. */
static int wait_for_input(LogView *view, bool in_order, int interrupt_fd, int timeout_ms)
{
        size_t length = view->sources.length;
        _cleanup_free_ struct pollfd *pollers = xnew_array(struct pollfd, length + 1);
        int r;

        for (size_t i = 0; i < length; i++) {
                Source *source = view->sources.items[i];
                bool skip = source->at_end || (in_order && source_has_line(source));

                pollers[i] = (struct pollfd){ .fd = skip ? -1 : source->read_fd, .events = POLLIN };
        }
        pollers[length] = (struct pollfd){ .fd = interrupt_fd, .events = POLLIN };
        r = poll(pollers, length + 1, timeout_ms);
        if (r <= 0)
                return r < 0 && errno == EINTR ? 1 : r;
        if (pollers[length].revents)
                return -1;
        for (size_t i = 0; i < length; i++)
                if (pollers[i].revents)
                        source_fill(view->sources.items[i]);
        return r;
}

static size_t count_open(const LogView *view)
{
        size_t open = 0;

        for (size_t i = 0; i < view->sources.length; i++)
                open += !view->sources.items[i]->at_end || source_has_line(view->sources.items[i]);
        return open;
}

/* 1: a source has ended that was not told yet. */
static int next_ended(LogView *view, const char **ret_id, Error **err)
{
        VECTOR_FOREACH(item, &view->sources) {
                Source *source = *item;

                if (!source->at_end || source->told || source_has_line(source))
                        continue;
                source->told = true;
                *ret_id = source->id;
                if (source->result < 0 && source->error && source->result != -ERROR_CANCELLED)
                        return error_move(err, &source->error, source->result);
                return 1;
        }
        return 0;
}

int log_view_run(LogView *view, bool in_order, int interrupt_fd, int timeout_ms, const char **ret_id, Error **err)
{
        int64_t deadline_ns = timeout_ms < 0 ? 0 : clock_monotonic_ns() + timeout_ms * NSEC_PER_MSEC;
        /* What was there before is put in order as far as it is read within a moment. */
        int64_t settled_ns = clock_monotonic_ns() + SETTLE_MS * NSEC_PER_MSEC;

        for (;;) {
                int64_t now_ns = clock_monotonic_ns();
                bool settling = !in_order && now_ns < settled_ns;
                int r = print_ready(view, in_order || settling, err);

                if (r < 0)
                        return r;
                r = next_ended(view, ret_id, err);
                if (r != 0)
                        return r < 0 ? r : LOG_VIEW_ONE_ENDED;
                if (count_open(view) == 0 && timeout_ms < 0)
                        return LOG_VIEW_ALL_ENDED;
                if (deadline_ns > 0 && now_ns >= deadline_ns)
                        return LOG_VIEW_TIMEOUT;
                r = wait_for_input(view, in_order || settling, interrupt_fd,
                                   settling          ? SETTLE_MS
                                   : deadline_ns > 0 ? (int)((deadline_ns - now_ns) / NSEC_PER_MSEC) + 1
                                                     : -1);
                if (r < 0)
                        return LOG_VIEW_INTERRUPTED;
        }
}
