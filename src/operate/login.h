/* Who a database's container was told to be: user, database and password of its environment or of its secrets. */
#ifndef BERTH_OPERATE_LOGIN_H
#define BERTH_OPERATE_LOGIN_H

#include "engine/engine.h"

typedef struct DatabaseLogin {
        char *user, *database, *port;
        char *password; /* "" where there is none */
} DatabaseLogin;

void database_login_done(DatabaseLogin *login);
#define _cleanup_database_login_ _cleanup_(database_login_done)

/* POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD and PGPORT with the image's defaults. */
void database_login_of(const ContainerInfo *info, DatabaseLogin *ret);
/* A variable of the container, or what the secret of its _FILE form holds on this machine; fallback where neither is
 * given. Owned by the caller; NULL gives NULL. */
char *container_variable(const ContainerInfo *info, const char *name, const char *fallback);

/* A command for exec in a database's container: PGUSER, PGPASSWORD and PGDATABASE are what the container was given. The
 * caller's. */
char **database_client(char *const *command);

#endif
