/* Parts of the verb backup. */
#ifndef BERTH_CLI_BACKUP_H
#define BERTH_CLI_BACKUP_H

#include "cli/scope.h"

extern const Command command_backup_ls, command_backup_show, command_backup_rm;
extern const Command command_backup_verify, command_backup_prune, command_backup_copy;

/* Opens the scope and finds the database's service: the one named, or the only one; one that is stopped or removed but has
 * backups will do. *ret_service is the caller's. */
int backup_scope(Invocation *invocation, const char *name, Scope *ret, char **ret_service, Error **err);

#endif
