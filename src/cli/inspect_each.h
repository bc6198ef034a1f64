/* `volume inspect`, `network inspect`, `image inspect`: each thing named, as one list in JSON. */
#ifndef BERTH_CLI_INSPECT_EACH_H
#define BERTH_CLI_INSPECT_EACH_H

#include <jansson.h>

#include "cli/invocation.h"
#include "engine/engine.h"

/* *ret is a new reference. */
typedef int (*InspectOne)(const Invocation *invocation, Engine *engine, const char *name, json_t **ret, Error **err);

/* Nothing is printed unless all are there. */
int inspect_each(Invocation *invocation, InspectOne inspect, Error **err);

extern const Option inspect_each_options[];

#endif
