/* Which address a container gets: the one it asks for, else the one its name had before, else the lowest free one. */
#ifndef BERTH_ENGINE_LOCAL_LEASE_H
#define BERTH_ENGINE_LOCAL_LEASE_H

#include "engine/local/address.h"
#include "engine/local/network_state.h"

/* Whether text may be a container's address in the network: of that family, inside the subnet, neither the network's own,
 * the broadcast nor the gateway's address (ERROR_INVALID), and of no container that runs (ERROR_CONFLICT). */
int lease_check_wish(const NetworkState *state, const NetworkRecord *record, int family, const char *text,
                     const char *container, Error **err);

typedef struct LeaseWish {
        const char *container;
        const char *ipv4, *ipv6; /* NULL: any */
} LeaseWish;
/* Allots; changes nothing. The texts are the caller's; *ret_ipv6 is NULL in a network without IPv6. ERROR_CONFLICT where no
 * address is left. */
int lease_allot(const NetworkState *state, const NetworkRecord *record, const LeaseWish *wish, char **ret_ipv4,
                char **ret_ipv6, Error **err);

/* Whether the endpoint's addresses are its container's in record already, or need not be: a one-off container keeps none. */
bool lease_is_noted(const NetworkRecord *record, const Endpoint *endpoint);
/* Notes them, and takes them from whoever had them before. */
void lease_note(NetworkRecord *record, const Endpoint *endpoint);

#endif
