/* BASE_BACKUP, both forms of its answer: a stream per tablespace (13 and 14), and one stream of typed messages (from 15).
 * Format: PostgreSQL's documentation, "BASE_BACKUP". What comes is handed on as it is: tar archives in pieces of any
 * size, and the server's manifest. */
#ifndef BERTH_POSTGRES_BASE_BACKUP_H
#define BERTH_POSTGRES_BASE_BACKUP_H

#include "postgres/replication.h"

typedef struct BaseBackupOptions {
        const char *label;
        bool fast_checkpoint;
        int64_t max_rate_kib; /* a second, 32 to 1048576; 0: as fast as it comes */
        bool incremental;     /* a manifest was uploaded before: from 17 */
} BaseBackupOptions;

typedef struct BaseBackupBegin {
        Lsn start_lsn;
        uint32_t timeline;
        uint64_t total_bytes; /* the server's estimate */
} BaseBackupBegin;

/* All on the calling thread; a negative result ends the backup with it. */
typedef struct BaseBackupSink {
        void *context;
        int (*begin)(void *context, const BaseBackupBegin *begin, Error **err);
        /* A tar archive begins. oid and location: of a tablespace; NULL for the data folder itself. */
        int (*archive)(void *context, const char *oid, const char *location, Error **err);
        int (*data)(void *context, const char *data, size_t size, Error **err);
        int (*manifest)(void *context, const char *data, size_t size, Error **err);
        void (*warning)(void *context, const char *text); /* the server's: a page that failed its check, for example */
} BaseBackupSink;

/* From 17: what a following incremental backup refers to. ERROR_FAILED or whatever the server says where it does not want it. */
int base_backup_upload_manifest(PGconn *connection, const char *text, size_t length, Error **err);

/* Blocks until the server has said that the backup is complete; *ret_stop_lsn: consistent from there on. A page that
 * fails its checksum ends it with ERROR_CORRUPT. cancel_fd readable: ERROR_CANCELLED; -1: never. */
int base_backup_run(PGconn *connection, const BaseBackupOptions *options, const BaseBackupSink *sink, int cancel_fd,
                    Lsn *ret_stop_lsn, uint32_t *ret_timeline, Error **err);

#endif
