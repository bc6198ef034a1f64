/* What backups there are, for listings: a row for each, of one project or of one of its services. */
#ifndef BERTH_OPERATE_CATALOG_H
#define BERTH_OPERATE_CATALOG_H

#include <jansson.h>

#include "repository/repository.h"
#include "state/layout.h"

/* Rows, the oldest first, clusters one after the other, the present one last: the record of docs/backup-format.md and
 * "service", "repository" (path), "present" (the cluster that was written to last), "until_lsn", "until_ns" (how far the log
 * leads from it without a gap) or {"service", "repository", "id", "damaged": true}. service NULL: all. A project without
 * backups has none. *ret is a new array. */
int catalog_list(const Layout *layout, const char *project, const char *service, json_t **ret, Error **err);

/* Opens the repository of a service: of cluster (its system identifier), or of the cluster that was written to last.
 * ERROR_NOT_FOUND where there is none. */
int catalog_open(const Layout *layout, const char *project, const char *service, const char *cluster, Repository **ret,
                 Error **err);
/* Opens the repository that holds a backup. ERROR_NOT_FOUND with a hint. */
int catalog_find(const Layout *layout, const char *project, const char *service, const char *id, Repository **ret,
                 Error **err);

#endif
