/* A server's backup mode by SQL (PostgreSQL's documentation, "Making a Base Backup Using the Low Level API"): between start
 * and stop somebody else reads the files. It ends with the connection, too. On connections made with CONNECT_SQL. */
#ifndef BERTH_POSTGRES_BACKUP_MODE_H
#define BERTH_POSTGRES_BACKUP_MODE_H

#include "postgres/connect.h"
#include "postgres/wal_name.h"

/* Waits for a checkpoint: a fast one, or one that takes its time. The log from there on is kept until the connection ends.
 * ERROR_CANCELLED where cancel_fd becomes readable meanwhile
 * (-1: never); the connection is of no use then. */
int backup_mode_start(PGconn *connection, const char *label, bool fast, int cancel_fd, Lsn *ret_start,
                      uint32_t *ret_timeline, Error **err);
/* Consistent from *ret_stop on. *ret_label is the text of backup_label, the caller's. */
int backup_mode_stop(PGconn *connection, Lsn *ret_stop, char **ret_label, Error **err);

#endif
