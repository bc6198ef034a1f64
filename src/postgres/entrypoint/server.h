/* The temporary server of a first start. It listens on a socket in a private folder only, so that whoever probes the
 * usual socket or port sees no server until the final one is up. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_SERVER_H
#define BERTH_POSTGRES_ENTRYPOINT_SERVER_H

#include "base/process.h"
#include "postgres/entrypoint/settings.h"

typedef struct TemporaryServer {
        Process process;
        char *data_dir;
        char *socket_dir;   /* removed at the end */
        char **environment; /* for clients: PGHOST, PGPASSWORD */
        bool running;
} TemporaryServer;

/* Returns when it accepts connections. server_args are the user's, without "postgres". */
int server_start(const Settings *settings, char *const *server_args, TemporaryServer *ret, int *ret_status,
                 Error **err);
/* Creates settings->database by a server of one process that nobody can connect to, and that has ended in good order
 * when this returns; for a cluster that initdb has just made. ERROR_UNSUPPORTED: its name asks for psql. */
int server_create_database(const Settings *settings, int *ret_status, Error **err);
/* Fast shutdown, also of a server that a script started in its place. */
int server_stop(TemporaryServer *server, Error **err);
/* Ends it at once (what it wrote will be thrown away). */
void server_done(TemporaryServer *server);
#define _cleanup_server_ _cleanup_(server_done)

#endif
