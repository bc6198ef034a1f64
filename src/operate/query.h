/* A question to a database by the psql in its container, for what is asked now and then and needs no connection of ours. */
#ifndef BERTH_OPERATE_QUERY_H
#define BERTH_OPERATE_QUERY_H

#include "engine/engine.h"

typedef struct DatabaseQuery {
        const char *host;       /* over TCP; NULL: by the socket */
        const char *password;   /* instead of the container's own; no secret: it stands on a command line. NULL */
        const char *sql;        /* holds no secret either */
} DatabaseQuery;

/* Rows unaligned, columns parted by |, a line each; *ret_output is the caller's. ERROR_FAILED with the server's first line;
 * ERROR_TIMEOUT after 20 s. */
int database_query(Engine *engine, const ContainerInfo *info, const DatabaseQuery *query, char **ret_output, Error **err);

#endif
