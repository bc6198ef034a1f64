/* The kernel's side of a network: its bridge, made again where it is missing. */
#ifndef BERTH_ENGINE_LOCAL_BRIDGE_H
#define BERTH_ENGINE_LOCAL_BRIDGE_H

#include "engine/local/netlink.h"
#include "engine/local/network_state.h"

/* The name for attempt 0, 1, …: names are short, two networks could come to the same one. Owned by the caller. */
char *bridge_name(const Layout *layout, const char *network, unsigned attempt);
/* Makes or completes the bridge with its addresses and settings, and switches forwarding on. */
int bridge_ensure(const Layout *layout, Netlink *netlink, const NetworkRecord *record, int *ret_index, Error **err);
/* The largest packet: as the network's options say, else that of the way out, at most 1500. */
int bridge_mtu(const NetworkRecord *record);

#endif
