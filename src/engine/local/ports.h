/* Published ports: held by bound sockets that never listen, so that nobody else can take them; and whom to name where
 * they are taken. */
#ifndef BERTH_ENGINE_LOCAL_PORTS_H
#define BERTH_ENGINE_LOCAL_PORTS_H

#include "engine/local/address.h"
#include "engine/local/network_state.h"

typedef struct HeldPort {
        char *host_ip; /* "0.0.0.0", "127.0.0.1", "::" */
        uint16_t host_port, container_port;
        bool udp;
        int fd; /* bound; IPv6 ones listen too where they are TCP: the relay accepts from them */
} HeldPort;

typedef struct HeldPorts {
        HeldPort *items;
        size_t length, capacity;
} HeldPorts;
/* Closes the sockets. */
void held_ports_done(HeldPorts *ports);
#define _cleanup_held_ports_ _cleanup_(held_ports_done)

/* Holds all that is asked for, or nothing. A port without an address is held for IPv4 and, where this machine has it, for
 * IPv6 under the same number. Of a range the first number that is free is taken. ERROR_CONFLICT names the holder, the hint a free port; ERROR_INVALID for an address that is
 * no interface's. container: whose ports these are, for messages. */
int ports_hold(const Layout *layout, const char *container, const SpecPort *ports, size_t n_ports, HeldPorts *ret,
               Error **err);

/* Finds the inode of the socket that has port in a table in the form of /proc/net/{tcp,udp}{,6}: one bound to address or
 * to all addresses, or, where address is all, to any. TCP connections that only linger are passed over. 0: none. */
uint64_t socket_table_find(const char *table, bool udp, Address address, uint16_t port);

#endif
