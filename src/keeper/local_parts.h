/* What a keeper on the local engine is built of. */
#ifndef BERTH_KEEPER_LOCAL_PARTS_H
#define BERTH_KEEPER_LOCAL_PARTS_H

#include "keeper/keeper.h"

/* Fills engine and check_ports; parts->layout is given. *ret_engine is the caller's. */
int local_parts_fill(KeeperParts *parts, Engine **ret_engine, Error **err);

#endif
