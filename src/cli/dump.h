/* A whole database server as one file of SQL, for the moment before something is deleted. */
#ifndef BERTH_CLI_DUMP_H
#define BERTH_CLI_DUMP_H

#include "cli/scope.h"

/* pg_dumpall in the container, into <folder>/<project>-<service>-<UTC time>.sql, mode 0600: whole and synced, or absent.
 * *ret_path is the caller's. */
int dump_database(const Scope *scope, const ContainerInfo *info, const char *folder, char **ret_path, Error **err);

#endif
