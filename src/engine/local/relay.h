/* The relay for published IPv6 addresses: nftables cannot lead ::1 into a container, so a small process (berth-relay, one
 * per container that publishes any) accepts there and hands the bytes on with splice. It ends with the container. */
#ifndef BERTH_ENGINE_LOCAL_RELAY_H
#define BERTH_ENGINE_LOCAL_RELAY_H

#include "engine/local/ports.h"
#include "state/layout.h"

typedef struct RelayTarget {
        const char *directory; /* the container's run folder: tells people whose relay it is */
        const char *address;   /* the container's */
} RelayTarget;

/* Starts it where ports has sockets of IPv6, which it takes over (their fd becomes -1). The relay ends when *ret_fd and all
 * its copies are closed; -1 where none was started. */
int relay_start(const Layout *layout, const RelayTarget *target, HeldPorts *ports, int *ret_fd, Error **err);

#endif
