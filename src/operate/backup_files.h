/* A base backup's stream as a list of files whose chunks are in the repository, or on their way there: the sink of
 * postgres/base_backup.h. */
#ifndef BERTH_OPERATE_BACKUP_FILES_H
#define BERTH_OPERATE_BACKUP_FILES_H

#include "base/progress.h"
#include "base/strmap.h"
#include "operate/chunk_pipeline.h"
#include "postgres/base_backup.h"
#include "postgres/tar_stream.h"
#include "repository/file_list.h"

typedef struct FileInWork {
        ListedFile *file;       /* the list's */
        uint32_t *crcs;         /* of its chunks */
} FileInWork;

typedef struct BackupFiles {
        ChunkPipeline *pipeline;
        const WorkProgress *progress;
        uint32_t chunk_bytes;
        BaseBackupBegin begin;
        FileList list;
        VECTOR(FileInWork) in_work;     /* files with content */
        TarStream tar;
        char *prefix;           /* of a tablespace's archive: "pg_tblspc/16400"; NULL */
        bool in_archive;
        char *buffer;           /* being filled; NULL */
        size_t filled, chunk;   /* chunk: number of the one in buffer */
        Strbuf manifest;
        uint64_t received_bytes;
        int64_t told_ns;
} BackupFiles;

/* pipeline and progress are borrowed. */
void backup_files_init(BackupFiles *files, ChunkPipeline *pipeline, uint32_t chunk_bytes, const WorkProgress *progress);
void backup_files_done(BackupFiles *files);
#define _cleanup_backup_files_ _cleanup_(backup_files_done)

/* files must not move while the sink is used. */
BaseBackupSink backup_files_sink(BackupFiles *files);
/* After the last of the stream: stores the manifest as a file, waits for the pipeline, and checks every file against the
 * manifest: ERROR_CORRUPT names the first that differs. */
int backup_files_finish(BackupFiles *files, Error **err);

#endif
