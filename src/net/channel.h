/* The answering side of a JSON-lines socket: a listener and its connections on a loop. Lines and unsent output are
 * bounded; a peer that breaks a bound, or is not root, is disconnected. Loop's thread only. */
#ifndef BERTH_NET_CHANNEL_H
#define BERTH_NET_CHANNEL_H

#include <jansson.h>

#include "net/loop.h"

typedef struct ChannelServer ChannelServer;
typedef struct Channel Channel;

typedef struct ChannelHandler {
        void *context;
        /* A peer came and was accepted: greet it here. Keep what belongs to it by channel_set_data. */
        void (*opened)(void *context, Channel *channel);
        void (*message)(void *context, Channel *channel, json_t *message); /* borrowed */
        /* It is gone; the channel is freed right after. */
        void (*closed)(void *context, Channel *channel);
} ChannelHandler;

/* Listens at path (mode 0600), replacing a socket that nobody serves any more: the caller holds the lock that says so.
 * Peers must have this process's effective uid or be root (SO_PEERCRED). line_limit and output_limit in bytes. */
int channel_server_create(Loop *loop, const char *path, const ChannelHandler *handler, size_t line_limit,
                          size_t output_limit, ChannelServer **ret, Error **err);
/* Closes every connection without calling closed, and removes the socket. Accepts NULL. */
void channel_server_free(ChannelServer *server);
DEFINE_CLEANUP(ChannelServer, channel_server_free);
size_t channel_server_connections(const ChannelServer *server);
/* Calls back for each connection; the callback must not close any. */
void channel_server_each(ChannelServer *server, void (*call)(void *context, Channel *channel), void *context);

/* Queues a line. message is borrowed. After the peer has gone this does nothing. */
void channel_send(Channel *channel, const json_t *message);
/* Closes as soon as all queued output is out. */
void channel_close_after_output(Channel *channel);
void *channel_data(const Channel *channel);
void channel_set_data(Channel *channel, void *data);

#endif
