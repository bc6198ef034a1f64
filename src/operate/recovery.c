#include "operate/recovery.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/restore.h"

#define APPLICATION "berth restore"
#define LOOK_MS 50
#define TELL_NS (500 * NSEC_PER_MSEC)

typedef struct Recovery {
        const RecoveryWatch *watch;
        const WorkProgress *progress;
        int server_fd;
        PGconn *connection;
        Lsn place;
        int64_t moved_ns, told_ns;
} Recovery;

static bool has_ended(const Recovery *recovery, int wait_ms)
{
        struct pollfd item = { .fd = recovery->server_fd, .events = POLLIN };

        return poll(&item, 1, wait_ms) > 0;
}

static void note_place(Recovery *recovery, Lsn place)
{
        int64_t now_ns = clock_monotonic_ns();
        char text[LSN_TEXT_SIZE];

        if (place > recovery->place) {
                recovery->place = place;
                recovery->moved_ns = now_ns;
        }
        if (now_ns - recovery->told_ns > TELL_NS && recovery->place) {
                _cleanup_free_ char *status = xasprintf("recovering: at %s", lsn_format(recovery->place, text));
                recovery->told_ns = now_ns;
                progress_status(recovery->progress, status);
        }
}

/* 1: it has been promoted; 0: not yet, or it does not answer yet. */
static int look(Recovery *recovery)
{
        _cleanup_result_ PGresult *result = NULL;
        Lsn place = 0;

        if (!recovery->connection &&
            postgres_connect(&recovery->watch->target, CONNECT_SQL, APPLICATION, &recovery->connection, NULL) < 0)
                return 0;
        if (postgres_execute(recovery->connection, "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn(), '0/0')",
                             PGRES_TUPLES_OK, &result, NULL) < 0) {
                PQfinish(recovery->connection);
                recovery->connection = NULL;
                return 0;
        }
        lsn_parse(PQgetvalue(result, 0, 1), &place);
        note_place(recovery, place);
        return streq(PQgetvalue(result, 0, 0), "f");
}

static int wait_for_promotion(Recovery *recovery, Error **err)
{
        char text[LSN_TEXT_SIZE];

        recovery->moved_ns = clock_monotonic_ns();
        for (;;) {
                if (has_ended(recovery, LOOK_MS))
                        return error_set(err, ERROR_FAILED, "the server ended while it recovered");
                if (look(recovery) > 0)
                        return 0;
                if (progress_cancelled(recovery->progress))
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (clock_monotonic_ns() - recovery->moved_ns > recovery->watch->stall_ms * NSEC_PER_MSEC)
                        return error_set(err, ERROR_TIMEOUT, "the recovery does not get on: it has been at %s for %d seconds",
                                         lsn_format(recovery->place, text), recovery->watch->stall_ms / 1000);
        }
}

static int reset_settings(PGconn *connection, Error **err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && restore_settings[i]; i++) {
                _cleanup_free_ char *statement = xasprintf("ALTER SYSTEM RESET %s", restore_settings[i]);
                r = postgres_execute(connection, statement, PGRES_COMMAND_OK, NULL, err);
        }
        return r;
}

static int make_slot(PGconn *connection, const char *slot, Error **err)
{
        const char *values[] = { slot };
        _cleanup_result_ PGresult *result =
                PQexecParams(connection,
                             "SELECT pg_create_physical_replication_slot($1, true) "
                             "WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)",
                             1, NULL, values, NULL, NULL, 0);

        return PQresultStatus(result) == PGRES_TUPLES_OK ? 0
                                                         : postgres_error(err, connection, result, "make a replication slot");
}

static int make_ordinary(Recovery *recovery, Lsn *ret_end, Error **err)
{
        _cleanup_free_ char *place = NULL;
        int r = reset_settings(recovery->connection, err);

        if (r == 0 && recovery->watch->slot)
                r = make_slot(recovery->connection, recovery->watch->slot, err);
        if (r == 0)
                r = postgres_execute(recovery->connection, "CHECKPOINT", PGRES_COMMAND_OK, NULL, err);
        if (r == 0)
                r = postgres_query_text(recovery->connection, "SELECT pg_current_wal_lsn()", &place, err);
        if (r == 0 && (!place || !lsn_parse(place, ret_end)))
                r = error_set(err, ERROR_UNSUPPORTED, "the server does not say where it is");
        return r;
}

int recovery_await(const RecoveryWatch *watch, const WorkProgress *progress, Lsn *ret_end, Error **err)
{
        Recovery recovery = { .watch = watch, .progress = progress };
        int r;

        recovery.server_fd = (int)syscall(SYS_pidfd_open, watch->target.pid, 0);
        if (recovery.server_fd < 0)
                return error_set(err, ERROR_FAILED, "the server ended while it recovered");
        r = wait_for_promotion(&recovery, err);
        if (r == 0)
                r = make_ordinary(&recovery, ret_end, err);
        PQfinish(recovery.connection);
        fs_close(recovery.server_fd);
        return r;
}
