/* The archived log: that each segment can be read and is the one its name says, and that none is missing between two. */
#include <inttypes.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "repository/verify_private.h"

/* The header that a segment begins with (xlog_internal.h, XLogLongPageHeaderData), of either byte order's machine: a
 * repository is restored where it was made. */
typedef struct SegmentHeader {
        uint16_t magic, info;
        uint32_t timeline;
        uint64_t address;
        uint32_t remaining, padding;
        uint64_t system_identifier;
        uint32_t segment_bytes, page_bytes;
} SegmentHeader;

#define LONG_HEADER    0x0002
#define MISSING_LISTED 10000

typedef struct LogCheck {
        Verification *verification;
        const WalList *list;
        uint32_t segment_bytes;
} LogCheck;

/* NULL, or what is wrong. A segment that was begun on an ancestor keeps the ancestor's number in its first page. */
static const char *judge_header(const Repository *repository, const WalSegment *segment, const void *content)
{
        SegmentHeader header;

        memcpy(&header, content, sizeof(header));
        if (segment->partial && segment->stored_bytes < sizeof(header))
                return NULL; /* hardly begun */
        if (header.magic >> 8 != 0xD1 || !(header.info & LONG_HEADER))
                return "it is no segment of a log";
        if (header.system_identifier != repository->system_identifier)
                return "it is of another cluster";
        return header.address == segment->start && header.timeline <= segment->timeline ? NULL
                                                                                        : "it is another segment";
}

int verify_segment(Repository *repository, const WalSegment *segment, uint32_t segment_bytes, Error **err)
{
        _cleanup_free_ void *content = xmalloc(segment_bytes);
        int r = wal_read_segment(repository, segment->name, segment_bytes, content, err);
        const char *reason = r < 0 ? NULL : judge_header(repository, segment, content);

        return reason ? error_set(err, ERROR_CORRUPT, "%s", reason) : r;
}

static void check_segment(void *context, size_t i)
{
        const LogCheck *check = context;
        Verification *verification = check->verification;
        const WalSegment *segment = &check->list->segments.items[i];
        _cleanup_free_ char *key = wal_segment_key(segment);
        _cleanup_error_ Error *failure = NULL;

        if (verify_stopped(verification))
                return;
        if (verify_segment(verification->repository, segment, check->segment_bytes, &failure) < 0)
                verify_judge(verification, key, &failure);
        else
                verify_count_bytes(verification, segment->stored_bytes);
}

/* ---- gaps ---- */

/* Whether a segment that the list does not have was filed since. */
static bool came_meanwhile(const LogCheck *check, uint32_t timeline, Lsn start)
{
        WalSegment segment = { .timeline = timeline, .start = start };
        _cleanup_free_ char *key = NULL;

        wal_segment_name(timeline, start, check->segment_bytes, segment.name);
        key = wal_segment_key(&segment);
        return storage_has(check->verification->repository->storage, key);
}

/* A name that is far off makes a gap that no repair can fill: not all of it is listed. */
static void note_missing(const LogCheck *check, uint32_t timeline, Lsn from, Lsn to)
{
        WalSegment segment = { .timeline = timeline };

        for (size_t n = 0; from < to && n < MISSING_LISTED; from += check->segment_bytes, n++) {
                segment.start = from;
                wal_segment_name(timeline, from, check->segment_bytes, segment.name);
                strv_take(&check->verification->missing, wal_segment_key(&segment));
        }
}

static void report_gap(const LogCheck *check, uint32_t timeline, Lsn from, Lsn to)
{
        char first[WAL_NAME_SIZE], last[WAL_NAME_SIZE], start[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];
        _cleanup_free_ char *object = NULL;

        if (came_meanwhile(check, timeline, from))
                return;
        note_missing(check, timeline, from, to);
        wal_segment_name(timeline, from, check->segment_bytes, first);
        wal_segment_name(timeline, to - check->segment_bytes, check->segment_bytes, last);
        object = xasprintf("wal/%08X", timeline);
        if (to - from == check->segment_bytes)
                verify_fault(check->verification, object, "gap: segment %s is missing (%s to %s)", first,
                             lsn_format(from, start), lsn_format(to, end));
        else
                verify_fault(check->verification, object, "gap: segments %s to %s are missing (%s to %s)", first, last,
                             lsn_format(from, start), lsn_format(to, end));
}

static const WalSegment *last_of(const WalList *list, uint32_t timeline)
{
        const WalSegment *last = NULL;

        VECTOR_FOREACH(segment, &list->segments)
                if (segment->timeline == timeline)
                        last = segment;
        return last;
}

/* A timeline begins within the segment in which its parent was left. Where nothing is left of the parent, retention has
 * taken it and the beginning. */
static void check_beginning(const LogCheck *check, const WalSegment *first, const TimelineHistory *history)
{
        const TimelineStep *step = history->steps.length ? &history->steps.items[history->steps.length - 1] : NULL;
        const WalSegment *parent = step ? last_of(check->list, step->parent) : NULL;
        Lsn begin;

        if (!parent)
                return;
        begin = wal_segment_start(step->switch_lsn, check->segment_bytes);
        if (first->start > begin)
                report_gap(check, first->timeline, begin, first->start);
        if (parent->start + check->segment_bytes < begin)
                report_gap(check, step->parent, parent->start + check->segment_bytes, begin);
}

static bool has_history(const WalList *list, uint32_t timeline)
{
        VECTOR_FOREACH(number, &list->histories)
                if (*number == timeline)
                        return true;
        return false;
}

static int check_timeline(const LogCheck *check, const WalSegment *first, Error **err)
{
        _cleanup_timeline_history_ TimelineHistory history = { 0 };
        _cleanup_free_ char *key = xasprintf("wal/%08X.history", first->timeline);
        _cleanup_error_ Error *failure = NULL;

        if (first->timeline == 1)
                return 0;
        if (!has_history(check->list, first->timeline)) {
                verify_fault(check->verification, key, "it is missing");
                return 0;
        }
        if (wal_read_history(check->verification->repository, first->timeline, &history, &failure) < 0)
                return verify_judge(check->verification, key, &failure);
        check_beginning(check, first, &history);
        return 0;
}

static int check_order(const LogCheck *check, Error **err)
{
        const WalSegment *previous = NULL;

        VECTOR_FOREACH(segment, &check->list->segments) {
                if (!previous || previous->timeline != segment->timeline) {
                        int r = check_timeline(check, segment, err);
                        if (r < 0)
                                return r;
                } else if (segment->start > previous->start + check->segment_bytes) {
                        report_gap(check, segment->timeline, previous->start + check->segment_bytes, segment->start);
                } else if (segment->start == previous->start) {
                        continue; /* the partial one beside the complete one */
                } else if (previous->partial && !came_meanwhile(check, previous->timeline, previous->start)) {
                        _cleanup_free_ char *key = wal_segment_key(previous);
                        verify_fault(check->verification, key, "it is not complete, but others follow it");
                }
                previous = segment;
        }
        return 0;
}

/* From the newest backup on there is log, or none at all yet. */
static void check_newest(const LogCheck *check, const BackupRecord *record)
{
        Lsn start = wal_segment_start(record->start_lsn, check->segment_bytes);

        VECTOR_FOREACH(segment, &check->list->segments) {
                if (segment->timeline != record->timeline)
                        continue;
                if (segment->start > start)
                        report_gap(check, record->timeline, start, segment->start);
                return;
        }
}

int verify_log(Verification *verification, const BackupList *backups, Error **err)
{
        _cleanup_wal_list_ WalList list = { 0 };
        LogCheck check = { .verification = verification, .list = &list };
        const BackupRecord *newest;
        int r;

        if (!backups->records.length)
                return 0; /* how long a segment is is in a backup's record */
        newest = backups->records.items[backups->records.length - 1];
        check.segment_bytes = newest->segment_bytes;
        r = wal_list_load(verification->repository, check.segment_bytes, &list, err);
        if (r < 0)
                return r;
        verification->report->segments = list.segments.length;
        parallel_run(list.segments.length, verification->threads, check_segment, &check);
        if (verify_stopped(verification))
                return -ERROR_CANCELLED;
        check_newest(&check, newest);
        return check_order(&check, err);
}
