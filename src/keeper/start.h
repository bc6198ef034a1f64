/* Reaching the keeper of a project: connect to its socket, or start it and wait until it listens (a few milliseconds).
 * Light: for the command line and for conmon's exit command; links jansson only. */
#ifndef BERTH_KEEPER_START_H
#define BERTH_KEEPER_START_H

#include "net/channel_client.h"
#include "state/layout.h"

typedef enum KeeperConnectFlags {
        KEEPER_START = 1 << 0, /* start one where none runs; without it that is ERROR_NOT_FOUND */
} KeeperConnectFlags;

/* *ret is the caller's, its greeting read and checked. A keeper of another version is told to run the installed binary in
 * its place first, which containers do not notice; ERROR_UNAVAILABLE with the keeper's own reason where it cannot start. */
int keeper_connect(const Layout *layout, const char *project, unsigned flags, ChannelClient **ret, Error **err);

/* Connects (with KEEPER_START), calls method with params (borrowed, may be NULL) and hands events to handler, as
 * channel_client_call. Where the keeper dies meanwhile it is started again and the request, which is safe to repeat, is
 * sent again (twice at most; events then start over). A long-running caller that wants to cancel uses keeper_connect. */
int keeper_call(const Layout *layout, const char *project, const char *method, json_t *params,
                ChannelEventHandler handler, void *context, json_t **ret, Error **err);

#endif
