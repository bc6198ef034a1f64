/* The way back, kept before something is deleted. */
#ifndef BERTH_CLI_KEEP_H
#define BERTH_CLI_KEEP_H

#include "cli/scope.h"

/* True where the database's log is being received and it has a base backup, so that a restore point is enough.
 * Otherwise a dump is the way. */
bool keep_by_restore_point(const Invocation *invocation, const Scope *scope, const ContainerInfo *info);

/* Sets a restore point named for the moment and waits until the log up to it is in the repository; or, where that is
 * not the way, writes a dump of the whole server into the project's folder. Says on standard error what brings it back.
 */
int keep_before_loss(const Invocation *invocation, const Scope *scope, const ContainerInfo *info, Error **err);

#endif
