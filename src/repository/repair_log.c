/* Segments and histories that are damaged, that lie in a gap, or that the newest backup needs and only the other repository
 * has. */
#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "repository/repair_private.h"

typedef struct LogRepair {
        Repair *repair;
        uint32_t segment_bytes;
        WalList here, there;
} LogRepair;

static void log_repair_done(LogRepair *log)
{
        wal_list_done(&log->here);
        wal_list_done(&log->there);
}

static const WalSegment *find(const WalList *list, const char *name, bool partial_too)
{
        VECTOR_FOREACH(segment, &list->segments)
                if (streq(segment->name, name) && (partial_too || !segment->partial))
                        return segment;
        return NULL;
}

typedef struct SegmentCheck {
        const WalSegment *segment;
        uint32_t segment_bytes;
} SegmentCheck;

static int check_segment(Repository *repository, const void *what, Error **err)
{
        const SegmentCheck *check = what;

        return verify_segment(repository, check->segment, check->segment_bytes, err);
}

static int check_history(Repository *repository, const void *what, Error **err)
{
        _cleanup_timeline_history_ TimelineHistory history = { 0 };

        return wal_read_history(repository, *(const uint32_t *)what, &history, err);
}

/* A complete one. It keeps the time of the one that it replaces, by which its timeline's age is known. */
static int mend_segment(LogRepair *log, const char *name, Error **err)
{
        const WalSegment *here = find(&log->here, name, false), *there = find(&log->there, name, false);
        SegmentCheck check = { there, log->segment_bytes };
        _cleanup_free_ char *key = there ? wal_segment_key(there) : NULL;

        if (there)
                return repair_object(log->repair, key, check_segment, &check, (here ? here : there)->modified_ns, err);
        strv_addf(&log->repair->report->failed, "wal/%.8s/%s: the other repository does not have it whole", name, name);
        return 0;
}

static bool has_history(const WalList *list, uint32_t timeline)
{
        VECTOR_FOREACH(number, &list->histories)
                if (*number == timeline)
                        return true;
        return false;
}

static int mend_history(LogRepair *log, uint32_t timeline, Error **err)
{
        _cleanup_free_ char *key = xasprintf("wal/%08X.history", timeline);

        return repair_object(log->repair, key, check_history, &timeline, 0, err);
}

/* "wal/00000001/<name>.zst", "….partial", "wal/00000002.history". */
static int mend_object(LogRepair *log, const char *key, Error **err)
{
        const char *rest = startswith(key, "wal/"), *slash = rest ? strchr(rest, '/') : NULL;
        char name[WAL_NAME_SIZE];
        unsigned timeline;
        int used = 0;

        if (slash && strlen(slash + 1) >= WAL_NAME_SIZE) {
                memcpy(name, slash + 1, WAL_NAME_SIZE - 1);
                name[WAL_NAME_SIZE - 1] = '\0';
                return mend_segment(log, name, err);
        }
        if (rest && sscanf(rest, "%8X%n", &timeline, &used) == 1 && streq(rest + used, ".history"))
                return mend_history(log, timeline, err);
        return 0;
}

static bool newest_needs(const LogRepair *log, const WalSegment *segment)
{
        const BackupList *backups = log->repair->backups;
        const BackupRecord *newest = backups->records.items[backups->records.length - 1];

        return segment->timeline >= newest->timeline && segment->start + log->segment_bytes > newest->start_lsn;
}

/* The end of the log may be gone without leaving a gap. */
static int fetch_end(LogRepair *log, Error **err)
{
        int r = 0;

        VECTOR_FOREACH(timeline, &log->there.histories)
                if (r == 0 && !has_history(&log->here, *timeline))
                        r = mend_history(log, *timeline, err);
        VECTOR_FOREACH(segment, &log->there.segments)
                if (r == 0 && !segment->partial && newest_needs(log, segment) &&
                    !find(&log->here, segment->name, true) && !find(&log->here, segment->name, false))
                        r = mend_segment(log, segment->name, err);
        return r;
}

static int mend_all(LogRepair *log, Error **err)
{
        const Verification *verification = log->repair->verification;
        int r = wal_list_load(log->repair->repository, log->segment_bytes, &log->here, err);

        if (r == 0)
                r = wal_list_load(log->repair->source, log->segment_bytes, &log->there, err);
        VECTOR_FOREACH(fault, &verification->report->faults)
                if (r == 0)
                        r = mend_object(log, fault->object, err);
        STRV_FOREACH(key, verification->missing)
                if (r == 0)
                        r = mend_object(log, *key, err);
        return r < 0 ? r : fetch_end(log, err);
}

int repair_log(Repair *repair, Error **err)
{
        LogRepair log = { .repair = repair };
        int r;

        if (!repair->backups->records.length)
                return 0; /* how long a segment is is in a backup's record */
        log.segment_bytes = repair->backups->records.items[0]->segment_bytes;
        r = mend_all(&log, err);
        log_repair_done(&log);
        return r;
}
