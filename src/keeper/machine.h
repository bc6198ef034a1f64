/* What happens to a machine with projects on it: a container's end that no keeper sees, a boot, a shutdown. */
#ifndef BERTH_KEEPER_MACHINE_H
#define BERTH_KEEPER_MACHINE_H

#include "base/error.h"
#include "state/layout.h"

/* Starts the project's keeper where none runs. conmon calls this at each container's end: mostly one is there. */
int machine_revive(const Layout *layout, const char *project, Error **err);
/* Starts the keepers of all projects with a restart policy; these start what their policies say (keeper_begin). */
int machine_boot(const Layout *layout, Error **err);
/* The same for a project that has a keeper already. */
int machine_boot_under(const Layout *layout, const char *project, Error **err);
/* Has the keepers of all projects, or of one, stop what runs, and waits until it has stopped: dependents first, each with
 * its own signal and grace, all projects at once. What was stopped so counts as running at the next boot. A project whose
 * keeper fails is logged and keeps the others from nothing; ERROR_FAILED in the end. */
int machine_halt(const Layout *layout, const char *project, Error **err);

#endif
