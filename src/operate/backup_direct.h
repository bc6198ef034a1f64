/* A full base backup of a server of this machine: the server is in backup mode, and its files are read from its folder by
 * ourselves, by several threads and without a process of the server in between. What comes of it is what BASE_BACKUP would have
 * sent: the same files, label, log and manifest. */
#ifndef BERTH_OPERATE_BACKUP_DIRECT_H
#define BERTH_OPERATE_BACKUP_DIRECT_H

#include "operate/backup_files.h"
#include "postgres/backup_mode.h"
#include "postgres/replication.h"

typedef struct BackupDirect {
        const PostgresTarget *target;
        const ServerIdentity *identity;
        const char *label, *application;
        bool spread; /* wait for a checkpoint that takes its time */
        int64_t max_rate_kib;
        unsigned threads;
} BackupDirect;

/* files is filled and finished, its begin too; all of it is stored but for the last pack. ERROR_UNSUPPORTED where this
 * server's files cannot be read from here: files has to be made anew then. */
int backup_direct_run(const BackupDirect *direct, BackupFiles *files, Lsn *ret_stop_lsn, Error **err);

#endif
