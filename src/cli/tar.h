/* Archives by the system's tar, with owners as numbers, extended attributes and access lists. */
#ifndef BERTH_CLI_TAR_H
#define BERTH_CLI_TAR_H

#include "base/error.h"

/* Runs tar, or another tool of the system, to its end. folder_fd becomes its descriptor 3; -1: none, of each. Its complaints go to
 * standard error. ERROR_FAILED by its status. */
int tool_run(char *const *argv, int folder_fd, int stdin_fd, int stdout_fd, Error **err);
/* What is in folder. path "-": standard output (refused where that is a terminal). A file appears whole, synced, or not at
 * all. */
int tar_write_folder(const char *folder, const char *path, Error **err);

#endif
