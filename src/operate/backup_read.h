/* The content of a running cluster's files into a repository, read by several threads straight from its folder, while the
 * server is in backup mode: what it writes meanwhile is put right by the log. */
#ifndef BERTH_OPERATE_BACKUP_READ_H
#define BERTH_OPERATE_BACKUP_READ_H

#include "operate/backup_files.h"
#include "operate/cluster_folder.h"

typedef struct BackupReadOptions {
        const char *name;     /* of what is read, for the progress: each is counted for itself */
        bool check_pages;     /* the cluster has page checksums */
        Lsn start_lsn;        /* pages that were written later need not be whole */
        int64_t max_rate_kib; /* a second; 0: none */
        unsigned threads;     /* 0: one for each processor, at most 4 */
} BackupReadOptions;

/* Reads the files of files->list from number first on, whose sizes are known, and gives them their chunks. What is gone by now
 * leaves the list; what has become shorter is filled up with zeros. Pages that fail their checksum are named as warnings, and
 * are ERROR_CORRUPT once everything has been looked at. */
int backup_read(BackupFiles *files, const ClusterFolder *folder, size_t first, const BackupReadOptions *options,
                Error **err);

#endif
