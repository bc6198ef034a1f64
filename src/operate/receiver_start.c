/* Where a receiver begins: behind what the repository has, or, where that is nothing, where the slot begins. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "operate/cluster_settings.h"
#include "operate/receiver_private.h"
#include "repository/backup_record.h"

#define APPLICATION          "berth receiver"
#define FIRST_WITH_SUMMARIES 170000
/* What the slot may keep when nobody receives: a quarter of what is free where the log lies, within these, but never more than
 * half of it: a server that cannot write its log stops. */
#define KEEP_PART      4
#define KEEP_MOST_PART 2
#define KEEP_MIN_MB    1024
#define KEEP_MAX_MB    (256 * 1024)
#define KEEP_LEAST_MB  32

/* ---- the slot ---- */

static int64_t keep_megabytes(const PostgresTarget *target)
{
        int64_t free_mb = postgres_log_room(target) >> 20, keep_mb;

        if (free_mb < 0) /* a server elsewhere */
                return KEEP_MIN_MB;
        keep_mb = MIN(MAX(free_mb / KEEP_PART, (int64_t)KEEP_MIN_MB), (int64_t)KEEP_MAX_MB);
        return MAX(MIN(keep_mb, free_mb / KEEP_MOST_PART), (int64_t)KEEP_LEAST_MB);
}

/* A forgotten slot must not fill the disk: where nobody has set a limit, ours is set before the slot exists. */
static int limit_slots(const ReceiverOptions *options, PGconn *sql, const char *repository_path, Error **err)
{
        _cleanup_free_ char *value = xasprintf("%" PRId64 "MB", keep_megabytes(&options->target)), *present = NULL;
        int r = postgres_query_text(sql, "SHOW max_slot_wal_keep_size", &present, err);

        if (r < 0 || !streq_ptr(present, "-1"))
                return r;
        return cluster_setting_set(sql, repository_path, "max_slot_wal_keep_size", value, err);
}

/* From 17 on a server that keeps summaries of its log sends only what has changed since the last backup. */
static int keep_summaries(PGconn *sql, const char *repository_path, Error **err)
{
        _cleanup_free_ char *present = NULL;
        int r;

        if (PQserverVersion(sql) < FIRST_WITH_SUMMARIES)
                return 0;
        r = postgres_query_text(sql, "SHOW summarize_wal", &present, err);
        if (r < 0 || !streq_ptr(present, "off"))
                return r;
        return cluster_setting_set(sql, repository_path, "summarize_wal", "on", err);
}

/* *ret_start 0: there is no such slot; *ret_lost: the server has thrown away what it was to keep. */
static int look_at_slot(PGconn *sql, const char *slot, Lsn *ret_start, bool *ret_lost, Error **err)
{
        _cleanup_free_ char *quoted = postgres_quote(sql, slot);
        _cleanup_free_ char *query =
                xasprintf("SELECT restart_lsn, wal_status FROM pg_replication_slots WHERE slot_name = %s", quoted);
        _cleanup_result_ PGresult *result = PQexec(sql, query);

        *ret_start = 0;
        *ret_lost = false;
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
                return postgres_error(err, sql, result, "look at the replication slot");
        if (PQntuples(result) == 0)
                return 0;
        *ret_lost = PQgetisnull(result, 0, 0) || streq(PQgetvalue(result, 0, 1), "lost");
        if (!*ret_lost && !lsn_parse(PQgetvalue(result, 0, 0), ret_start))
                return error_set(err, ERROR_UNSUPPORTED, "the replication slot's place cannot be read");
        return 0;
}

static int ensure_slot(const ReceiverOptions *options, PGconn *connection, const char *repository_path, Lsn *ret_start,
                       bool *ret_lost, Error **err)
{
        _cleanup_connection_ PGconn *sql = NULL;
        bool lost_again;
        int r = postgres_connect(&options->target, CONNECT_CONTROL, APPLICATION, &sql, err);

        if (r == 0)
                r = limit_slots(options, sql, repository_path, err);
        if (r == 0)
                r = keep_summaries(sql, repository_path, err);
        if (r == 0)
                r = cluster_settings_note_slot(repository_path, options->slot, err);
        if (r == 0)
                r = look_at_slot(sql, options->slot, ret_start, ret_lost, err);
        if (r == 0 && *ret_lost)
                r = replication_drop_slot(connection, options->slot, err);
        if (r == 0 && !*ret_start) {
                r = replication_create_slot(connection, options->slot, err);
                if (r == 0)
                        r = look_at_slot(sql, options->slot, ret_start, &lost_again, err);
        }
        return r;
}

/* ---- timelines ---- */

/* All histories up to the server's timeline; those of its ancestors are in its own. */
static int fetch_histories(PGconn *connection, uint32_t timeline, Repository *repository, TimelineHistory *ret,
                           Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r;

        if (timeline <= 1)
                return 0;
        r = replication_read_history(connection, timeline, &text, err);
        if (r == 0)
                r = timeline_history_parse(strbuf_text(&text), ret, err);
        return r < 0 ? r : wal_store_history(repository, timeline, strbuf_text(&text), text.length, err);
}

/* The first segment behind the newest one on this timeline; a partial one is received again from its start. */
static Lsn next_on_timeline(const WalList *list, uint32_t timeline, uint32_t segment_bytes)
{
        Lsn next = 0;

        VECTOR_FOREACH(segment, &list->segments)
                if (segment->timeline == timeline)
                        next = segment->partial && segment->stored_bytes < segment_bytes
                                       ? segment->start
                                       : segment->start + segment_bytes;
        return next;
}

static ReceiverStart choose(const WalList *list, const TimelineHistory *history, const ServerIdentity *identity,
                            Lsn slot_start)
{
        uint32_t segment_bytes = identity->segment_bytes;
        Lsn next = next_on_timeline(list, identity->timeline, segment_bytes);
        const TimelineStep *last = history->steps.length ? &history->steps.items[history->steps.length - 1] : NULL;
        Lsn before = last ? next_on_timeline(list, last->parent, segment_bytes) : 0;

        if (next)
                return (ReceiverStart){ identity->timeline, next, false };
        /* The end of the timeline that the server left comes first, where it is not here yet. */
        if (before && before < wal_segment_start(last->switch_lsn, segment_bytes))
                return (ReceiverStart){ last->parent, before, false };
        if (before)
                return (ReceiverStart){ identity->timeline, wal_segment_start(last->switch_lsn, segment_bytes), false };
        return (ReceiverStart){ identity->timeline, wal_segment_start(slot_start, segment_bytes), false };
}

/* Does the log from the newest backup on lead to start? Where there is no backup yet nothing is missing. */
static int look_for_gap(Repository *repository, const WalList *list, uint32_t segment_bytes, ReceiverStart *start,
                        Error **err)
{
        _cleanup_backup_list_ BackupList backups = { 0 };
        _cleanup_wal_range_ WalRange range = { 0 };
        const BackupRecord *newest;
        int r = backup_list_load(repository, &backups, err);

        if (r < 0 || !backups.records.length)
                return r;
        newest = backups.records.items[backups.records.length - 1];
        if (start->start <= wal_segment_start(newest->stop_lsn, segment_bytes) + segment_bytes)
                return 0;
        r = wal_range_find(repository, list, newest->timeline, newest->stop_lsn, segment_bytes, 0, &range, err);
        if (r == 0 && !range.segments.length)
                r = wal_range_find(repository, list, newest->timeline, newest->stop_lsn + segment_bytes, segment_bytes,
                                   0, &range, err);
        start->gap = range.end < start->start;
        return r;
}

int receiver_find_start(const ReceiverOptions *options, PGconn *connection, const ServerIdentity *identity,
                        Repository *repository, bool removed, ReceiverStart *ret, Error **err)
{
        _cleanup_timeline_history_ TimelineHistory history = { 0 };
        _cleanup_wal_list_ WalList list = { 0 };
        Lsn slot_start = 0;
        bool lost = false;
        int r = ensure_slot(options, connection, repository->path, &slot_start, &lost, err);

        if (r == 0)
                r = fetch_histories(connection, identity->timeline, repository, &history, err);
        if (r == 0)
                r = wal_list_load(repository, identity->segment_bytes, &list, err);
        if (r < 0)
                return r;
        *ret = choose(&list, &history, identity, slot_start);
        /* The server may have thrown away what comes next here: what it still has is all there is. */
        if ((lost || removed) && wal_segment_start(slot_start, identity->segment_bytes) > ret->start)
                *ret = (ReceiverStart){ identity->timeline, wal_segment_start(slot_start, identity->segment_bytes),
                                        true };
        return look_for_gap(repository, &list, identity->segment_bytes, ret, err);
}
