/* Reaching a server that runs in a container of this machine, or elsewhere by URL. Nothing is needed inside: the socket is
 * reached through the container's root, by the server's own user (so that peer and trust work), else loopback in its
 * network, each with the password where one is asked for. A refusal names the pg_hba line that would let us in. Blocks;
 * the calling thread's user and network namespace are changed for the connect and put back. */
#ifndef BERTH_POSTGRES_CONNECT_H
#define BERTH_POSTGRES_CONNECT_H

#include <libpq-fe.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct PostgresTarget {
        pid_t pid;            /* the container's first process; 0: by url */
        const char *data_dir; /* PGDATA inside: its postmaster.pid tells port and socket */
        const char *user;     /* a superuser, or one with the right to replicate */
        const char *password; /* NULL: none */
        const char *database; /* NULL: "postgres" */
        const char *url;      /* an external server; NULL */
} PostgresTarget;

typedef enum ConnectMode {
        CONNECT_SQL,
        CONNECT_REPLICATION,
        /* For statements on which others wait: where the server refuses CONNECT_SQL (all its connections are taken, say by commits that
         * wait), one of max_wal_senders is taken instead. PQexec alone, without parameters: postgres_quote. */
        CONNECT_CONTROL,
} ConnectMode;

static inline void connection_closep(PGconn **connection)
{
        PQfinish(*connection);
}
#define _cleanup_connection_ _cleanup_(connection_closep)

static inline void result_clearp(PGresult **result)
{
        PQclear(*result);
}
#define _cleanup_result_ _cleanup_(result_clearp)

/* application_name is what pg_stat_activity and synchronous_standby_names see. ERROR_UNAVAILABLE: no server answers;
 * ERROR_DENIED: it does, and refuses. *ret is the caller's (PQfinish). */
int postgres_connect(const PostgresTarget *target, ConnectMode mode, const char *application_name, PGconn **ret,
                     Error **err);

/* Runs one statement and wants this status. On failure the server's words, hint and SQLSTATE are in *err. */
int postgres_execute(PGconn *connection, const char *statement, ExecStatusType wanted, PGresult **ret, Error **err);
/* Fills *err from a result that is not what was wanted; returns -kind. */
int postgres_error(Error **err, PGconn *connection, const PGresult *result, const char *what);
/* The first column of the first row, the caller's; NULL where there is none. */
int postgres_query_text(PGconn *connection, const char *query, char **ret, Error **err);
/* As a literal of SQL; the caller's. */
char *postgres_quote(PGconn *connection, const char *text);
/* Bytes that are free where the server keeps its log, which may be a disk of its own; -1: it is not ours to see. */
int64_t postgres_log_room(const PostgresTarget *target);

#endif
