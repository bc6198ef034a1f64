/* The control socket: who may say what, and in which order it is done (protocol.h). */
#include "keeper/drills.h"
#include "keeper/protocol.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "keeper/backups.h"
#include "keeper/execute.h"
#include "keeper/request.h"
#include "keeper/watch.h"
#include "state/document.h"

#define OUTPUT_LIMIT ((size_t)64 * 1024 * 1024)

/* Asked before what runs has been taken over. */
static void request_status(Request *request)
{
        request_finish(request, watch_status(request->keeper));
}

static const struct {
        const char *name;
        void (*begin)(Request *request);
} methods[] = {
        { "up", method_up },
        { "down", method_down },
        { "start", method_start },
        { "stop", method_stop },
        { "restart", method_restart },
        { "kill", method_kill },
        { "rm", method_rm },
        { "run", method_run },
        { "start_oneoff", method_start_oneoff },
        { "status", request_status },
        { "boot", method_boot },
        { "halt", method_halt },
        { "refresh", method_refresh },
        { "release", method_release },
        { "drill", method_drill },
        { "restore", method_restore },
        { "restore_part", method_restore_part },
        { "restore_exchange", method_restore_exchange },
        { "pull", method_pull },
        { "pause", method_pause },
        { "unpause", method_unpause },
};

static bool method_is_known(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
                if (streq(methods[i].name, name))
                        return true;
        return false;
}

/* What the keeper found when it took over is told to the first who asks for something. */
static void tell_findings(Request *request)
{
        Keeper *keeper = request->keeper;

        if (keeper->state.kept_aside)
                request_warning(request, "%s was damaged: it is kept as %s and was rebuilt from what runs",
                                keeper->state.path, keeper->state.kept_aside);
        if (keeper->takeover_error)
                request_warning(request, "%s", keeper->takeover_error);
        free_and_replace(&keeper->state.kept_aside, NULL);
        free_and_replace(&keeper->takeover_error, NULL);
}

static void refuse_start(Request *request)
{
        _cleanup_error_ Error *error = NULL;

        error_set(&error, ERROR_UNAVAILABLE, "%s: the machine is going down", request->method);
        request_fail(request, error);
}

void request_begin(Request *request)
{
        if (request->keeper->halting && !streq(request->method, "halt")) {
                refuse_start(request);
                return;
        }
        tell_findings(request);
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                if (streq(methods[i].name, request->method)) {
                        log_info("%s", request->method);
                        methods[i].begin(request);
                        return;
                }
        }
}

static void answer(Channel *channel, json_t *result)
{
        _cleanup_json_ json_t *line = json_pack("{s:o}", "result", result);

        channel_send(channel, line);
}

static void refuse(Channel *channel, ErrorKind kind, const char *format, const char *name)
{
        _cleanup_error_ Error *error = NULL;
        _cleanup_json_ json_t *line = NULL;

        error_set(&error, kind, "%s\"%s\"", format, name);
        line = json_pack("{s:o}", "error", json_from_error(error));
        channel_send(channel, line);
}

static void unfollow(Keeper *keeper, Channel *channel)
{
        size_t n = 0;

        for (size_t i = 0; i < keeper->followers.length; i++)
                if (keeper->followers.items[i] != channel)
                        keeper->followers.items[n++] = keeper->followers.items[i];
        keeper->followers.length = n;
}

void keeper_publish(Keeper *keeper, const char *action, const char *id, const char *name, const char *service,
                    json_t *attributes)
{
        _cleanup_json_ json_t *event = NULL;

        if (!attributes)
                attributes = json_object();
        if (keeper->followers.length) {
                json_set_string(attributes, "name", name);
                event = json_pack("{s:s, s:s, s:I}", "event", "container", "action", action, "time_ns",
                                  (json_int_t)loop_realtime_ns(keeper->parts.loop));
                json_set_string(event, "id", id);
                json_set_string(event, "name", name);
                json_set_string(event, "service", service);
                json_object_set(event, "attributes", attributes);
        }
        json_decref(attributes);
        VECTOR_FOREACH(channel, &keeper->followers)
                channel_send(*channel, event);
}

static void cancel(Keeper *keeper, Channel *channel)
{
        Request *request = channel_data(channel);

        if (!request)
                return;
        request_cancel(request);
        if (request == keeper->current)
                execution_cancel(keeper);
}

/* A machine that goes down waits for nothing that could still begin; what a boot waits for is not worth a person's time. */
static void make_way(Keeper *keeper, const Request *request)
{
        if (streq(request->method, "halt")) {
                keeper->halting = true;
                while (keeper->queue.length)
                        refuse_start(keeper->queue.items[--keeper->queue.length]);
                if (keeper->current)
                        request_cancel(keeper->current);
                execution_cancel(keeper);
        } else if (keeper->current && streq(keeper->current->method, "boot")) {
                execution_end_waits(keeper);
        }
}

void keeper_enqueue(Keeper *keeper, Request *request)
{
        make_way(keeper, request);
        if (keeper->ready && !keeper->current) {
                keeper->current = request;
                request_begin(request);
        } else {
                vector_add(&keeper->queue, request);
        }
}

static void on_message(void *context, Channel *channel, json_t *message)
{
        Keeper *keeper = context;
        const char *method = json_get_string(message, "method", "");

        if (streq(method, "ping")) {
                answer(channel, json_object());
        } else if (streq(method, "status") && keeper->ready) {
                answer(channel, watch_status(keeper));
        } else if (streq(method, "cancel")) {
                cancel(keeper, channel);
        } else if (streq(method, "events")) {
                unfollow(keeper, channel);
                vector_add(&keeper->followers, channel);
        } else if (streq(method, "shutdown") || streq(method, "reexec")) {
                keeper->reexec = streq(method, "reexec");
                keeper->quitting = true;
                if (keeper->reexec)
                        backups_hand_over(keeper);
                if (!keeper->reexec)
                        answer(channel, json_object());
                keeper_check_idle(keeper);
        } else if (!method_is_known(method)) {
                refuse(channel, ERROR_UNSUPPORTED, "the keeper knows no method ", method);
        } else if (channel_data(channel)) {
                refuse(channel, ERROR_CONFLICT, "this connection's request still runs; not begun: ", method);
        } else {
                Request *request = request_create(keeper, channel, method, json_object_get(message, "params"));
                channel_set_data(channel, request);
                if (streq(method, "drill") && keeper->ready) {
                        request->aside = true;
                        method_drill(request);
                } else {
                        keeper_enqueue(keeper, request);
                }
        }
}

/* The installed program is another file than the one that runs: an update may keep its version. */
static bool is_replaced(const Layout *layout)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-keeper");
        struct stat installed, running;

        return stat(program, &installed) == 0 && stat("/proc/self/exe", &running) == 0 &&
               (installed.st_ino != running.st_ino || installed.st_dev != running.st_dev);
}

static void on_opened(void *context, Channel *channel)
{
        Keeper *keeper = context;
        const Layout *layout = keeper->parts.layout;
        _cleanup_json_ json_t *greeting =
                json_pack("{s:i, s:i, s:s, s:b, s:i, s:s, s:s}", "berth", 1, "protocol", PROTOCOL_VERSION, "version",
                          BERTH_VERSION, "replaced", is_replaced(layout), "pid", (int)getpid(), "project",
                          keeper->project, "data", layout->data_dir);

        channel_send(channel, greeting);
}

static void forget_queued(Keeper *keeper, Request *request)
{
        size_t n = 0;

        for (size_t i = 0; i < keeper->queue.length; i++)
                if (keeper->queue.items[i] != request)
                        keeper->queue.items[n++] = keeper->queue.items[i];
        keeper->queue.length = n;
}

static void check_idle(void *context)
{
        keeper_check_idle(context);
}

/* What had begun is brought to a safe point and goes no further; what had not is dropped. */
static void on_closed(void *context, Channel *channel)
{
        Keeper *keeper = context;
        Request *request = channel_data(channel);

        unfollow(keeper, channel);
        if (request && request->aside) {
                request->channel = NULL;
                request_cancel(request);
        } else if (request && request != keeper->current) {
                forget_queued(keeper, request);
                request_free(request);
        } else if (request) {
                request->channel = NULL;
                request_cancel(request);
                execution_cancel(keeper);
        }
        watch_owner_left(keeper, channel);
        loop_defer(keeper->parts.loop, check_idle, keeper); /* once this connection is not counted any more */
}

int keeper_listen(Keeper *keeper, const char *socket_path, Error **err)
{
        const ChannelHandler handler = { keeper, on_opened, on_message, on_closed };

        return channel_server_create(keeper->parts.loop, socket_path, &handler, PROTOCOL_LINE_LIMIT, OUTPUT_LIMIT,
                                     &keeper->server, err);
}
