/* What is a PostgreSQL server: a service whose main process is postgres, after entrypoint and command are resolved against
 * the image. Never by the image's name alone: a client often uses the same image. */
#ifndef BERTH_DEPLOY_DATABASE_H
#define BERTH_DEPLOY_DATABASE_H

#include "base/macros.h"

/* argv: entrypoint and command joined. environment: the image's and service's merged; it tells a PostgreSQL image
 * (PG_MAJOR or PGDATA) where the command starts with an option. */
bool argv_is_postgres(char *const *argv, char *const *environment);

#endif
