/* Connections that the kernel tracks. A UDP flow that goes on keeps the way it once took: one that began before its port was
 * published, or led to a container that is gone, would never reach the new one. */
#ifndef BERTH_ENGINE_LOCAL_CONNTRACK_H
#define BERTH_ENGINE_LOCAL_CONNTRACK_H

#include "base/error.h"

/* Forgets the IPv4 flows to that UDP port; their next packet chooses its way anew. Does what it can: a kernel that tracks
 * nothing has nothing to forget. */
void conntrack_forget_udp(uint16_t port);

#endif
