/* The database that a verb is about. */
#ifndef BERTH_CLI_DATABASE_H
#define BERTH_CLI_DATABASE_H

#include "cli/scope.h"
#include "compose/xberth.h"
#include "operate/login.h"

/* The running container of the service name, or, for NULL, of the project's only database. *ret is the caller's. */
int scope_database(const Scope *scope, const char *name, ContainerInfo **ret, Error **err);
/* The name alone, of a database that may be stopped; name NULL: the only one. *ret is the caller's. */
int scope_database_service(const Scope *scope, const char *name, char **ret, Error **err);
/* True where the container runs a PostgreSQL server. */
bool container_is_database(const ContainerInfo *info);
/* Waits until the server of the service's container accepts connections. ERROR_CONFLICT: the container does not run; ERROR_TIMEOUT: it
 * did not within a minute. */
int scope_database_await(const Invocation *invocation, const Scope *scope, const char *service, Error **err);
/* What x-berth says of a service (NULL: of the project alone); its defaults where there is no compose file. */
XBerth scope_settings(const Scope *scope, const char *service);
/* Before it was brought up: x-berth says so, or its image is called postgres and its command is no other program's. */
bool service_looks_like_database(const Project *project, const Service *service);

#endif
