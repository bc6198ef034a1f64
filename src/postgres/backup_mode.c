#include "postgres/backup_mode.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

#define FIRST_WITH_SHORT_NAMES     150000
#define FIRST_WITH_SESSION_TIMEOUT 140000

/* The result of a statement that takes its time. */
static int wait_for_result(PGconn *connection, int cancel_fd, PGresult **ret, Error **err)
{
        while (PQconsumeInput(connection) && PQisBusy(connection)) {
                struct pollfd items[] = { { .fd = PQsocket(connection), .events = POLLIN },
                                          { .fd = cancel_fd, .events = POLLIN } };

                if (poll(items, cancel_fd < 0 ? 1 : 2, -1) < 0 && errno != EINTR)
                        return error_set_errno(err, errno, "wait for the server");
                if (cancel_fd >= 0 && items[1].revents)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
        }
        *ret = PQgetResult(connection);
        if (PQresultStatus(*ret) != PGRES_TUPLES_OK)
                return postgres_error(err, connection, *ret, "begin a backup");
        while (PQgetResult(connection))
                ; /* only an end is left */
        return 0;
}

/* Timeouts of the user's settings are meant for queries, not for a session that waits for a checkpoint and then for us. */
static int lift_limits(PGconn *connection, Error **err)
{
        int r = postgres_execute(connection, "SET statement_timeout = 0", PGRES_COMMAND_OK, NULL, err);

        if (r == 0 && PQserverVersion(connection) >= FIRST_WITH_SESSION_TIMEOUT)
                r = postgres_execute(connection, "SET idle_session_timeout = 0", PGRES_COMMAND_OK, NULL, err);
        return r;
}

/* A slot for as long as the session lasts, so that no checkpoint takes away the log that is to be read at the end. Where there is
 * none to be had, chances are good without. */
static void keep_log(PGconn *connection)
{
        _cleanup_free_ char *command =
                xasprintf("SELECT pg_create_physical_replication_slot('berth_backup_%d', true, true)", (int)getpid());
        _cleanup_result_ PGresult *result = PQexec(connection, command);
}

int backup_mode_start(PGconn *connection, const char *label, bool fast, int cancel_fd, Lsn *ret_start,
                      uint32_t *ret_timeline, Error **err)
{
        bool short_names = PQserverVersion(connection) >= FIRST_WITH_SHORT_NAMES;
        const char *const values[] = { label, fast ? "true" : "false" };
        _cleanup_result_ PGresult *result = NULL;
        int r = lift_limits(connection, err);

        if (r < 0)
                return r;
        keep_log(connection);
        if (!PQsendQueryParams(
                    connection,
                    short_names
                            ? "SELECT lsn, pg_walfile_name(lsn) FROM pg_backup_start($1, $2::boolean) AS lsn"
                            : "SELECT lsn, pg_walfile_name(lsn) FROM pg_start_backup($1, $2::boolean, false) AS lsn",
                    2, NULL, values, NULL, NULL, 0))
                return postgres_error(err, connection, NULL, "begin a backup");
        r = wait_for_result(connection, cancel_fd, &result, err);
        if (r < 0)
                return r;
        if (PQntuples(result) != 1 || !lsn_parse(PQgetvalue(result, 0, 0), ret_start) ||
            sscanf(PQgetvalue(result, 0, 1), "%8" SCNx32, ret_timeline) != 1)
                return error_set(err, ERROR_UNSUPPORTED, "the server does not say where its backup begins");
        return 0;
}

int backup_mode_stop(PGconn *connection, Lsn *ret_stop, char **ret_label, Error **err)
{
        bool short_names = PQserverVersion(connection) >= FIRST_WITH_SHORT_NAMES;
        _cleanup_result_ PGresult *result = NULL;
        int r;

        r = postgres_execute(connection,
                             short_names ? "SELECT lsn, labelfile FROM pg_backup_stop(wait_for_archive => false)"
                                         : "SELECT lsn, labelfile FROM pg_stop_backup(false, false)",
                             PGRES_TUPLES_OK, &result, err);
        if (r < 0)
                return error_prefix(err, r, "end the backup");
        if (PQntuples(result) != 1 || !lsn_parse(PQgetvalue(result, 0, 0), ret_stop) || PQgetisnull(result, 0, 1))
                return error_set(err, ERROR_UNSUPPORTED, "the server does not say where its backup ends");
        *ret_label = xstrdup(PQgetvalue(result, 0, 1));
        return 0;
}
