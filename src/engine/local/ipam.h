/* Choosing and checking the subnets of a network. */
#ifndef BERTH_ENGINE_LOCAL_IPAM_H
#define BERTH_ENGINE_LOCAL_IPAM_H

#include "engine/local/address.h"
#include "engine/local/network_state.h"

/* Fills subnet, gateway and range of record from record->pools, or chooses them, free of the routes and of the networks of
 * state. ERROR_INVALID for a pool that cannot be; ERROR_CONFLICT for one that overlaps what there is. */
int ipam_assign(const Layout *layout, const NetworkState *state, const Routes *routes, NetworkRecord *record,
                Error **err);

#endif
