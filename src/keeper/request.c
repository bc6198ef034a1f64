#include "keeper/request.h"

#include <stdarg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/document.h"

#define BYTES_PAUSE_NS (100 * NSEC_PER_MSEC) /* between two events about bytes */

Request *request_create(Keeper *keeper, Channel *channel, const char *method, json_t *params)
{
        Request *request = xnew(Request);

        request->keeper = keeper;
        request->channel = channel;
        request->method = xstrdup(method);
        request->params = json_is_object(params) ? json_incref(params) : json_object();
        request->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        request->first_event_ns = (Strmap){ .free_value = free };
        return request;
}

void request_free(Request *request)
{
        if (!request)
                return;
        json_decref(request->params);
        fs_close(request->cancel_fd);
        strmap_done(&request->first_event_ns);
        free(request->method);
        free(request);
}

void request_cancel(Request *request)
{
        static const uint64_t one = 1;

        request->cancelled = true;
        if (write(request->cancel_fd, &one, sizeof(one)) < 0)
                return; /* it is readable already */
}

static void send_event(Request *request, json_t *event)
{
        if (request->channel)
                channel_send(request->channel, event);
        json_decref(event);
}

static int64_t elapsed_ms(Request *request, const char *kind, const char *name)
{
        _cleanup_free_ char *key = xasprintf("%s %s", kind, name);
        int64_t now_ns = loop_now_ns(request->keeper->parts.loop);
        int64_t *first_ns = strmap_get(&request->first_event_ns, key);

        if (!first_ns) {
                first_ns = xnew(int64_t);
                *first_ns = now_ns;
                strmap_set(&request->first_event_ns, key, first_ns);
        }
        return (now_ns - *first_ns) / NSEC_PER_MSEC;
}

void request_resource(Request *request, const char *kind, const char *name, const char *service, const char *id,
                      const char *state, const char *text)
{
        json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:I}", "event", "resource", "kind", kind, "name", name, "state",
                                  state, "ms", (json_int_t)elapsed_ms(request, kind, name));

        json_set_string(event, "service", service);
        json_set_string(event, "id", id);
        json_set_string(event, "text", text);
        send_event(request, event);
}

static void send_message(Request *request, const char *event, const char *format, va_list arguments)
{
        _cleanup_free_ char *text = xvasprintf(format, arguments);

        send_event(request, json_pack("{s:s, s:s}", "event", event, "message", text));
}

void request_note(Request *request, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        send_message(request, "note", format, arguments);
        va_end(arguments);
}

void request_warning(Request *request, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        send_message(request, "warning", format, arguments);
        va_end(arguments);
}

/* ---- progress from other threads ---- */

typedef struct ProgressEvent {
        Request *request;
        json_t *event; /* NULL: a resource event of what follows */
        char *kind, *name, *service, *state, *text;
} ProgressEvent;

static void deliver_event(void *context)
{
        ProgressEvent *item = context;

        if (item->event)
                send_event(item->request, item->event);
        else
                request_resource(item->request, item->kind, item->name, item->service, NULL, item->state, item->text);
        free(item->kind);
        free(item->name);
        free(item->service);
        free(item->state);
        free(item->text);
        free(item);
}

static void defer(const RequestProgress *progress, ProgressEvent event)
{
        event.request = progress->request;
        loop_defer(progress->request->keeper->parts.loop, deliver_event, xmemdup(&event, sizeof(event)));
}

void request_progress_resource(const RequestProgress *progress, const char *kind, const char *name, const char *state,
                               const char *text)
{
        defer(progress, (ProgressEvent){ .kind = xstrdup(kind),
                                         .name = xstrdup(name),
                                         .service = xstrdup(progress->service),
                                         .state = xstrdup(state),
                                         .text = xstrdup(text) });
}

static void on_status(void *context, const char *text)
{
        const RequestProgress *progress = context;

        request_progress_resource(progress, progress->kind, progress->name,
                                  streq(progress->kind, "image") ? "pulling" : "creating", text);
}

static void on_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
        RequestProgress *progress = context;
        int64_t now_ns = clock_monotonic_ns();

        if (done != total && now_ns - progress->last_bytes_ns < BYTES_PAUSE_NS)
                return;
        progress->last_bytes_ns = now_ns;
        defer(progress, (ProgressEvent){ .event = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "event", "bytes", "kind",
                                                            progress->kind, "name", progress->name, "what", what,
                                                            "done", (json_int_t)done, "total", (json_int_t)total) });
}

static void on_warning(void *context, const char *text)
{
        defer(context, (ProgressEvent){ .event = json_pack("{s:s, s:s}", "event", "warning", "message", text) });
}

void request_progress_init(RequestProgress *progress, Request *request, const char *kind, const char *name,
                           const char *service)
{
        *progress = (RequestProgress){
                .progress = { .context = progress,
                              .status = on_status,
                              .bytes = on_bytes,
                              .warning = on_warning,
                              .cancel_fd = request->cancel_fd },
                .request = request,
                .kind = xstrdup(kind),
                .name = xstrdup(name),
                .service = xstrdup(service),
        };
}

void request_progress_done(RequestProgress *progress)
{
        free(progress->kind);
        free(progress->name);
        free(progress->service);
}

/* ---- the end ---- */

static void begin_next(void *context)
{
        Keeper *keeper = context;
        Request *next;

        if (keeper->current || !keeper->ready || keeper->queue.length == 0) {
                keeper_check_idle(keeper);
                return;
        }
        next = keeper->queue.items[0];
        keeper->queue.length--;
        memmove(keeper->queue.items, keeper->queue.items + 1, keeper->queue.length * sizeof(Request *));
        keeper->current = next;
        request_begin(next);
}

static void end_request(Request *request, json_t *line, json_t *result, const Error *error)
{
        Keeper *keeper = request->keeper;

        if (request->channel) {
                channel_send(request->channel, line);
                if (channel_data(request->channel) == request)
                        channel_set_data(request->channel, NULL);
        }
        if (request->finished)
                request->finished(request->context, result, error);
        json_decref(line);
        if (keeper->current == request)
                keeper->current = NULL;
        request_free(request);
        loop_defer(keeper->parts.loop, begin_next, keeper); /* not from here: callers are deep in the old one */
}

void request_finish(Request *request, json_t *result)
{
        if (!result)
                result = json_object();
        end_request(request, json_pack("{s:o}", "result", result), result, NULL);
}

void request_fail(Request *request, const Error *error)
{
        log_warning("%s: %s%s%s", request->method, error->message, error->hint ? ": " : "",
                    error->hint ? error->hint : "");
        end_request(request, json_pack("{s:o}", "error", json_from_error(error)), NULL, error);
}
