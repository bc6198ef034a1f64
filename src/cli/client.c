#include "cli/client.h"

#include "base/mem.h"
#include "cli/interrupts.h"
#include "cli/report.h"
#include "keeper/start.h"
#include "state/document.h"

#define REDRAW_MS    100
#define MAX_ATTEMPTS 3

typedef struct Request {
        ChannelClient *client;
        json_t *message;
        Progress *progress; /* NULL: nothing is shown */
        int interrupts;     /* how often Ctrl-C came */
} Request;

static int send_cancel(Request *request, Error **err)
{
        _cleanup_json_ json_t *message = json_pack("{s:s}", "method", "cancel");

        return channel_client_send(request->client, message, err);
}

static void show_event(Request *request, const json_t *event)
{
        const char *kind = json_get_string(event, "event", "");

        if (request->progress)
                progress_event(request->progress, event);
        else if (streq(kind, "warning"))
                report_warning(json_get_string(event, "message", ""));
}

/* 1: something came; 0: time to draw again. */
static int next_line(Request *request, json_t **ret, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int timeout_ms = request->progress && progress_is_live(request->progress) ? REDRAW_MS : -1;
        int r = channel_client_receive(request->client, timeout_ms, interrupts_open(), ret, &reason);

        if (r >= 0)
                return 1;
        if (r == -ERROR_TIMEOUT) {
                progress_tick(request->progress);
                return 0;
        }
        if (r != -ERROR_CANCELLED)
                return error_move(err, &reason, r);
        request->interrupts += interrupts_take();
        if (request->interrupts > 1)
                return -ERROR_CANCELLED;
        if (request->progress)
                progress_message(request->progress,
                                 "cancelling: what was begun is brought to a safe point; Ctrl-C again to not wait");
        return send_cancel(request, err);
}

static int await_end(Request *request, json_t **ret, Error **err)
{
        for (;;) {
                _cleanup_json_ json_t *line = NULL;
                const json_t *member;
                int r = next_line(request, &line, err);

                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                if (json_object_get(line, "event")) {
                        show_event(request, line);
                        continue;
                }
                member = json_object_get(line, "error");
                if (request->interrupts > 0)
                        return -ERROR_CANCELLED;
                if (member)
                        return error_from_json(err, member);
                if (ret)
                        *ret = json_incref(json_object_get(line, "result"));
                return 0;
        }
}

static int attempt(const Invocation *invocation, const char *project, Request *request, json_t **ret, Error **err)
{
        _cleanup_(channel_client_freep) ChannelClient *client = NULL;
        int r;

        r = keeper_connect(invocation->layout, project, KEEPER_START, &client, err);
        if (r < 0)
                return r;
        request->client = client;
        r = channel_client_send(client, request->message, err);
        return r < 0 ? r : await_end(request, ret, err);
}

static int request_run(const Invocation *invocation, const char *project, Request *request, json_t **ret, Error **err)
{
        interrupts_open();
        for (int count = 1;; count++) {
                _cleanup_error_ Error *reason = NULL;
                int r = attempt(invocation, project, request, ret, &reason);

                /* A keeper that died is started again; every request is safe to repeat. */
                if (r != -ERROR_UNAVAILABLE ||
                    !endswith(reason->message, "the connection was closed by the other side") ||
                    count == MAX_ATTEMPTS || request->interrupts > 0)
                        return r < 0 ? error_move(err, &reason, r) : r;
        }
}

int client_request(const Invocation *invocation, const char *project, const char *method, json_t *params,
                   const char *title, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *message = json_pack("{s:s, s:o*}", "method", method, "params", params);
        _cleanup_(progress_freep) Progress *progress = progress_create(invocation_progress_mode(invocation), title);
        Request request = { .message = message, .progress = progress };
        int r = request_run(invocation, project, &request, ret, err);

        progress_finish(progress, r >= 0);
        return r;
}

int client_request_quietly(const Invocation *invocation, const char *project, const char *method, json_t *params,
                           json_t **ret, Error **err)
{
        _cleanup_json_ json_t *message = json_pack("{s:s, s:o*}", "method", method, "params", params);
        Request request = { .message = message };

        return request_run(invocation, project, &request, ret, err);
}
