/* Parts of restore_lay_out. */
#ifndef BERTH_OPERATE_RESTORE_PRIVATE_H
#define BERTH_OPERATE_RESTORE_PRIVATE_H

#include "operate/restore.h"
#include "repository/file_list.h"

/* Where tablespaces lie in a restored data folder; pg_tblspc links to them. */
#define RESTORED_TABLESPACES "berth_tablespaces"

/* restore_files.c: folders, links and files of the list. dir_fd: of the data folder. */
int restore_files(Repository *repository, const FileList *list, int dir_fd, const RestoreOptions *options,
                  const WorkProgress *progress, Error **err);
/* restore_log.c: the segments that the target needs, histories, and what tells the server to recover. */
int restore_log(Repository *repository, const RestorePlan *plan, int dir_fd, const RestoreOptions *options,
                const WorkProgress *progress, Error **err);

/* What tells the server in a data folder to recover to target, along its timeline, without fetching anything. */
int restore_put_settings(const RestoreTarget *target, int dir_fd, const RestoreOptions *options, Error **err);

#endif
