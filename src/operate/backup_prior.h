/* The backup that an incremental one refers to. It stays whole by itself, and so does the new one: what has not changed
 * are the same chunks. */
#ifndef BERTH_OPERATE_BACKUP_PRIOR_H
#define BERTH_OPERATE_BACKUP_PRIOR_H

#include "base/strmap.h"
#include "repository/backup_record.h"
#include "repository/file_list.h"
#include "repository/pack.h"

#define BACKUP_BLOCK_BYTES 8192u /* of the data files of servers as they are built everywhere */

typedef struct PriorBackup {
        Repository *repository; /* borrowed */
        BackupRecord *record;
        FileList list;
        Strmap by_path;   /* ListedFile, the list's */
        ChunkIndex index; /* of its chunks alone: nobody else adds to it */
        PackScratch *scratch;
        Strbuf manifest; /* backup_manifest */
} PriorBackup;

void prior_backup_free(PriorBackup *prior);
DEFINE_CLEANUP(PriorBackup, prior_backup_free);

/* The newest backup of this timeline that the last verification did not find damaged. *ret NULL: there is none, or
 * index has lost some of its chunks, or nothing can be built upon it. */
int prior_backup_find(Repository *repository, const ChunkIndex *index, uint32_t timeline, PriorBackup **ret,
                      Error **err);

/* NULL where it has no such file. */
const ListedFile *prior_backup_file(const PriorBackup *prior, const char *path);
/* How many bytes of content chunk number n of a file has, where only the first size_bytes of the file count. */
size_t prior_chunk_size(const PriorBackup *prior, uint64_t size_bytes, size_t n);
/* Its chunk's content; buffer holds chunk_bytes. For one thread. */
int prior_backup_read(const PriorBackup *prior, const ListedFile *file, size_t n, void *buffer, Error **err);

#endif
