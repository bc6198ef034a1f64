/* Migrations as a role that is not the one that logs in: what they make belongs to it. */
#ifndef BERTH_POSTGRES_MIGRATE_ROLE_H
#define BERTH_POSTGRES_MIGRATE_ROLE_H

#include "postgres/migrate/run.h"

/* Makes role the session's one (SET ROLE). Before that the tables in which migrations are noted become the role's where
 * they are the login's own; other tables that are the login's are told of in a warning, since the role cannot change
 * them. ERROR_NOT_FOUND: there is no such role. */
int migrate_role_assume(MigrateState *state, const char *role, const MigrateLog *log, Error **err);

#endif
