/* status: what it finds, and how that is shown. */
#ifndef BERTH_CLI_STATUS_H
#define BERTH_CLI_STATUS_H

#include <jansson.h>

#include "cli/scope.h"

/* All of one database, {"service", "state", …} as docs/backup.md has it: from files, the receiver's state and its server. Never
 * fails for what cannot be reached: that is one of "problems". A new reference. */
int status_gather(const Invocation *invocation, const Scope *scope, const char *service, const ContainerInfo *info,
                  json_t **ret, Error **err);
/* status_view.c: for people; problems in red. */
void status_print(const json_t *status);
/* status_metrics.c: all of a project's databases for Prometheus. */
void status_print_metrics(const char *project, const json_t *rows);

#endif
