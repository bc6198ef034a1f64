/* Who has a port, and which one is free instead. */
#ifndef BERTH_ENGINE_LOCAL_PORT_HOLDER_H
#define BERTH_ENGINE_LOCAL_PORT_HOLDER_H

#include "engine/local/ports.h"

typedef struct PortQuestion {
        const Layout *layout;
        const char *container; /* who wants it */
        Address address;       /* value 0: all of the family */
        uint16_t port;
        bool udp;
} PortQuestion;

/* A socket bound to address and port; TCP over IPv6 listens. reuse: beside connections that linger. Negative errno. */
int ports_bind(Address address, uint16_t port, bool udp, bool reuse, int *ret_fd);

/* Whether a socket at `bound` keeps another one from `wanted`. */
bool address_collides(Address bound, Address wanted);
/* Whether an open socket has it, connections that linger apart. */
bool port_is_held(const PortQuestion *question);
/* Sets the error for a bind that failed with -errno: names the holder and, as a hint, the next free port. */
int port_refused(const PortQuestion *question, int result, Error **err);

#endif
