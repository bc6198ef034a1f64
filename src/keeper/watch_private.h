/* What the files of watch share: a unit's end, by its restart policy and as a one-off. */
#ifndef BERTH_KEEPER_WATCH_PRIVATE_H
#define BERTH_KEEPER_WATCH_PRIVATE_H

#include "keeper/watch.h"

/* ---- watch_restart.c ---- */

/* spec may be NULL: no restarts. */
void unit_read_policy(Unit *unit, const ContainerSpec *spec);
/* It has ended: starts it after the policy's delay, where the policy says so. */
void unit_schedule_restart(Unit *unit, int64_t uptime_ns, bool manual);
void unit_cancel_restart(Unit *unit);

/* ---- watch_oneoff.c ---- */

/* On a thread of the pool, where nobody waits for it any more. */
void unit_remove_if_over(Unit *unit);
/* Likewise, where it runs and is bound to a client. */
void unit_kill_if_bound(Unit *unit);

#endif
