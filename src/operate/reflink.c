#include "operate/reflink_private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "operate/restore_private.h"
#include "state/document.h"

#define APPLICATION     "berth clone"
#define FIRST_WITH_TWO_WORDS 150000 /* pg_backup_start was pg_start_backup */
#define FIRST_WITH_SESSION_TIMEOUT 140000

typedef struct Server {
        PGconn *connection;
        int version;
        uint32_t timeline, segment_bytes;
        Lsn start, end;
        char *label;
} Server;

static void server_done(Server *server)
{
        PQfinish(server->connection); /* takes an unfinished backup and the slot with it */
        free(server->label);
}
#define _cleanup_server_ _cleanup_(server_done)

/* ---- the server's side ---- */

static int look_at_server(Server *server, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(server->connection,
                                 "SELECT pg_is_in_recovery(), (SELECT timeline_id FROM pg_control_checkpoint()), "
                                 "(SELECT setting FROM pg_settings WHERE name = 'wal_segment_size')",
                                 PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        if (*PQgetvalue(result, 0, 0) == 't')
                return error_set(err, ERROR_UNSUPPORTED, "the server is in recovery");
        server->timeline = (uint32_t)strtoul(PQgetvalue(result, 0, 1), NULL, 10);
        server->segment_bytes = (uint32_t)strtoul(PQgetvalue(result, 0, 2), NULL, 10);
        return server->timeline && server->segment_bytes
                       ? 0
                       : error_set(err, ERROR_UNSUPPORTED, "the server does not tell its timeline and the size of a segment");
}

/* Nothing that is meant for queries ends a session which waits for a checkpoint. */
static int lift_limits(const Server *server, Error **err)
{
        int r = postgres_execute(server->connection, "SET statement_timeout = 0", PGRES_COMMAND_OK, NULL, err);

        if (r == 0 && server->version >= FIRST_WITH_SESSION_TIMEOUT)
                r = postgres_execute(server->connection, "SET idle_session_timeout = 0", PGRES_COMMAND_OK, NULL, err);
        return r;
}

/* The slot keeps the log until its segments have been shared; both end with the session. */
static int begin_backup(Server *server, Error **err)
{
        _cleanup_free_ char *slot = xasprintf("SELECT pg_create_physical_replication_slot('berth_clone_%d', true, true)",
                                              (int)getpid()), *place = NULL;
        int r = postgres_execute(server->connection, slot, PGRES_TUPLES_OK, NULL, err);

        if (r == 0)
                r = postgres_query_text(server->connection,
                                        server->version >= FIRST_WITH_TWO_WORDS
                                                ? "SELECT pg_backup_start('" APPLICATION "', true)"
                                                : "SELECT pg_start_backup('" APPLICATION "', true, false)",
                                        &place, err);
        if (r == 0 && (!place || !lsn_parse(place, &server->start)))
                r = error_set(err, ERROR_UNSUPPORTED, "the server does not say where the backup begins");
        return r;
}

static int end_backup(Server *server, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(server->connection,
                                 server->version >= FIRST_WITH_TWO_WORDS ? "SELECT lsn, labelfile FROM pg_backup_stop(false)"
                                                                         : "SELECT lsn, labelfile FROM pg_stop_backup(false, false)",
                                 PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        if (!lsn_parse(PQgetvalue(result, 0, 0), &server->end) || PQgetisnull(result, 0, 1))
                return error_set(err, ERROR_UNSUPPORTED, "the server does not say where the backup ends");
        server->label = xstrdup(PQgetvalue(result, 0, 1));
        return 0;
}

/* ---- both sides ---- */

static int copy_between(Reflinking *work, Server *server, Error **err)
{
        int r;

        progress_status(work->progress, "checkpoint");
        r = begin_backup(server, err);
        if (r == 0)
                progress_status(work->progress, "sharing files");
        if (r == 0)
                r = reflink_data(work, err);
        if (r == 0)
                r = reflink_control(work, err);
        if (r == 0)
                r = end_backup(server, err);
        if (r == 0)
                r = reflink_log(work, server->timeline, server->start, server->end, server->segment_bytes, err);
        return r;
}

static int prepare_recovery(const Reflinking *work, const Server *server, json_t **ret_tablespaces, Error **err)
{
        const RestoreOptions options = { .uid = work->uid, .gid = work->gid };
        const RestoreTarget target = { .kind = RESTORE_LATEST, .timeline = server->timeline };
        int r = reflink_put(work, "backup_label", server->label, err);

        if (r == 0)
                r = restore_put_settings(&target, work->to_fd, &options, err);
        if (r == 0)
                r = restore_find_tablespaces(work->to_fd, server->segment_bytes, ret_tablespaces, err);
        if (r == 0 && syncfs(work->to_fd) < 0)
                r = error_set_errno(err, errno, "sync \"%s\"", work->copy->directory);
        return r;
}

static int connect_server(const ReflinkCopy *copy, Server *ret, Error **err)
{
        int r = postgres_connect(&copy->target, CONNECT_SQL, APPLICATION, &ret->connection, err);

        if (r < 0)
                return r;
        ret->version = PQserverVersion(ret->connection);
        r = lift_limits(ret, err);
        return r < 0 ? r : look_at_server(ret, err);
}

int reflink_copy(const ReflinkCopy *copy, const WorkProgress *progress, json_t **ret, Error **err)
{
        Reflinking work = { .copy = copy, .progress = progress, .from_fd = -1, .to_fd = -1 };
        _cleanup_server_ Server server = { 0 };
        _cleanup_json_ json_t *tablespaces = NULL;
        int64_t made_ns = 0;
        char end[LSN_TEXT_SIZE];
        int r = reflink_open(&work, err);

        if (r == 0)
                r = connect_server(copy, &server, err);
        if (r == 0)
                r = copy_between(&work, &server, err);
        if (r == 0) {
                made_ns = clock_realtime_ns();
                r = prepare_recovery(&work, &server, &tablespaces, err);
        }
        reflink_close(&work);
        if (r < 0)
                return r;
        *ret = json_pack("{s:i, s:i, s:s, s:s, s:I, s:I, s:O}", "server_version", server.version, "timeline", (int)server.timeline,
                         "end_lsn", lsn_format(server.end, end), "kind", "other", "made_ns", (json_int_t)made_ns, "files",
                         (json_int_t)work.files, "tablespaces", tablespaces);
        return 0;
}
