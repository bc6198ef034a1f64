/* Sockets that are bound and neither listen nor are connected: /proc/net/tcp does not show them, sock_diag(7) does since
 * Linux 6.8. That is how another installation of Berth holds its ports. */
#ifndef BERTH_ENGINE_LOCAL_SOCKET_DIAG_H
#define BERTH_ENGINE_LOCAL_SOCKET_DIAG_H

#include "engine/local/address.h"

/* The inode of a TCP socket bound to port, at address or at one that collides with it; 0 where none is known. */
uint64_t socket_diag_find_bound(Address address, uint16_t port);

#endif
