/* The part of rtnetlink that networks need: bridges, veth pairs, addresses, routes. A session works in the network
 * namespace in which it was opened, wherever its thread goes afterwards. Messages are built by hand: see
 * docs/decisions/0101-rtnetlink-without-a-library.md. Protocol: rtnetlink(7), linux/if_link.h. */
#ifndef BERTH_ENGINE_LOCAL_NETLINK_H
#define BERTH_ENGINE_LOCAL_NETLINK_H

#include "base/error.h"
#include "engine/local/address.h"

#define MAC_SIZE 6

typedef struct Netlink Netlink;

int netlink_open(Netlink **ret, Error **err);
void netlink_free(Netlink *netlink);
DEFINE_CLEANUP(Netlink, netlink_free);

/* The index of an interface, ERROR_NOT_FOUND where there is none. */
int netlink_index(Netlink *netlink, const char *name, int *ret_index, Error **err);
/* Makes a bridge and sets it up; one that exists is set up and keeps its address. */
int netlink_bridge(Netlink *netlink, const char *name, const uint8_t mac[MAC_SIZE], int mtu, int *ret_index,
                   Error **err);
/* Adds an address; one that is there already is fine. */
int netlink_add_address(Netlink *netlink, int index, Address address, int prefix, Error **err);
/* Absent is fine. */
int netlink_remove_address(Netlink *netlink, int index, Address address, int prefix, Error **err);
int netlink_set_up(Netlink *netlink, int index, Error **err);
/* A default route over gateway; replaces one that is there. */
int netlink_add_default_route(Netlink *netlink, int index, Address gateway, Error **err);

typedef struct VethSpec {
        const char *name; /* host end, becomes a port of the bridge in hairpin mode */
        int bridge_index;
        const char *peer_name; /* in the namespace */
        int peer_namespace_fd;
        uint8_t peer_mac[MAC_SIZE];
        int mtu;
} VethSpec;
/* Makes a pair; the host end is up, the other one is to be set up inside. */
int netlink_veth(Netlink *netlink, const VethSpec *spec, Error **err);

/* Removes an interface; absent is fine. */
int netlink_delete(Netlink *netlink, const char *name, Error **err);
/* The names of all interfaces that start with prefix, of the ports of bridge_index alone where that is not 0. */
int netlink_list(Netlink *netlink, const char *prefix, int bridge_index, char ***ret, Error **err);
/* The names of all bridges. */
int netlink_list_bridges(Netlink *netlink, char ***ret, Error **err);
/* The names of all network cards: interfaces of Ethernet that no driver of the kernel makes up. */
int netlink_list_cards(Netlink *netlink, char ***ret, Error **err);

#endif
