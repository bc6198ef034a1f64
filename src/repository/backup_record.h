/* backup.json of a backup: what it is and what it needs. It is written last: a folder without one is no backup. */
#ifndef BERTH_REPOSITORY_BACKUP_RECORD_H
#define BERTH_REPOSITORY_BACKUP_RECORD_H

#include <jansson.h>

#include "postgres/wal_name.h"
#include "repository/repository.h"

#define BACKUP_FORMAT  1
#define BACKUP_ID_SIZE 32

typedef struct BackupRecord {
        char *id; /* "20261121T153012Z", the time of its start; "-2" and so on behind it where that is taken */
        int64_t started_ns, finished_ns; /* realtime, this machine's clock */
        char *kind;         /* "full"; "incremental" where the server sent only what had changed: it is whole too */
        bool streamed;      /* by the replication protocol; else read from the server's folder */
        int server_version; /* as PostgreSQL counts: 150020 */
        uint32_t timeline;  /* at its end */
        Lsn start_lsn, stop_lsn;    /* consistent from stop_lsn on */
        uint32_t segment_bytes;     /* of the log */
        bool data_checksums;        /* of the cluster: pages were checked while they passed */
        uint64_t files, size_bytes; /* of the cluster */
        uint64_t new_bytes;         /* what it added to the repository */
        char *files_sha256;
} BackupRecord;

/* By the log: which was taken later. Clocks may have been set in between. */
int backup_record_compare(const BackupRecord *a, const BackupRecord *b);
void backup_record_free(BackupRecord *record);
DEFINE_CLEANUP(BackupRecord, backup_record_free);

typedef struct BackupList {
        VECTOR(BackupRecord *) records; /* oldest first, by the log */
        char **damaged;                 /* ids whose record cannot be read; a strv */
} BackupList;
void backup_list_done(BackupList *list);
#define _cleanup_backup_list_ _cleanup_(backup_list_done)

/* A new id; its folder does not exist yet. Under the repository's lock. */
char *backup_id_new(Repository *repository, int64_t now_ns);
bool backup_id_is_valid(const char *id);

int backup_record_save(Repository *repository, const BackupRecord *record, Error **err);
int backup_record_load(Repository *repository, const char *id, BackupRecord **ret, Error **err);
int backup_list_load(Repository *repository, BackupList *ret, Error **err);
/* For listings and the wire; a new reference. */
json_t *backup_record_to_json(const BackupRecord *record);

/* Removes the record first, then what is its own. Chunks stay until prune. */
int backup_remove(Repository *repository, const char *id, Error **err);

#endif
