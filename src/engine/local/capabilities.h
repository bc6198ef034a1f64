/* Linux capabilities of a container. */
#ifndef BERTH_ENGINE_LOCAL_CAPABILITIES_H
#define BERTH_ENGINE_LOCAL_CAPABILITIES_H

#include "engine/engine.h"

/* Docker's default set with cap_add and cap_drop applied ("ALL" in either), or all that this machine gives us where
 * privileged: names like "CAP_CHOWN", sorted. What we do not have ourselves is left out, with a warning where it was
 * asked for by name. ERROR_INVALID for an unknown name. *ret is the caller's. */
int capabilities_resolve(const ContainerSpec *spec, const EngineProgress *progress, char ***ret, Error **err);

/* Bit of a capability's name, or -1. */
int capability_number(const char *name);

#endif
