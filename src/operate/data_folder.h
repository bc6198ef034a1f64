/* The data folder of a database's container, seen from the host. */
#ifndef BERTH_OPERATE_DATA_FOLDER_H
#define BERTH_OPERATE_DATA_FOLDER_H

#include "engine/engine.h"

/* The folder on the host where path of the container will be, through its mounts; NULL where it is no mount's (it lies
 * in the container's own layer), or in a volume that does not exist yet: then *ret_new is true. *ret_mount is the mount
 * that holds it (borrowed from spec), or NULL. */
char *data_folder_on_host(Engine *engine, const ContainerSpec *spec, const char *path, const SpecMount **ret_mount,
                          bool *ret_new);
/* The mount that holds path (clean): the deepest one; NULL: the container's own layer does. */
SpecMount *data_folder_mount_of(const ContainerSpec *spec, const char *path);
/* PGDATA of the container; NULL where it has none. Borrowed. */
const char *data_folder_of_spec(const ContainerSpec *spec);
/* What the container will read from path, one of its secrets, configs or binds, without trailing newlines; NULL where
 * it is none of them. Owned by the caller. */
char *data_folder_read_file(const ContainerSpec *spec, const char *path);

#endif
