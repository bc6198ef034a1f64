/* The "process" of an OCI configuration: who runs, what, with which rights. */
#ifndef BERTH_ENGINE_LOCAL_BUNDLE_PROCESS_H
#define BERTH_ENGINE_LOCAL_BUNDLE_PROCESS_H

#include <jansson.h>

#include "engine/local/record.h"

/* Adds what only the main process has: arguments (behind the init where asked for), terminal. */
int bundle_process_main(const ContainerRecord *record, json_t *process, Error **err);
/* As its own users see it; the caller's. */
char *container_hostname(const ContainerRecord *record);

#define INIT_TARGET "/run/.berth-init" /* where our init is bound */

#endif
