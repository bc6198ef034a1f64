/* Devices and limits of an OCI configuration. */
#ifndef BERTH_ENGINE_LOCAL_BUNDLE_RESOURCES_H
#define BERTH_ENGINE_LOCAL_BUNDLE_RESOURCES_H

#include <jansson.h>

#include "engine/engine.h"

/* Both are new references. ERROR_NOT_FOUND for a device that this machine does not have. */
int bundle_devices_and_resources(const ContainerSpec *spec, const EngineProgress *progress, json_t **ret_devices,
                                 json_t **ret_resources, Error **err);

#define DEFAULT_PIDS 4096

#endif
