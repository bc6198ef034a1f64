/* Files of an incremental base backup that come as the blocks which changed, put together with the prior backup's
 * chunks. A chunk without a changed block is not read, not even its name computed: it is the prior's. Format
 * (PostgreSQL's src/backend/backup/basebackup_incremental.c and src/bin/pg_combinebackup/reconstruct.c): the name
 * begins with "INCREMENTAL."; four-byte numbers in the server's byte order: a magic number, how many blocks follow, the
 * length in blocks that the file was at least cut down to, and each block's number; zeros up to a whole block where
 * there are any; the blocks. What the file has beyond the prior's blocks and is not among these are zeros. */
#ifndef BERTH_OPERATE_BACKUP_CHANGED_H
#define BERTH_OPERATE_BACKUP_CHANGED_H

#include "base/error.h"
#include "repository/file_list.h"

typedef struct BackupFiles BackupFiles;
typedef struct ChangedFile ChangedFile;

/* "base/5/INCREMENTAL.16384" */
bool changed_path_is(const char *path);

/* file was added to the list by the name it came with and gets its own. ERROR_CORRUPT where the prior backup has no
 * such file. */
int changed_file_begin(BackupFiles *files, ListedFile *file, ChangedFile **ret, Error **err);
int changed_file_content(ChangedFile *changed, const char *data, size_t size, Error **err);
int changed_file_end(ChangedFile *changed, Error **err);
void changed_file_free(ChangedFile *changed);

#endif
