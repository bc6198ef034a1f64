/* Telling those whom x-berth.alerts names, by a job of the worker. Loop's thread only. */
#ifndef BERTH_KEEPER_ALERTS_H
#define BERTH_KEEPER_ALERTS_H

#include "keeper/keeper.h"

/* what: "backup", "off-site copy"; good: it works again. Nobody is named: nothing happens. */
void alerts_tell(const Keeper *keeper, const char *service, const char *what, bool good, const char *message);

#endif
