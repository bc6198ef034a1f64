/* A volume in a container: made where it is missing, filled from the image where it is empty. */
#ifndef BERTH_ENGINE_LOCAL_VOLUME_USE_H
#define BERTH_ENGINE_LOCAL_VOLUME_USE_H

#include "engine/local/record.h"

/* *ret_source is the host path to bind, the caller's; NULL for a tmpfs volume, whose options are *ret_tmpfs then. */
int volume_use(const Layout *layout, const ContainerRecord *record, const SpecMount *mount, const char *rootfs,
               char **ret_source, char ***ret_tmpfs, Error **err);

#endif
