/* files.zst of a backup: every file and folder of the data folder and of its tablespaces, with the chunks that make its
 * content. Text, compressed; the first line is "berth-files 1". Then, in an order in which folders come before what is in
 * them:
 *   d MODE UID GID MTIME PATH
 *   l MODE UID GID MTIME PATH TARGET
 *   f MODE UID GID MTIME SIZE CRC32C PATH        followed by its chunks:
 *   c DIGITS
 * MODE is octal, MTIME seconds, CRC32C 8 digits over the file's content. In PATH and TARGET, '%' and bytes below 0x21 and
 * 0x7f are written as %XX. Files of a tablespace have paths below pg_tblspc/<oid>/. */
#ifndef BERTH_REPOSITORY_FILE_LIST_H
#define BERTH_REPOSITORY_FILE_LIST_H

#include "repository/chunk.h"
#include "repository/repository.h"

typedef struct ListedFile {
        char type; /* 'd', 'l', 'f' */
        unsigned mode, uid, gid;
        int64_t mtime;
        uint64_t size_bytes;
        uint32_t crc32c;
        char *path, *target; /* target: of a link; NULL */
        ChunkId *chunks;
        size_t n_chunks;
} ListedFile;

typedef struct FileList {
        VECTOR(ListedFile *) files;
} FileList;

void listed_file_free(ListedFile *file);
DEFINE_CLEANUP(ListedFile, listed_file_free);
void file_list_done(FileList *list);
#define _cleanup_file_list_ _cleanup_(file_list_done)

/* Writes "backups/<id>/files.zst"; *ret_sha256 (64 digits, the caller's) is of the text before compression. */
int file_list_write(Repository *repository, const char *backup_id, const FileList *list, char **ret_sha256,
                    Error **err);
/* sha256 NULL: not compared. ERROR_CORRUPT where it is damaged or not what sha256 says. Paths are checked: none leaves the
 * data folder. */
int file_list_read(Repository *repository, const char *backup_id, const char *sha256, FileList *ret, Error **err);

#endif
