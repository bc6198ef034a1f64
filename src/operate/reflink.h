/* A copy of a running cluster that shares its blocks: every file is cloned (FICLONE) between the start and the end of a backup,
 * and the log of that time with it, so that the copy is a base backup with its own log and is recovered like one. Takes
 * as long as the checkpoint and one system call for each file. */
#ifndef BERTH_OPERATE_REFLINK_H
#define BERTH_OPERATE_REFLINK_H

#include <jansson.h>

#include "base/progress.h"
#include "postgres/connect.h"

typedef struct ReflinkCopy {
        PostgresTarget target;
        const json_t *mounts;  /* of the server's container: [{"target", "source"?: on this machine}] */
        const char *inside;    /* the data folder, as the server sees it */
        const char *directory; /* exists and is empty; becomes the copy's data folder */
} ReflinkCopy;

/* What the container can write is not trusted: no link is followed but those that make tablespaces and the log's folder, and
 * these only through the mounts. Tablespaces lie inside the copy, as after a restore. Recovery is set up to the copy's own end.
 * Synced on return. ERROR_UNSUPPORTED: the file system cannot, or something of the cluster is out of reach; nothing was asked of
 * the server then, where it is the file system. *ret: {"server_version", "timeline", "end_lsn", "kind", "made_ns", "files",
 * "tablespaces": see restore_lay_out}. */
int reflink_copy(const ReflinkCopy *copy, const WorkProgress *progress, json_t **ret, Error **err);

#endif
