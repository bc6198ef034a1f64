/* What a keeper on the local engine is built of. */
#ifndef BERTH_KEEPER_LOCAL_PARTS_H
#define BERTH_KEEPER_LOCAL_PARTS_H

#include "keeper/keeper.h"

/* Fills everything but loop and pool; parts->layout is given. parts->watch_fd is the caller's, too, where it is one. *ret_engine is the caller's. */
int local_parts_fill(KeeperParts *parts, Engine **ret_engine, Error **err);

/* A keeper that conmon revived is born in the cgroup of the monitors, which goes with the last container: out of there. */
void local_parts_leave_monitors(const Layout *layout);

#endif
