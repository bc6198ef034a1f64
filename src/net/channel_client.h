/* The asking side of a JSON-lines socket, blocking: for programs that ask a keeper something and wait for the answer.
 * Links jansson only. Not thread-safe; one request at a time. */
#ifndef BERTH_NET_CHANNEL_CLIENT_H
#define BERTH_NET_CHANNEL_CLIENT_H

#include <jansson.h>

#include "base/error.h"

typedef struct ChannelClient ChannelClient;

/* Connects to the unix socket at path (at most 4 KiB long: the folder is opened, so sun_path's limit does not bind).
 * ERROR_NOT_FOUND: nobody listens there. *ret is the caller's. */
int channel_client_connect(const char *path, ChannelClient **ret, Error **err);
void channel_client_free(ChannelClient *client);
DEFINE_CLEANUP(ChannelClient, channel_client_free);

/* For poll; readable does not mean that a whole line is there. Owned by the client. */
int channel_client_fd(const ChannelClient *client);
/* A line was received already and waits in the buffer: call receive before poll. */
bool channel_client_has_line(const ChannelClient *client);

/* Sends one object, which stays the caller's. ERROR_UNAVAILABLE: the other side is gone. */
int channel_client_send(ChannelClient *client, const json_t *message, Error **err);

/* The next object; *ret is a new reference. timeout_ms -1: for ever. interrupt_fd (-1: none): ERROR_CANCELLED as soon as it
 * is readable; nothing is lost, receive may be called again. ERROR_UNAVAILABLE: the other side closed the connection. */
int channel_client_receive(ChannelClient *client, int timeout_ms, int interrupt_fd, json_t **ret, Error **err);

/* What a line is, borrowed from it: an event (any object that has "event"), a result, or an error. */
typedef int (*ChannelEventHandler)(void *context, const json_t *event);

/* Sends {"method", "params"} (params may be NULL and stays the caller's), hands each event to handler (NULL: thrown away;
 * a negative result ends the call with it) and returns the result as a new reference (ret may be NULL) or the error. */
int channel_client_call(ChannelClient *client, const char *method, json_t *params, ChannelEventHandler handler,
                        void *context, json_t **ret, Error **err);

#endif
