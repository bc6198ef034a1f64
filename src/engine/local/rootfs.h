/* The root file system of a container: overlayfs over its image's layers, with upper and work folders among its data,
 * mounted at <run path>/merged. */
#ifndef BERTH_ENGINE_LOCAL_ROOTFS_H
#define BERTH_ENGINE_LOCAL_ROOTFS_H

#include "engine/local/record.h"

/* Mounts it, unless it is mounted. *ret_path is the caller's. */
int rootfs_mount(const Layout *layout, const ContainerRecord *record, char **ret_path, Error **err);
/* Absent is fine. What still uses it keeps it until it ends. */
int rootfs_unmount(const ContainerRecord *record, Error **err);

/* True where path is the root of a mount. */
bool mount_is_point(const char *path);
/* Makes <run>/projects a mount of its own with private propagation, so that container roots do not spread into other
 * mount namespaces, which would keep them busy. Once a boot. */
int mount_prepare_run(const Layout *layout, Error **err);

#endif
