#include "net/channel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "net/socket_path.h"
#include "state/document.h"

#define BACKLOG   64
#define READ_SIZE 16384

struct Channel {
        ChannelServer *server;
        Channel *previous, *next;
        int fd;
        LoopIo *io;
        Strbuf input, output;
        size_t scanned;
        bool closing, dead, busy; /* busy: in a callback of its own; it is freed afterwards */
        void *data;
};

struct ChannelServer {
        Loop *loop;
        ChannelHandler handler;
        char *path;
        int fd;
        LoopIo *io;
        size_t line_limit, output_limit, n_channels;
        Channel *channels;
        LoopTimer *settling; /* dead channels wait to be freed */
};

static void channel_free(Channel *channel)
{
        ChannelServer *server = channel->server;

        if (channel->previous)
                channel->previous->next = channel->next;
        else
                server->channels = channel->next;
        if (channel->next)
                channel->next->previous = channel->previous;
        server->n_channels--;
        loop_io_remove(channel->io);
        fs_close(channel->fd);
        strbuf_done(&channel->input);
        strbuf_done(&channel->output);
        free(channel);
}

/* Frees a dead channel, once none of its callbacks is on the stack. */
static void channel_settle(Channel *channel)
{
        if (!channel->dead || channel->busy)
                return;
        channel->busy = true;
        channel->server->handler.closed(channel->server->handler.context, channel);
        channel_free(channel);
}

static void update_events(Channel *channel)
{
        if (!channel->dead)
                loop_io_set_events(channel->io, EPOLLIN | (channel->output.length ? EPOLLOUT : 0));
}

static void flush_output(Channel *channel)
{
        while (channel->output.length && !channel->dead) {
                ssize_t n =
                        send(channel->fd, channel->output.data, channel->output.length, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n >= 0)
                        strbuf_consume(&channel->output, (size_t)n);
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR)
                        channel->dead = true;
        }
        if (!channel->output.length && channel->output.capacity > READ_SIZE)
                strbuf_done(&channel->output);
        if (channel->closing && !channel->output.length)
                channel->dead = true;
        update_events(channel);
}

static void settle_later(void *context)
{
        ChannelServer *server = context;

        server->settling = NULL;
        for (Channel *channel = server->channels, *next; channel; channel = next) {
                next = channel->next;
                channel_settle(channel);
        }
}

static void channel_poke(Channel *channel)
{
        flush_output(channel);
        if (channel->dead && !channel->busy && !channel->server->settling)
                channel->server->settling = loop_add_timer(channel->server->loop, 0, settle_later, channel->server);
}

void channel_send(Channel *channel, const json_t *message)
{
        _cleanup_free_ char *text = NULL;

        if (channel->dead || channel->closing)
                return;
        text = json_dumps(message, JSON_COMPACT);
        if (!text)
                return;
        strbuf_adds(&channel->output, text);
        strbuf_addc(&channel->output, '\n');
        if (channel->output.length > channel->server->output_limit)
                channel->dead = true;
        channel_poke(channel);
}

void channel_close_after_output(Channel *channel)
{
        channel->closing = true;
        channel_poke(channel);
}

void *channel_data(const Channel *channel)
{
        return channel->data;
}

void channel_set_data(Channel *channel, void *data)
{
        channel->data = data;
}

static void handle_lines(Channel *channel)
{
        const ChannelHandler *handler = &channel->server->handler;

        while (!channel->dead && !channel->closing) {
                _cleanup_json_ json_t *message = NULL;
                const char *start = strbuf_text(&channel->input);
                const char *end = memchr(start + channel->scanned, '\n', channel->input.length - channel->scanned);
                if (!end) {
                        channel->scanned = channel->input.length;
                        channel->dead |= channel->input.length > channel->server->line_limit;
                        return;
                }
                message = json_loadb(start, (size_t)(end - start), 0, NULL);
                strbuf_consume(&channel->input, (size_t)(end - start) + 1);
                channel->scanned = 0;
                if (json_is_object(message))
                        handler->message(handler->context, channel, message);
                else
                        channel->dead = true;
        }
}

static void read_input(Channel *channel)
{
        ssize_t n;

        strbuf_reserve(&channel->input, READ_SIZE);
        n = recv(channel->fd, channel->input.data + channel->input.length, READ_SIZE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                channel->dead = true;
                return;
        }
        channel->input.length += (size_t)n;
        channel->input.data[channel->input.length] = '\0';
        handle_lines(channel);
        if (!channel->input.length)
                strbuf_done(&channel->input);
}

static void on_channel(void *context, int fd, uint32_t events)
{
        Channel *channel = context;

        channel->busy = true;
        if (events & EPOLLOUT)
                flush_output(channel);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_input(channel);
        channel->busy = false;
        channel_settle(channel);
}

static bool peer_is_allowed(int fd)
{
        struct ucred credentials;
        socklen_t size = sizeof(credentials);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return false;
        return credentials.uid == 0 || credentials.uid == geteuid();
}

static void on_listener(void *context, int listener_fd, uint32_t events)
{
        ChannelServer *server = context;
        _cleanup_close_ int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        Channel *channel;

        if (fd < 0 || !peer_is_allowed(fd))
                return;
        channel = xnew(Channel);
        channel->server = server;
        if (loop_add_io(server->loop, fd, EPOLLIN, on_channel, channel, &channel->io, NULL) < 0) {
                free(channel);
                return;
        }
        channel->fd = TAKE_FD(fd);
        channel->next = server->channels;
        if (server->channels)
                server->channels->previous = channel;
        server->channels = channel;
        server->n_channels++;
        channel->busy = true;
        server->handler.opened(server->handler.context, channel);
        channel->busy = false;
        channel_settle(channel);
}

int channel_server_create(Loop *loop, const char *path, const ChannelHandler *handler, size_t line_limit,
                          size_t output_limit, ChannelServer **ret, Error **err)
{
        _cleanup_(channel_server_freep) ChannelServer *server = xnew(ChannelServer);
        _cleanup_close_ int folder_fd = -1;
        struct sockaddr_un address;
        int r;

        server->fd = -1;
        server->loop = loop;
        server->handler = *handler;
        server->line_limit = line_limit;
        server->output_limit = output_limit;
        r = socket_path_prepare(path, &address, &folder_fd, err);
        if (r < 0)
                return r;
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (server->fd < 0)
                return error_set_errno(err, errno, "make a socket");
        unlink(path);
        fchmod(server->fd, 0600); /* the mode that bind gives to the file */
        if (bind(server->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_set_errno(err, errno, "bind %s", path);
        server->path = xstrdup(path);
        if (listen(server->fd, BACKLOG) < 0)
                return error_set_errno(err, errno, "listen at %s", path);
        r = loop_add_io(loop, server->fd, EPOLLIN, on_listener, server, &server->io, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}

void channel_server_free(ChannelServer *server)
{
        if (!server)
                return;
        while (server->channels)
                channel_free(server->channels);
        loop_timer_remove(server->settling);
        loop_io_remove(server->io);
        if (server->path)
                unlink(server->path);
        fs_close(server->fd);
        free(server->path);
        free(server);
}

size_t channel_server_connections(const ChannelServer *server)
{
        return server->n_channels;
}

void channel_server_each(ChannelServer *server, void (*call)(void *context, Channel *channel), void *context)
{
        for (Channel *channel = server->channels; channel; channel = channel->next)
                call(context, channel);
}
