/* The OCI bundle of a container: config.json of the runtime specification 1.0, with Docker's defaults or stricter. */
#ifndef BERTH_ENGINE_LOCAL_BUNDLE_H
#define BERTH_ENGINE_LOCAL_BUNDLE_H

#include <jansson.h>

#include "engine/local/network.h"
#include "engine/local/record.h"

typedef struct Bundle {
        const Layout *layout;
        const ContainerRecord *record;
        const EngineProgress *progress;
        const char *rootfs; /* mounted */
        const LocalNetworkResult *network;
        const char *cgroup; /* "/berth-a1b2c3/<id>" */
        json_t *mounts;     /* of mounts_prepare; taken over by reference */
} Bundle;

/* Writes <run path>/bundle/config.json. Warns (progress) of what this machine cannot give. ERROR_INVALID for settings
 * that make no sense, ERROR_NOT_FOUND for users and containers that do not exist. */
int bundle_write(const Bundle *bundle, Error **err);

/* The whole "process" object, for exec: spec's container settings with other arguments; user NULL: the container's. */
int bundle_process(const ContainerSpec *spec, int root_fd, const char *user, const EngineProgress *progress,
                   json_t **ret, Error **err);

/* The cgroup of a container. The caller's. */
char *bundle_cgroup(const Layout *layout, const ContainerSpec *spec, const char *id);

#endif
