/* The backups of one cluster: base backups, and the log from the first of them on. docs/backup-format.md describes every
 * file, so that it can be read without this program. No SQL, no engine: what comes from a server is brought here by
 * operate/.
 *
 *   repository.json               format, system identifier, chunk size
 *   lock                          flock: one writer at a time
 *   packs/<id>.pack, <id>.index   chunks of files, compressed; shared between backups        (pack_writer.h, pack_reader.h)
 *   backups/<id>/{backup.json,files.zst}   what a backup consists of; backup.json comes last (backup_record.h, file_list.h)
 *   wal/<timeline>/<segment>.zst  the log                                                    (wal_archive.h)
 *
 * Crash-only: packs are written before the list that names them, and backup.json last of all; what no backup names is
 * found again by the next backup, or removed by prune. */
#ifndef BERTH_REPOSITORY_REPOSITORY_H
#define BERTH_REPOSITORY_REPOSITORY_H

#include "repository/key.h"
#include "repository/storage.h"

#define REPOSITORY_FORMAT      1
#define REPOSITORY_DESCRIPTION "repository.json"
#define REPOSITORY_CHUNK_BYTES 65536 /* of new repositories: eight pages */

typedef struct Repository {
        Storage *storage; /* owned */
        char *path; /* its folder on this machine, for the lock and for partial segments; NULL: it lies elsewhere */
        char *project, *service;
        uint64_t system_identifier;
        uint32_t chunk_bytes;
        char *undescribed; /* why repository.json could not be read, and its folder was asked instead; NULL: it could */
        bool encrypted;    /* of a copy elsewhere: what is written there is sealed */
} Repository;

/* folder: "<data>/backups/<project>/<service>"; the cluster's repository is below it. Made where it is absent.
 * ERROR_CORRUPT where repository.json names another cluster. *ret is the caller's. */
int repository_create(const char *folder, const char *project, const char *service, uint64_t system_identifier,
                      Repository **ret, Error **err);
/* An existing one, by its own folder. One whose description is damaged or missing opens all the same (describe.h). ERROR_NOT_FOUND;
 * ERROR_UNSUPPORTED where a newer Berth wrote it. */
int repository_open(const char *path, Repository **ret, Error **err);
/* A copy that lies elsewhere, by its storage, which is taken also on failure. key, which is borrowed for the repository's
 * life, opens it where it is encrypted (NULL: none): ERROR_DENIED where it is another, or none and one is needed.
 * ERROR_NOT_FOUND where there is no repository. */
int repository_open_elsewhere(Storage *storage, const BackupKey *key, Repository **ret, Error **err);
/* Begins such a copy of repository; encrypted where there is a key. The description is all that is readable then. */
int repository_begin_elsewhere(Storage *storage, const BackupKey *key, const Repository *repository, Error **err);
void repository_free(Repository *repository);
DEFINE_CLEANUP(Repository, repository_free);

/* Shuts out other backups, prunes and removals (the receiver, which adds to the log only, takes a lock of its own).
 * ERROR_CONFLICT at once where another has it. Held until *ret_fd is closed. */
int repository_lock(const Repository *repository, int *ret_fd, Error **err);

/* The clusters of a service that have a repository, as names of folders, the one written to last at the end; NULL: none. */
char **repository_lines(const char *folder);

#endif
