#include "repository/copy.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/caught_up.h"
#include "repository/chunk.h"
#include "repository/file_list.h"
#include "repository/transfer.h"

#define LOG_EVERY_NS (10 * NSEC_PER_SEC)

typedef struct Copying {
        Repository *from, *to;
        const CopyOptions *options;
        const WorkProgress *progress;
        CopyReport *report;
        BackupList backups, copied; /* of from and of to, at the beginning */
        Retention retention;        /* of both together */
        uint32_t segment_bytes;
        ChunkIndex here, there;
        int64_t log_ns; /* when the log was looked at last; monotonic */
        Transfer transfer;
        uint64_t bytes_before; /* of the report */
        bool in_log;           /* that is being sent */
} Copying;

static void copying_done(Copying *copying)
{
        retention_done(&copying->retention);
        backup_list_done(&copying->backups);
        backup_list_done(&copying->copied);
        chunk_index_done(&copying->here);
        chunk_index_done(&copying->there);
}

/* ---- objects ---- */

/* ERROR_NOT_FOUND: it went away meanwhile. */
static int send_object(Copying *copying, const char *key, Error **err)
{
        int r = transfer_object(&copying->transfer, copying->from->storage, copying->to->storage, key, err);

        copying->report->bytes = copying->bytes_before + copying->transfer.bytes;
        return r;
}

/* The same, where what went away is not missed. */
static int send_if_there(Copying *copying, const char *key, uint64_t *counter, Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        int r = send_object(copying, key, &failure);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r == 0)
                ++*counter;
        return r < 0 ? error_move(err, &failure, r) : 0;
}

/* ---- the log ---- */

static const WalSegment *find_segment(const WalList *list, const WalSegment *wanted)
{
        VECTOR_FOREACH(segment, &list->segments)
                if (segment->partial == wanted->partial && streq(segment->name, wanted->name))
                        return segment;
        return NULL;
}

static bool has_pieces(const WalList *list, const WalSegment *segment)
{
        VECTOR_FOREACH(piece, &list->pieces)
                if (streq(piece->name, segment->name))
                        return true;
        return false;
}

/* One that lies in pieces where it comes from becomes one object. */
static int send_joined(Copying *copying, const WalSegment *segment, Error **err)
{
        _cleanup_free_ char *key = wal_segment_key(segment);
        _cleanup_free_ void *content = xmalloc(copying->segment_bytes);
        size_t size = (size_t)MIN(segment->stored_bytes, (uint64_t)copying->segment_bytes);
        int r = wal_read_segment(copying->from, segment->name, copying->segment_bytes, content, err);

        if (r == 0)
                r = storage_put(copying->to->storage, key, content, size, err);
        if (r < 0)
                return r;
        copying->report->segments++;
        copying->report->bytes += size;
        copying->bytes_before += size;
        return 0;
}

/* What is new of it, together with the pieces before that are no longer than all behind them: so there are few of them, and a
 * byte is sent again a few times at most, however slowly the segment grows. */
static int send_growth(Copying *copying, const WalSegment *segment, const WalSegment *copy, const WalList *there,
                       Error **err)
{
        WalPiece piece = { .timeline = segment->timeline, .offset = (uint32_t)copy->stored_bytes };
        _cleanup_free_ char *key = wal_segment_key(segment), *piece_key = NULL;
        Storage *from = copying->from->storage, *to = copying->to->storage;
        int r;

        memcpy(piece.name, segment->name, sizeof(piece.name));
        for (size_t i = there->pieces.length; i-- > 0;) {
                const WalPiece *before = &there->pieces.items[i];
                if (!before->counts || !streq(before->name, segment->name))
                        continue;
                if (before->size_bytes > segment->stored_bytes - piece.offset)
                        break;
                piece.offset = before->offset;
        }
        piece_key = wal_piece_key(&piece);
        r = transfer_rest(&copying->transfer, from, to, key, piece.offset, piece_key, err);
        copying->report->bytes = copying->bytes_before + copying->transfer.bytes;
        /* What the new one has covered counts no more, by its offset; it is removed behind it. */
        VECTOR_FOREACH(old, &there->pieces) {
                _cleanup_free_ char *old_key = wal_piece_key(old);
                if (r == 0 && streq(old->name, segment->name) && old->offset > piece.offset)
                        r = to->operations->remove(to, old_key, err);
        }
        if (r == 0)
                copying->report->segments++;
        return r;
}

/* It may have been completed meanwhile, and go by its other name. */
static int send_partial(Copying *copying, const WalSegment *segment, const WalSegment *copy, const WalList *here,
                        const WalList *there, Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        WalSegment complete = *segment;
        _cleanup_free_ char *key = wal_segment_key(segment), *complete_key = NULL;
        int r;

        if (has_pieces(here, segment))
                return send_joined(copying, segment, err);
        r = copy ? send_growth(copying, segment, copy, there, &failure) : send_object(copying, key, &failure);
        if (r == 0 && !copy)
                copying->report->segments++;
        if (r != -ERROR_NOT_FOUND)
                return r < 0 ? error_move(err, &failure, r) : 0;
        complete.partial = false;
        complete_key = wal_segment_key(&complete);
        r = send_if_there(copying, complete_key, &copying->report->segments, err);
        return r < 0 || !copy ? r : wal_segment_remove(copying->to, there, copy, err);
}

static int send_segment(Copying *copying, const WalSegment *segment, const WalList *here, const WalList *there,
                        Error **err)
{
        const WalSegment *copy = find_segment(there, segment), *old;
        _cleanup_free_ char *key = wal_segment_key(segment);
        WalSegment partial = *segment, complete = *segment;
        int r;

        complete.partial = false;
        partial.partial = true;
        if (!segment->stored_bytes || !retention_needs_segment(&copying->retention, segment, copying->segment_bytes))
                return 0;
        /* A partial one only grows: what is longer there, or complete, is not replaced. */
        if (segment->partial)
                return (copy && copy->stored_bytes >= segment->stored_bytes) || find_segment(there, &complete)
                               ? 0
                               : send_partial(copying, segment, copy, here, there, err);
        r = copy ? 0 : send_if_there(copying, key, &copying->report->segments, err);
        old = find_segment(there, &partial); /* of an earlier run, or of one that was cut off behind the complete one */
        return r < 0 || !old ? r : wal_segment_remove(copying->to, there, old, err);
}

static bool has_history(const WalList *list, uint32_t timeline)
{
        VECTOR_FOREACH(number, &list->histories)
                if (*number == timeline)
                        return true;
        return false;
}

/* What is here ends there now. Segments are sorted by timeline, then place. */
static void note_end(Copying *copying, const WalList *here, int64_t looked_ns)
{
        const WalSegment *last = here->segments.length ? &here->segments.items[here->segments.length - 1] : NULL;

        copying->report->copied_ns = looked_ns;
        if (!last)
                return;
        copying->report->timeline = last->timeline;
        copying->report->copied_lsn = last->start + (last->partial ? last->stored_bytes : copying->segment_bytes);
}

static bool is_further(const CaughtUp *one, const CaughtUp *other)
{
        return one->timeline != other->timeline ? one->timeline > other->timeline : one->lsn > other->lsn;
}

/* The moment was noted before the log was looked at, so that it speaks of what is there now. The one that is further in the log stays,
 * whatever the times: a clock that was ahead would keep a moment that has not come yet. */
static int send_moment(Copying *copying, const CaughtUp *moment, Error **err)
{
        CaughtUp there;
        json_t *document;
        char lsn[LSN_TEXT_SIZE];
        int r;

        if (caught_up_read(copying->to, &there) && (is_further(&there, moment) || there.at_ns == moment->at_ns))
                return 0;
        document = json_pack("{s:I, s:s, s:I}", "timeline", (json_int_t)moment->timeline, "lsn",
                             lsn_format(moment->lsn, lsn), "at_ns", (json_int_t)moment->at_ns);
        r = storage_put_document(copying->to->storage, CAUGHT_UP_KEY, CAUGHT_UP_FORMAT, document, err);
        json_decref(document);
        return r;
}

static int send_whole_log(Copying *copying, Error **err)
{
        _cleanup_wal_list_ WalList here = { 0 }, there = { 0 };
        int64_t looked_ns = clock_realtime_ns();
        uint64_t histories = 0;
        CaughtUp moment;
        bool known = caught_up_read(copying->from, &moment);
        int r = wal_list_load(copying->from, copying->segment_bytes, &here, err);

        if (r == 0)
                r = wal_list_load(copying->to, copying->segment_bytes, &there, err);
        for (size_t i = 0; r == 0 && i < here.histories.length; i++) {
                _cleanup_free_ char *key = xasprintf("wal/%08X.history", here.histories.items[i]);
                if (!has_history(&there, here.histories.items[i]))
                        r = send_if_there(copying, key, &histories, err);
        }
        for (size_t i = 0; r == 0 && i < here.segments.length; i++)
                r = send_segment(copying, &here.segments.items[i], &here, &there, err);
        if (r == 0 && known)
                r = send_moment(copying, &moment, err);
        copying->log_ns = clock_monotonic_ns();
        if (r == 0)
                note_end(copying, &here, looked_ns);
        if (r == 0 && copying->options->log_sent)
                copying->options->log_sent(copying->options->context, copying->report);
        return r;
}

static int send_log(Copying *copying, Error **err)
{
        int r;

        copying->in_log = true;
        r = send_whole_log(copying, err);
        copying->in_log = false;
        return r;
}

/* Also while one object goes, which may take long: the log is what would be lost. */
static int send_log_again(void *context, Error **err)
{
        Copying *copying = context;
        int64_t every_ns = copying->options->log_every_ns ? copying->options->log_every_ns : LOG_EVERY_NS;

        return copying->in_log || clock_monotonic_ns() - copying->log_ns < every_ns ? 0 : send_log(copying, err);
}

/* ---- packs ---- */

static void put_there(void *context, const ChunkId *id, const ChunkPlace *place)
{
        chunk_index_put(context, id, place);
}

/* The pack, its index, and its chunks into the index of what is there. */
static int send_pack(Copying *copying, const char *pack, Error **err)
{
        _cleanup_free_ char *key = xasprintf("packs/%s.pack", pack), *index_key = xasprintf("packs/%s.index", pack);
        _cleanup_strbuf_ Strbuf index = STRBUF_INIT;
        int r = storage_get(copying->from->storage, index_key, CHUNK_INDEX_LIMIT, &index, err);

        if (r == 0)
                r = send_object(copying, key, err);
        if (r == 0)
                r = storage_put(copying->to->storage, index_key, strbuf_text(&index), index.length, err);
        if (r == 0)
                r = chunk_lines_parse(strbuf_text(&index), index.length, put_there, &copying->there, err);
        if (r == 0)
                copying->report->packs++;
        return r;
}

/* Every chunk of the list is there afterwards; *ret_whole false: one could not be found here either. */
static int send_chunks(Copying *copying, const FileList *files, bool *ret_whole, Error **err)
{
        *ret_whole = true;
        VECTOR_FOREACH(file, &files->files)
                for (size_t i = 0; i < (*file)->n_chunks; i++) {
                        const ChunkId *id = &(*file)->chunks[i];
                        _cleanup_error_ Error *failure = NULL;
                        const ChunkPlace *place;
                        int r;

                        if (chunk_index_find(&copying->there, id))
                                continue;
                        place = chunk_index_find(&copying->here, id);
                        r = place ? send_pack(copying, copying->here.packs[place->pack], &failure) : -ERROR_NOT_FOUND;
                        if (r == 0)
                                r = send_log_again(copying, &failure);
                        if (r == -ERROR_NOT_FOUND || (r == 0 && !chunk_index_find(&copying->there, id))) {
                                *ret_whole = false; /* prune has rewritten a pack, or it is damaged */
                                return 0;
                        }
                        if (r < 0)
                                return error_move(err, &failure, r);
                }
        return 0;
}

/* ---- backups ---- */

static int send_record(Copying *copying, const BackupRecord *record, Error **err)
{
        _cleanup_free_ char *list = xasprintf("backups/%s/files.zst", record->id);
        _cleanup_free_ char *description = xasprintf("backups/%s/backup.json", record->id);
        int r = send_object(copying, list, err);

        return r < 0 ? r : send_object(copying, description, err);
}

static void warn_postponed(const Copying *copying, const BackupRecord *record, const Error *failure)
{
        _cleanup_free_ char *text = xasprintf("backup %s: %s", record->id,
                                              failure ? failure->message : "it has changed while it was copied");

        progress_warning(copying->progress, text);
}

static int send_backup(Copying *copying, const BackupRecord *record, Error **err)
{
        _cleanup_file_list_ FileList files = { 0 };
        _cleanup_error_ Error *failure = NULL;
        bool whole = false;
        int r = file_list_read(copying->from, record->id, record->files_sha256, &files, &failure);

        if (r == 0)
                r = send_chunks(copying, &files, &whole, &failure);
        if (r == 0 && whole)
                r = send_record(copying, record, &failure);
        if (r == 0 && whole) {
                copying->report->backups++;
                return 0;
        }
        if (r < 0 && r != -ERROR_NOT_FOUND && r != -ERROR_CORRUPT)
                return error_move(err, &failure, r);
        copying->report->postponed++;
        warn_postponed(copying, record, failure);
        return 0;
}

static bool is_listed(const BackupList *list, const char *id)
{
        VECTOR_FOREACH(record, &list->records)
                if (streq((*record)->id, id))
                        return true;
        return false;
}

/* The newest first: it is worth most. */
static int send_backups(Copying *copying, Error **err)
{
        for (size_t i = copying->retention.backups.length; i-- > 0;) {
                const RetentionBackup *backup = &copying->retention.backups.items[i];
                int r;

                if (backup->reason == RETENTION_EXPIRED || is_listed(&copying->copied, backup->record->id))
                        continue;
                r = send_backup(copying, backup->record, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- all ---- */

static void want_only(Retention *retention, const char *id)
{
        VECTOR_FOREACH(backup, &retention->backups) {
                backup->with_log = streq(backup->record->id, id);
                backup->reason = backup->with_log ? RETENTION_LAST : RETENTION_EXPIRED;
        }
}

/* What the copy's policy says of all that is here or there. */
static int decide(Copying *copying, Error **err)
{
        _cleanup_wal_list_ WalList wal = { 0 };
        int r = wal_list_load(copying->from, copying->segment_bytes, &wal, err);

        if (r == 0)
                r = retention_load(copying->from, &copying->backups, &wal, NULL, &copying->retention, err);
        if (r < 0)
                return r;
        VECTOR_FOREACH(record, &copying->copied.records)
                if (!is_listed(&copying->backups, (*record)->id))
                        vector_add(&copying->retention.backups, (RetentionBackup){ .record = *record });
        retention_decide(&copying->retention, &copying->options->policy, copying->options->now_ns);
        if (copying->options->only_backup)
                want_only(&copying->retention, copying->options->only_backup);
        return 0;
}

static int load(Copying *copying, Error **err)
{
        const BackupList *lists[] = { &copying->backups, &copying->copied };
        int r = backup_list_load(copying->from, &copying->backups, err);

        if (r == 0 && !copying->options->log_only)
                r = backup_list_load(copying->to, &copying->copied, err);
        for (size_t i = 0; i < ARRAY_SIZE(lists) && !copying->segment_bytes; i++)
                if (lists[i]->records.length)
                        copying->segment_bytes = lists[i]->records.items[0]->segment_bytes;
        if (r < 0 || !copying->segment_bytes)
                return r;
        r = decide(copying, err);
        if (r < 0 || copying->options->log_only)
                return r;
        /* Behind the list of backups, so that all their packs are in it. */
        r = chunk_index_load(&copying->here, copying->from->storage, err);
        return r < 0 ? r : chunk_index_load(&copying->there, copying->to->storage, err);
}

int repository_copy(Repository *from, Repository *to, const CopyOptions *options, const WorkProgress *progress,
                    CopyReport *report, Error **err)
{
        _cleanup_(copying_done)
                Copying copying = { .from = from,
                                    .to = to,
                                    .options = options,
                                    .progress = progress,
                                    .report = report,
                                    .bytes_before = report->bytes,
                                    .transfer = { .progress = progress, .max_rate = options->max_rate } };
        int r;

        if (from->system_identifier != to->system_identifier || from->chunk_bytes != to->chunk_bytes)
                return error_set(err, ERROR_CONFLICT, "the copy is one of another cluster's repository");
        copying.transfer.between = send_log_again;
        copying.transfer.context = &copying;
        r = load(&copying, err);
        if (r == 0 && copying.segment_bytes)
                r = send_log(&copying, err);
        if (r == 0 && copying.segment_bytes && !options->log_only)
                r = send_backups(&copying, err);
        if (r == 0 && copying.segment_bytes && !options->log_only)
                r = send_log(&copying, err);
        return error_prefix(err, r, "copy of the repository");
}
