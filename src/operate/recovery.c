#include "operate/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/restore.h"

#define APPLICATION "berth restore"
#define LOOK_MS     50
#define RECOVERING  "startup recovering "
#define STALL_HINT  "BERTH_RECOVERY_STALL_SECONDS in the keeper's environment is the limit."
#define TELL_NS     (500 * NSEC_PER_MSEC)

typedef struct Recovery {
        const RecoveryWatch *watch;
        const WorkProgress *progress;
        int server_fd;
        PGconn *connection;
        Lsn place;
        char *segment; /* that the startup process says it is at: known before the server answers; NULL */
        int64_t moved_ns, told_ns;
} Recovery;

static bool has_ended(const Recovery *recovery, int wait_ms)
{
        struct pollfd item = { .fd = recovery->server_fd, .events = POLLIN };

        return poll(&item, 1, wait_ms) > 0;
}

/* ---- what the startup process says of itself ---- */

static char *read_process_file(pid_t pid, const char *name)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, path, 65536, &text, NULL) == 0 ? xstrdup(strbuf_text(&text)) : NULL;
}

/* "postgres: startup recovering 000000010000000000000003", also under a name and behind an init; NULL. */
static char *find_segment(pid_t pid, int depth)
{
        _cleanup_free_ char *list = xasprintf("task/%d/children", (int)pid), *children = NULL, *title = NULL,
                            *found = NULL;
        _cleanup_strv_ char **words = NULL;
        const char *place;

        title = read_process_file(pid, "cmdline");
        place = title ? strstr(title, RECOVERING) : NULL;
        if (place)
                return xstrndup(place + strlen(RECOVERING), strspn(place + strlen(RECOVERING), "0123456789ABCDEF"));
        children = depth > 0 ? read_process_file(pid, list) : NULL;
        words = children ? strv_split_words(children) : NULL;
        STRV_FOREACH(word, words)
                if (!found)
                        found = find_segment((pid_t)atoi(*word), depth - 1);
        return TAKE_PTR(found);
}

static void note_segment(Recovery *recovery)
{
        _cleanup_free_ char *segment = find_segment(recovery->watch->target.pid, 3);

        if (segment && !streq_ptr(segment, recovery->segment)) {
                free_and_replace(&recovery->segment, TAKE_PTR(segment));
                recovery->moved_ns = clock_monotonic_ns();
        }
}

/* ---- what the server says ---- */

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
        if (postgres_execute(recovery->connection,
                             "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn(), '0/0')", PGRES_TUPLES_OK,
                             &result, NULL) < 0) {
                PQfinish(recovery->connection);
                recovery->connection = NULL;
                return 0;
        }
        lsn_parse(PQgetvalue(result, 0, 1), &place);
        note_place(recovery, place);
        return streq(PQgetvalue(result, 0, 0), "f");
}

static int stalled(const Recovery *recovery, Error **err)
{
        int seconds = recovery->watch->stall_ms / 1000, r;
        char text[LSN_TEXT_SIZE];

        if (recovery->place)
                r = error_set(err, ERROR_TIMEOUT, "the recovery does not get on: it has been at %s for %d seconds",
                              lsn_format(recovery->place, text), seconds);
        else
                r = error_set(err, ERROR_TIMEOUT,
                              "the recovery does not get on: the server has not answered for %d seconds%s%s", seconds,
                              recovery->segment ? ", and is at segment " : "",
                              recovery->segment ? recovery->segment : "");
        return error_hint(
                err, r,
                "Try an earlier point (--to), or another backup (--backup). Releases 14.23, 15.18 and 16.14 can "
                "hang on the log of an older minor release: use a newer image. " STALL_HINT);
}

static int wait_for_promotion(Recovery *recovery, Error **err)
{
        recovery->moved_ns = clock_monotonic_ns();
        for (;;) {
                if (has_ended(recovery, LOOK_MS))
                        return error_set(err, ERROR_FAILED, "the server ended while it recovered");
                if (look(recovery) > 0)
                        return 0;
                note_segment(recovery);
                if (progress_cancelled(recovery->progress))
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (clock_monotonic_ns() - recovery->moved_ns > recovery->watch->stall_ms * NSEC_PER_MSEC)
                        return stalled(recovery, err);
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

        return PQresultStatus(result) == PGRES_TUPLES_OK
                       ? 0
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
        free(recovery.segment);
        return r;
}
