/* Running the health checks of a unit: one at a time, on the pool, when its state machine says. */
#ifndef BERTH_KEEPER_PROBE_H
#define BERTH_KEEPER_PROBE_H

#include "keeper/watch.h"

void probe_begin(Unit *unit);                          /* it has just started */
void probe_take_over(Unit *unit, HealthStatus status); /* it runs already */
void probe_end(Unit *unit);                            /* it does not run any more */

#endif
