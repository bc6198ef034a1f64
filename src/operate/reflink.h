/* A copy of a running cluster that shares its blocks: every file is cloned (FICLONE) while the server is in backup mode, and the
 * log of that time with it, so that the copy is a base backup with its own log and is recovered like one. Takes as long as
 * the checkpoint and one system call for each file. */
#ifndef BERTH_OPERATE_REFLINK_H
#define BERTH_OPERATE_REFLINK_H

#include <jansson.h>

#include "base/progress.h"
#include "postgres/connect.h"

typedef struct ReflinkCopy {
        PostgresTarget target;
        const char *inside;    /* the copy's data folder, as its server will see it */
        const char *directory; /* exists and is empty; becomes the copy's data folder */
} ReflinkCopy;

/* Files are found and trusted as operate/cluster_folder.h has it. Tablespaces lie inside the copy, as after a restore. Recovery
 * is set up to the copy's own end. Synced on return. ERROR_UNSUPPORTED: the file system cannot, or something of the cluster is
 * out of reach. *ret: {"server_version", "timeline", "end_lsn", "kind", "made_ns", "files", "tablespaces"}. */
int reflink_copy(const ReflinkCopy *copy, const WorkProgress *progress, json_t **ret, Error **err);

#endif
