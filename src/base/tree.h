/* Whole trees of files: looking at one, and making one durable. Links are never followed. */
#ifndef BERTH_BASE_TREE_H
#define BERTH_BASE_TREE_H

#include <sys/stat.h>

#include "base/error.h"

/* path is relative to the tree's root. A negative result ends the walk with it. */
typedef int (*TreeVisitor)(void *context, const char *path, const struct stat *status, Error **err);

/* Every entry below root_fd, in the order of names, a folder before what is in it. */
int tree_walk(int root_fd, TreeVisitor visitor, void *context, Error **err);
/* Everything in the folder root is on disk when this returns, itself included. Unlike syncfs it waits for these files
 * alone and not for whatever else is being written on the same file system. Other file systems mounted below take
 * part. Nobody may write there meanwhile. */
int tree_sync(const char *root, Error **err);

#endif
