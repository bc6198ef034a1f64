/* Parts of restore_lay_out. */
#ifndef BERTH_OPERATE_RESTORE_PRIVATE_H
#define BERTH_OPERATE_RESTORE_PRIVATE_H

#include <jansson.h>

#include "operate/restore.h"
#include "operate/restore_mark.h"
#include "repository/file_list.h"

/* restore_entries.c: where a file of the list comes to lie: a tablespace's are inside the data folder from now on
 * ("pg_tblspc/16400/x" → "berth_tablespaces/16400/x"). The caller's. */
char *restore_place(const ListedFile *file);
/* Makes a folder, a link, or an empty file with its owner and mode. */
int restore_make_entry(int dir_fd, const ListedFile *file, const RestoreOptions *options, Error **err);
/* restore_files.c: folders, links and files of the list. dir_fd: of the data folder. */
int restore_files(Repository *repository, const FileList *list, int dir_fd, const RestoreOptions *options,
                  const WorkProgress *progress, Error **err);
/* restore_log.c: the segments that the target needs, histories, and what tells the server to recover. */
int restore_log(Repository *repository, const RestorePlan *plan, int dir_fd, const RestoreOptions *options,
                const WorkProgress *progress, Error **err);

/* restore_tablespaces.c: those that the log in pg_wal makes, [{"oid", "location"}]. */
int restore_find_tablespaces(int dir_fd, uint32_t segment_bytes, json_t **ret, Error **err);
/* What tells the server in a data folder to recover to target, along its timeline, without fetching anything. */
int restore_put_settings(const RestoreTarget *target, int dir_fd, const RestoreOptions *options, Error **err);

#endif
