/* Migrations as a role that is not the one that logs in: what they make belongs to it. */
#ifndef BERTH_POSTGRES_MIGRATE_ROLE_H
#define BERTH_POSTGRES_MIGRATE_ROLE_H

#include "postgres/migrate/run.h"

/* Goes on as role. Before that the tables in which migrations are noted become the role's where they are the login's own;
 * other tables that are the login's are told of in a warning, since the role cannot change them.
 *
 * The role logs in itself, to url with its own name and password ("": none), so that nothing in a file can have more
 * rights than it. Where the server does not let it in, the session becomes the role by SET ROLE, and stays a
 * superuser's: state says so, and statements that would leave the role must be refused (migrate_role_check).
 * ERROR_NOT_FOUND: there is no such role. */
int migrate_role_assume(MigrateState *state, const DatabaseUrl *url, const char *role, const char *password,
                        const MigrateLog *log, Error **err);

/* In a session with a borrowed role: the first statement of sql that would leave it (RESET ROLE, SET ROLE NONE, SET SESSION
 * AUTHORIZATION, DISCARD ALL, and SET ROLE to one it is no member of) is refused, before anything runs. What a function or
 * DO puts together as text cannot be seen here. ERROR_DENIED with its place in path; 0 in all other sessions. */
int migrate_role_check(MigrateState *state, const char *path, const char *sql, Error **err);
/* After a file: the session is the role's again, whatever the file said. ERROR_DENIED where it had become a superuser's. */
int migrate_role_return(MigrateState *state, const char *path, Error **err);

#endif
