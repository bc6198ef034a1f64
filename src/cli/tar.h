/* Archives by the system's tar, with owners as numbers, extended attributes and access lists. */
#ifndef BERTH_CLI_TAR_H
#define BERTH_CLI_TAR_H

#include "base/error.h"

/* -1: none. Its complaints go to standard error. ERROR_FAILED by its status. */
int tar_run(char *const *argv, int stdin_fd, int stdout_fd, Error **err);
/* What is in folder. path "-": standard output (refused where that is a terminal). A file appears whole, synced, or not at
 * all. */
int tar_write_folder(const char *folder, const char *path, Error **err);

#endif
