/* Copies of databases: what clone and restore --as have in common. */
#ifndef BERTH_CLI_COPY_H
#define BERTH_CLI_COPY_H

#include "cli/scope.h"
#include "operate/copies.h"

extern const Command command_clone_ls, command_clone_rm;

/* Stops and removes its containers, its data and its record; what is absent is fine. */
int copy_remove(const Invocation *invocation, const Scope *scope, const CopyRecord *record, Error **err);

#endif
