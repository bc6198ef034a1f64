#include "net/channel_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "net/socket_path.h"
#include "state/document.h"

#define LINE_LIMIT ((size_t)16 * 1024 * 1024)
#define READ_SIZE  65536

struct ChannelClient {
        int fd;
        Strbuf input;
        size_t start;   /* of what was not handed out yet */
        size_t scanned; /* up to here input holds no newline after start */
};

void channel_client_free(ChannelClient *client)
{
        if (!client)
                return;
        fs_close(client->fd);
        strbuf_done(&client->input);
        free(client);
}

int channel_client_connect(const char *path, ChannelClient **ret, Error **err)
{
        _cleanup_(channel_client_freep) ChannelClient *client = xnew(ChannelClient);
        _cleanup_close_ int folder_fd = -1;
        struct sockaddr_un address;
        int r;

        client->fd = -1; /* what free finds where the next step fails */
        r = socket_path_prepare(path, &address, &folder_fd, err);
        if (r < 0)
                return r;
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0)
                return error_set_errno(err, errno, "make a socket");
        if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                if (errno == ENOENT || errno == ECONNREFUSED)
                        return error_set(err, ERROR_NOT_FOUND, "nobody listens at %s", path);
                return error_set_errno(err, errno, "connect to %s", path);
        }
        *ret = TAKE_PTR(client);
        return 0;
}

int channel_client_fd(const ChannelClient *client)
{
        return client->fd;
}

static const char *find_line_end(const ChannelClient *client)
{
        return memchr(strbuf_text(&client->input) + client->scanned, '\n', client->input.length - client->scanned);
}

bool channel_client_has_line(const ChannelClient *client)
{
        return find_line_end(client) != NULL;
}

int channel_client_send(ChannelClient *client, const json_t *message, Error **err)
{
        _cleanup_free_ char *text = json_dumps(message, JSON_COMPACT);
        size_t length, sent = 0;

        if (!text)
                return error_set(err, ERROR_INTERNAL, "a message cannot be written as JSON");
        length = strlen(text);
        text[length++] = '\n'; /* in place of the terminator */
        while (sent < length) {
                ssize_t n = send(client->fd, text + sent, length - sent, MSG_NOSIGNAL);
                if (n >= 0)
                        sent += (size_t)n;
                else if (errno == EPIPE || errno == ECONNRESET)
                        return error_set(err, ERROR_UNAVAILABLE, "the connection was closed by the other side");
                else if (errno != EINTR)
                        return error_set_errno(err, errno, "send on a socket");
        }
        return 0;
}

/* Waits until the socket can be read; 0 or an error. */
static int wait_readable(ChannelClient *client, int64_t deadline_ns, int interrupt_fd, Error **err)
{
        struct pollfd pollers[2] = { { .fd = client->fd, .events = POLLIN }, { .fd = interrupt_fd, .events = POLLIN } };

        for (;;) {
                int timeout_ms = -1, r;
                if (deadline_ns >= 0) {
                        int64_t left_ns = deadline_ns - clock_monotonic_ns();
                        timeout_ms = left_ns <= 0 ? 0 : (int)((left_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
                }
                r = poll(pollers, 2, timeout_ms);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return error_set_errno(err, errno, "wait for an answer");
                if (r == 0)
                        return error_set(err, ERROR_TIMEOUT, "no answer in time");
                if (pollers[0].revents)
                        return 0;
                return error_set(err, ERROR_CANCELLED, "interrupted");
        }
}

static int fill(ChannelClient *client, Error **err)
{
        ssize_t n;

        strbuf_consume(&client->input, client->start); /* here, not for each line: a burst of lines is moved once */
        client->scanned -= client->start;
        client->start = 0;
        if (client->input.length > LINE_LIMIT)
                return error_set(err, ERROR_INVALID, "a line of more than %zu bytes came from a socket", LINE_LIMIT);
        strbuf_reserve(&client->input, READ_SIZE);
        n = recv(client->fd, client->input.data + client->input.length, READ_SIZE, 0);
        if (n < 0 && errno == EINTR)
                return 0;
        if (n < 0 && errno != ECONNRESET)
                return error_set_errno(err, errno, "receive on a socket");
        if (n <= 0)
                return error_set(err, ERROR_UNAVAILABLE, "the connection was closed by the other side");
        client->input.length += (size_t)n;
        client->input.data[client->input.length] = '\0';
        return 0;
}

int channel_client_receive(ChannelClient *client, int timeout_ms, int interrupt_fd, json_t **ret, Error **err)
{
        int64_t deadline_ns = timeout_ms < 0 ? -1 : clock_monotonic_ns() + timeout_ms * NSEC_PER_MSEC;
        const char *end;
        json_t *message;
        size_t length;
        int r;

        while (!(end = find_line_end(client))) {
                client->scanned = client->input.length;
                r = wait_readable(client, deadline_ns, interrupt_fd, err);
                if (r < 0)
                        return r;
                r = fill(client, err);
                if (r < 0)
                        return r;
        }
        length = (size_t)(end - client->input.data) - client->start;
        message = json_loadb(client->input.data + client->start, length, 0, NULL);
        client->start += length + 1;
        client->scanned = client->start;
        if (!json_is_object(message)) {
                json_decref(message);
                return error_set(err, ERROR_INVALID, "a line that is no JSON object came from a socket");
        }
        *ret = message;
        return 0;
}

static int await_end(ChannelClient *client, ChannelEventHandler handler, void *context, json_t **ret, Error **err)
{
        for (;;) {
                _cleanup_json_ json_t *line = NULL;
                const json_t *member;
                int r = channel_client_receive(client, -1, -1, &line, err);
                if (r < 0)
                        return r;
                member = json_object_get(line, "error");
                if (member && !json_object_get(line, "event"))
                        return error_from_json(err, member);
                if (json_object_get(line, "result")) {
                        if (ret)
                                *ret = json_incref(json_object_get(line, "result"));
                        return 0;
                }
                if (!json_object_get(line, "event") || !handler)
                        continue;
                r = handler(context, line);
                if (r < 0)
                        return r;
        }
}

int channel_client_call(ChannelClient *client, const char *method, json_t *params, ChannelEventHandler handler,
                        void *context, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *message = json_pack("{s:s, s:O*}", "method", method, "params", params);
        int r;

        r = channel_client_send(client, message, err);
        if (r < 0)
                return r;
        return await_end(client, handler, context, ret, err);
}
