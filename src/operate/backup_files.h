/* A base backup's stream as a list of files whose chunks are in the repository, or on their way there: the sink of
 * postgres/base_backup.h. */
#ifndef BERTH_OPERATE_BACKUP_FILES_H
#define BERTH_OPERATE_BACKUP_FILES_H

#include "base/progress.h"
#include "base/strmap.h"
#include "operate/backup_changed.h"
#include "operate/backup_prior.h"
#include "operate/chunk_pipeline.h"
#include "postgres/base_backup.h"
#include "postgres/tar_stream.h"
#include "repository/file_list.h"

typedef struct FileInWork {
        ListedFile *file; /* the list's */
        uint32_t *crcs;   /* of its chunks */
        /* What the server's manifest says of it, where that is not the file itself: it came as blocks that changed, or lost
         * lines on the way. */
        char *sent_path; /* NULL: it came as it is */
        uint64_t sent_bytes;
        uint32_t sent_crc32c;
} FileInWork;

struct BackupFiles {
        ChunkPipeline *pipeline; /* of a stream; NULL until it begins */
        PackWriter *writer;
        const PriorBackup *prior; /* NULL: everything is sent */
        ChangedFile *changed;     /* being received; NULL */
        const WorkProgress *progress;
        uint32_t chunk_bytes;
        BaseBackupBegin begin;
        FileList list;
        VECTOR(FileInWork) in_work; /* files with content */
        TarStream tar;
        char *prefix; /* of a tablespace's archive: "pg_tblspc/16400"; NULL */
        bool in_archive;
        char *buffer;         /* being filled; NULL */
        size_t filled, chunk; /* chunk: number of the one in buffer */
        Strbuf manifest;
        uint64_t received_bytes;
        int64_t told_ns;
};

/* All are borrowed. prior: what an incremental backup refers to, NULL for a full one. */
void backup_files_init(BackupFiles *files, PackWriter *writer, const PriorBackup *prior, uint32_t chunk_bytes,
                       const WorkProgress *progress);
void backup_files_done(BackupFiles *files);
#define _cleanup_backup_files_ _cleanup_(backup_files_done)

/* files must not move while the sink is used. */
BaseBackupSink backup_files_sink(BackupFiles *files);
/* For backup_changed.c: begins the content of a file whose size is known now; the buffer of the chunk in work, taken where there
 * is none (NULL: a thread has failed, see chunk_pipeline_finish); posts it, files->filled bytes long. */
void backup_files_begin_content(BackupFiles *files, ListedFile *file);
char *backup_files_buffer(BackupFiles *files);
void backup_files_post(BackupFiles *files);
/* A file whose content is known: one of the program's own making, now (backup_files_new, size bytes). Takes file. */
ListedFile *backup_files_new(const char *path, size_t size);
int backup_files_add(BackupFiles *files, ListedFile *file, const void *content, Error **err);
/* After the last file that was read instead of received: stores the manifest that a server would have sent. */
int backup_files_finish_read(BackupFiles *files, const ServerIdentity *identity, Lsn stop_lsn, Error **err);
/* After the last of the stream: waits for the pipeline, checks every file against the manifest (ERROR_CORRUPT names the first
 * that differs), and stores the manifest as a file, saying what the files are now. */
int backup_files_finish(BackupFiles *files, Error **err);

#endif
