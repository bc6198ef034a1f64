/* -e and --env-from-file, as exec and run take them. */
#ifndef BERTH_CLI_ENVIRONMENT_H
#define BERTH_CLI_ENVIRONMENT_H

#include "cli/invocation.h"

/* KEY=VALUE of all --env options; KEY alone takes the caller's value, or is left out where there is none. The caller's.
 */
int environment_options(const Invocation *invocation, char ***ret, Error **err);

#endif
