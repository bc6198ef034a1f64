/* What `berth` asks of the engine without a project's keeper. A failure is one JSON error object on stderr and status 1. */
#ifndef BERTH_KEEPER_ONESHOT_H
#define BERTH_KEEPER_ONESHOT_H

#include "state/layout.h"

/* argv, from the verb on, ends with NULL:
 *   network create NAME [--driver D] [--subnet S] [--gateway G] [--ip-range R] [--internal] [--ipv6] [--label K=V]…
 *   network rm NAME
 *   prune        removes what has no owner in the kernel; a line for each on stdout
 * Returns the exit status. */
int oneshot(const Layout *layout, char **argv);

#endif
