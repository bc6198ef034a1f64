/* The database that a verb is about, and the names that its container was given. */
#ifndef BERTH_CLI_DATABASE_H
#define BERTH_CLI_DATABASE_H

#include "cli/scope.h"

/* The running container of the service name, or, for NULL, of the project's only database. *ret is the caller's. */
int scope_database(const Scope *scope, const char *name, ContainerInfo **ret, Error **err);
/* True where the container runs a PostgreSQL server. */
bool container_is_database(const ContainerInfo *info);
/* POSTGRES_USER, POSTGRES_DB or POSTGRES_PASSWORD, or what the secret of its _FILE form holds on this machine; fallback
 * where neither is given. Owned by the caller; NULL gives NULL. */
char *container_variable(const ContainerInfo *info, const char *name, const char *fallback);

#endif
