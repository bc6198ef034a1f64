/* A base backup of a server into a repository: its files are read from its folder where that is to be seen from here, else they
 * come over the replication protocol, and so does what has changed since the newest backup where the server can tell (17).
 * Several threads name, compress and store chunks. Nothing counts as a backup before its record is written. */
#ifndef BERTH_OPERATE_BACKUP_H
#define BERTH_OPERATE_BACKUP_H

#include "base/progress.h"
#include "postgres/connect.h"
#include "repository/backup_record.h"

typedef struct BackupOptions {
        PostgresTarget target;
        const char *folder; /* of the service's repositories: "<data>/backups/<project>/<service>" */
        const char *project, *service;
        int64_t max_rate_kib; /* 0: none */
        bool gentle;          /* run at low priority */
        bool wait;            /* for another backup, restore or removal that is at work */
        bool full; /* never incremental: servers from 17 on otherwise send what has changed since the newest backup */
        bool streamed;        /* over the replication protocol in any case */
        bool spread;          /* wait for a checkpoint that takes its time, as the server's settings have it */
        const char *noted_at; /* where others see how far it is (backup_work.h); NULL: nowhere */
        unsigned threads;     /* 0: one for each processor, at most 4 */
        int level;            /* of zstd; 0: -1 */
} BackupOptions;

/* *ret is the caller's. ERROR_CONFLICT where another backup of the cluster runs. */
int backup_run(const BackupOptions *options, const WorkProgress *progress, BackupRecord **ret, Error **err);

#endif
