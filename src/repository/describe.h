/* The description of a repository of this machine, repository.json, where it is damaged or missing. All that it says can be known
 * without it: whose it is by its folder, "<project>/<service>/<system identifier>", and how long its chunks are by their indexes. */
#ifndef BERTH_REPOSITORY_DESCRIBE_H
#define BERTH_REPOSITORY_DESCRIBE_H

#include "repository/repository.h"

/* Fills ret in by what is in path. False where that is no repository, or where anything there is of a newer Berth. */
bool repository_known_by_folder(const char *path, Repository *ret);
/* Writes it as repository says. */
int repository_describe(const Repository *repository, Error **err);
/* Writes the description of one that was opened without it (repository->undescribed). What was there is kept below "damaged/<time>/";
 * *ret_kept is that folder, the caller's, NULL: nothing was there. The caller holds the repository's lock. */
int repository_describe_anew(Repository *repository, char **ret_kept, Error **err);
/* The same for the copy of repository in storage, where there are backups: which key is needed what lies there says itself.
 * *ret_written false: it is whole, or there is no copy. ERROR_DENIED where key is not that one. */
int repository_describe_elsewhere(Storage *storage, const BackupKey *key, const Repository *repository,
                                  bool *ret_written, Error **err);

#endif
