#include "keeper/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "keeper/protocol.h"
#include "state/document.h"

#define START_TIMEOUT_MS    10000
#define GREETING_TIMEOUT_MS 10000
#define MAX_ATTEMPTS        50

/* Reads what the new keeper says on its ready pipe: "ready", "busy" (another one holds the lock) or a JSON error. */
static int read_readiness(int fd, const char *project, Error **err)
{
        struct pollfd poller = { .fd = fd, .events = POLLIN };
        _cleanup_json_ json_t *object = NULL;
        char text[4096];
        size_t length = 0;

        for (;;) {
                ssize_t n;
                int r = poll(&poller, 1, START_TIMEOUT_MS);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return error_set(err, ERROR_TIMEOUT, "the keeper of project \"%s\" did not come up within %d s",
                                         project, START_TIMEOUT_MS / 1000);
                n = read(fd, text + length, sizeof(text) - 1 - length);
                if (n <= 0)
                        break;
                length += (size_t)n;
                if (text[length - 1] == '\n')
                        break;
        }
        text[length] = '\0';
        if (streq(text, "ready\n") || streq(text, "busy\n"))
                return 0;
        object = json_loads(text, 0, NULL);
        if (object)
                return error_prefix(err, error_from_json(err, object), "start the keeper of project \"%s\"", project);
        return error_set(err, ERROR_UNAVAILABLE, "the keeper of project \"%s\" ended while starting", project);
}

/* berth-keeper detaches itself: what is waited for here is only its first process. */
static int start_keeper(const Layout *layout, const char *project, Error **err)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-keeper");
        char *argv[] = { program, (char *)"run", (char *)project, (char *)"--ready-fd=3", NULL };
        _cleanup_close_ int ready_read = -1, ready_write = -1;
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int fds[2], status, r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        ready_read = fds[0];
        ready_write = fds[1];
        spec.argv = argv;
        spec.keep_fds = (int[]){ ready_write, -1 };
        spec.directory = "/";
        spec.new_session = true;
        r = process_spawn(&spec, &process, err);
        if (r < 0)
                return error_prefix(err, r, "start the keeper of project \"%s\"", project);
        ready_write = fs_close(ready_write);
        r = process_wait(&process, -1, &status, err);
        if (r < 0)
                return r;
        return read_readiness(ready_read, project, err);
}

/* 1: the keeper agrees; 0: it was told to replace itself and the connection is useless. */
static int check_greeting(const Layout *layout, ChannelClient *client, const char *project, Error **err)
{
        _cleanup_json_ json_t *greeting = NULL, *request = NULL;
        const char *data;
        int r;

        r = channel_client_receive(client, GREETING_TIMEOUT_MS, -1, &greeting, err);
        if (r < 0)
                return error_prefix(err, r, "greeting of the keeper of project \"%s\"", project);
        data = json_get_string(greeting, "data", layout->data_dir);
        if (!streq(data, layout->data_dir)) {
                r = error_set(err, ERROR_CONFLICT,
                              "the keeper of project \"%s\" in %s works for another installation (%s)", project,
                              layout->run_dir, data);
                return error_hint(err, r, "Each data folder needs a run folder of its own: set BERTH_RUN_DIR too.");
        }
        if (json_get_int(greeting, "protocol", 0) == PROTOCOL_VERSION &&
            streq(json_get_string(greeting, "version", ""), BERTH_VERSION) &&
            !json_get_bool(greeting, "replaced", false))
                return 1;
        request = json_pack("{s:s}", "method", "reexec");
        r = channel_client_send(client, request, err);
        return r < 0 ? r : 0;
}

static int connect_once(const Layout *layout, const char *project, unsigned flags, ChannelClient **ret, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "projects/%s/keeper.sock", project);
        _cleanup_(channel_client_freep) ChannelClient *client = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        r = channel_client_connect(path, &client, &reason);
        if (r == -ERROR_NOT_FOUND && (flags & KEEPER_START)) {
                r = start_keeper(layout, project, err);
                return r < 0 ? r : 0;
        }
        if (r == -ERROR_NOT_FOUND)
                return error_set(err, ERROR_NOT_FOUND, "no keeper runs for project \"%s\"", project);
        if (r < 0)
                return error_move(err, &reason, r);
        r = check_greeting(layout, client, project, &reason);
        if (r == -ERROR_UNAVAILABLE) /* it was just ending */
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        if (r > 0)
                *ret = TAKE_PTR(client);
        return r;
}

int keeper_connect(const Layout *layout, const char *project, unsigned flags, ChannelClient **ret, Error **err)
{
        for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
                int r = connect_once(layout, project, flags, ret, err);
                if (r != 0)
                        return r < 0 ? r : 0;
                if (attempt > 1) /* an old keeper is on its way out, or a new one on its way in */
                        poll(NULL, 0, attempt > 10 ? 200 : 10);
        }
        return error_set(err, ERROR_UNAVAILABLE, "the keeper of project \"%s\" comes up and goes away again", project);
}

int keeper_call(const Layout *layout, const char *project, const char *method, json_t *params,
                ChannelEventHandler handler, void *context, json_t **ret, Error **err)
{
        for (int attempt = 0;; attempt++) {
                _cleanup_(channel_client_freep) ChannelClient *client = NULL;
                _cleanup_error_ Error *reason = NULL;
                int r;

                r = keeper_connect(layout, project, KEEPER_START, &client, err);
                if (r < 0)
                        return r;
                r = channel_client_call(client, method, params, handler, context, ret, &reason);
                if (r != -ERROR_UNAVAILABLE || attempt == 2 ||
                    !streq(reason->message, "the connection was closed by the other side"))
                        return r < 0 ? error_move(err, &reason, r) : r;
        }
}
