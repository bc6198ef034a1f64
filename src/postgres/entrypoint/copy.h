/* Copies of folders of many small files: by reference where the file system can, on all processors. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_COPY_H
#define BERTH_POSTGRES_ENTRYPOINT_COPY_H

#include "base/error.h"

/* Copies the tree at source to target, which must not exist; folders get mode 0700, files 0600, both the caller's.
 * Holes stay holes but are allocated. Nothing is synced. */
int copy_tree(const char *source, const char *target, Error **err);

#endif
