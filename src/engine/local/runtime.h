/* The OCI runtime that works on this machine: crun or runc, by a real try, once a boot. */
#ifndef BERTH_ENGINE_LOCAL_RUNTIME_H
#define BERTH_ENGINE_LOCAL_RUNTIME_H

#include "base/error.h"
#include "state/layout.h"

/* The path of the runtime to use; the caller's. BERTH_RUNTIME, then `runtime` in <config>/berth.conf choose; else the
 * first of crun and runc that runs a container here. ERROR_UNAVAILABLE: none does, and what each said. */
int runtime_find(const Layout *layout, char **ret, Error **err);
/* The folder where it keeps its state ("--root"); the caller's. */
char *runtime_state_path(const Layout *layout);

#endif
