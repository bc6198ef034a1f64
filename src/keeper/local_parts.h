/* What a keeper on the local engine is built of. */
#ifndef BERTH_KEEPER_LOCAL_PARTS_H
#define BERTH_KEEPER_LOCAL_PARTS_H

#include "keeper/keeper.h"

/* Fills everything but loop and pool; parts->layout is given. parts->watch_fd is the caller's, too, where it is one. *ret_engine is the caller's. */
int local_parts_fill(KeeperParts *parts, Engine **ret_engine, Error **err);

/* A keeper is born in the cgroup of whoever started it: a login, a unit, or the monitors (a revival). It outlives all of
 * them, and none of them shall end it: out of there, into the machine's own. */
void local_parts_leave_cgroups(void);

#endif
