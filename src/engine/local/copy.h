/* Copies the content of an image's folder into an empty volume. */
#ifndef BERTH_ENGINE_LOCAL_COPY_H
#define BERTH_ENGINE_LOCAL_COPY_H

#include "base/error.h"

/* Owner, group, mode and extended attributes of the folder itself. */
int copy_folder_attributes(int from_fd, int to_fd, Error **err);
/* The whole tree below from_fd into to_fd: folders, files, links, devices, with owners, modes, times and attributes.
 * What exists at the target is replaced. Never follows a link. */
int copy_tree(int from_fd, int to_fd, Error **err);
bool folder_is_empty(int fd);

#endif
