/* What is mounted into a container besides its root: the kernel's file systems, the image's binds, the network's files,
 * binds, volumes, tmpfs, secrets and configs, parents before children. */
#ifndef BERTH_ENGINE_LOCAL_MOUNTS_H
#define BERTH_ENGINE_LOCAL_MOUNTS_H

#include <jansson.h>

#include "engine/local/network.h"
#include "engine/local/record.h"

/* Makes what is missing (host folders that may be made, volumes, copies of secrets) and fills empty volumes from the
 * image; *ret is the "mounts" of an OCI configuration, a new reference. rootfs is mounted. */
int mounts_prepare(const Layout *layout, const ContainerRecord *record, const char *rootfs,
                   const LocalNetworkResult *network, const EngineProgress *progress, json_t **ret, Error **err);

/* ---- secrets and configs (files.c) ---- */

/* Writes those whose content is only known now (not kept in the record) into the project's tmpfs. For create. */
int files_store(const Layout *layout, const ContainerRecord *record, Error **err);
/* The host path to bind for file i; copies it from its host file where owner, mode or memory demand a copy. rootfs tells
 * owners by name. The caller's. */
int files_prepare(const Layout *layout, const ContainerRecord *record, const char *rootfs, size_t i, char **ret,
                  Error **err);
/* Removes a container's copies, and the project's tmpfs with the last. */
void files_remove(const Layout *layout, const ContainerRecord *record);

#endif
