#include "repository/retention.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"

#define HOUR_NS      (3600 * NSEC_PER_SEC)
#define PROBATION_NS (12 * HOUR_NS)
#define LEAP_NS      (48 * HOUR_NS) /* a day without a backup is none */

const char *retention_reason_name(RetentionReason reason)
{
        static const char *const names[_RETENTION_REASON_MAX] = {
                [RETENTION_EXPIRED] = "expired", [RETENTION_WINDOW] = "window",
                [RETENTION_ANCHOR] = "anchor",   [RETENTION_LAST] = "last",
                [RETENTION_DAILY] = "daily",     [RETENTION_WEEKLY] = "weekly",
                [RETENTION_MONTHLY] = "monthly", [RETENTION_NEWEST_GOOD] = "newest-good",
        };

        return names[reason];
}

void retention_done(Retention *retention)
{
        VECTOR_FOREACH(timeline, &retention->timelines)
                timeline_history_done(&timeline->history);
        vector_done(&retention->timelines);
        vector_done(&retention->backups);
}

/* The first reason stays; that the log is needed is added by any. */
static void keep(RetentionBackup *backup, RetentionReason reason, bool with_log)
{
        if (backup->reason == RETENTION_EXPIRED)
                backup->reason = reason;
        backup->with_log |= with_log;
}

/* ---- points in time ---- */

/* Whether the log leads from the backup to the end of timeline. */
static bool reaches(const BackupRecord *record, const RetentionTimeline *timeline)
{
        if (record->timeline == timeline->timeline)
                return true;
        VECTOR_FOREACH(step, &timeline->history.steps)
                if (step->parent == record->timeline && step->switch_lsn >= record->stop_lsn)
                        return true;
        return false;
}

/* The newest good backup from which timeline (NULL: any) is reached, finished at until_ns at the latest. */
static RetentionBackup *find_newest(Retention *retention, const RetentionTimeline *timeline, int64_t until_ns)
{
        for (size_t i = retention->backups.length; i-- > 0;) {
                RetentionBackup *backup = &retention->backups.items[i];
                if (!backup->damaged && backup->at_ns <= until_ns && (!timeline || reaches(backup->record, timeline)))
                        return backup;
        }
        return NULL;
}

/* What the moments from begin_ns on are reached from: the backup before it and, since after a restore to an earlier moment
 * that one may lie on a branch that was left, the one before it of every branch that is younger. */
static void keep_beginning(Retention *retention, int64_t begin_ns)
{
        RetentionBackup *before = find_newest(retention, NULL, begin_ns);

        if (before)
                keep(before, RETENTION_ANCHOR, true);
        VECTOR_FOREACH(timeline, &retention->timelines) {
                before = timeline->last_ns >= begin_ns ? find_newest(retention, timeline, begin_ns) : NULL;
                if (before)
                        keep(before, RETENTION_ANCHOR, true);
        }
}

static void keep_window(Retention *retention, int64_t begin_ns)
{
        VECTOR_FOREACH(backup, &retention->backups)
                if (backup->at_ns > begin_ns)
                        keep(backup, RETENTION_WINDOW, true);
        keep_beginning(retention, begin_ns);
}

static void keep_last(Retention *retention, unsigned count)
{
        int64_t oldest_ns = INT64_MAX;

        for (size_t i = retention->backups.length; i-- > 0 && count;)
                if (!retention->backups.items[i].damaged) {
                        keep(&retention->backups.items[i], RETENTION_LAST, true);
                        oldest_ns = retention->backups.items[i].at_ns;
                        count--;
                }
        keep_beginning(retention, oldest_ns);
}

/* The newest good backup at all, and the newest one from which the newest timeline is reached. */
static void keep_newest(Retention *retention)
{
        RetentionBackup *newest = find_newest(retention, NULL, INT64_MAX);
        const RetentionTimeline *last = NULL;

        if (!newest)
                return;
        keep(newest, RETENTION_NEWEST_GOOD, true);
        VECTOR_FOREACH(timeline, &retention->timelines)
                if (!last || timeline->timeline > last->timeline)
                        last = timeline;
        newest = last ? find_newest(retention, last, INT64_MAX) : NULL;
        if (newest)
                keep(newest, RETENTION_ANCHOR, true);
}

/* ---- archives ---- */

typedef int64_t (*Period)(const struct tm *local);

static int64_t day_of(const struct tm *local)
{
        struct tm day = { .tm_year = local->tm_year, .tm_mon = local->tm_mon, .tm_mday = local->tm_mday };

        return timegm(&day) / 86400;
}

/* From Monday to Sunday; 1970 began on a Thursday. */
static int64_t week_of(const struct tm *local)
{
        return (day_of(local) + 3) / 7;
}

static int64_t month_of(const struct tm *local)
{
        return local->tm_year * INT64_C(12) + local->tm_mon;
}

/* The newest good backup of each of the last count periods that have one. */
static void keep_periods(Retention *retention, unsigned count, Period period_of, RetentionReason reason)
{
        int64_t previous = INT64_MIN;

        for (size_t i = retention->backups.length; i-- > 0 && count;) {
                RetentionBackup *backup = &retention->backups.items[i];
                time_t seconds = (time_t)(backup->at_ns / NSEC_PER_SEC);
                struct tm local;

                if (backup->damaged || !localtime_r(&seconds, &local) || period_of(&local) == previous)
                        continue;
                previous = period_of(&local);
                keep(backup, reason, false);
                count--;
        }
}

static int compare_backups(const void *left, const void *right)
{
        return backup_record_compare(((const RetentionBackup *)left)->record, ((const RetentionBackup *)right)->record);
}

/* ---- clocks that were set ---- */

/* When each was taken, by a clock that never went back. What is said to have been taken later than now counts as old as the one
 * behind it; one that is said to be older than the one before it counts as old as that. In doubt a backup is younger. */
static void set_times(Retention *retention, int64_t now_ns)
{
        int64_t behind_ns = now_ns, before_ns = INT64_MIN;

        for (size_t i = retention->backups.length; i-- > 0;) {
                RetentionBackup *backup = &retention->backups.items[i];

                backup->at_ns = backup->record->finished_ns <= now_ns ? backup->record->finished_ns : behind_ns;
                behind_ns = backup->at_ns;
        }
        VECTOR_FOREACH(backup, &retention->backups)
                before_ns = backup->at_ns = MAX(backup->at_ns, before_ns);
}

/* The time up to which backups may grow old. A clock that was set far ahead would make all of them expire with the first backup
 * that it dates, and a machine that was off for weeks looks the same: the new time counts once backups of half a day say so. */
static int64_t trusted_now(const Retention *retention, const RetentionPolicy *policy, int64_t now_ns)
{
        bool follows = retention->backup_follows;

        for (size_t i = retention->backups.length; i-- > 0;) {
                const RetentionBackup *backup = &retention->backups.items[i];

                if (backup->damaged || backup->at_ns > now_ns - PROBATION_NS) {
                        follows |= !backup->damaged;
                        continue;
                }
                /* Nobody takes backups any more: what there is is as old as it seems. */
                if (!follows || now_ns - backup->at_ns <= MAX(policy->keep_ns, LEAP_NS))
                        return now_ns;
                return backup->at_ns;
        }
        return now_ns;
}

void retention_decide(Retention *retention, const RetentionPolicy *policy, int64_t now_ns)
{
        if (retention->backups.length)
                qsort(retention->backups.items, retention->backups.length, sizeof(RetentionBackup), compare_backups);
        VECTOR_FOREACH(backup, &retention->backups) {
                backup->reason = RETENTION_EXPIRED;
                backup->with_log = false;
        }
        set_times(retention, now_ns);
        if (policy->keep_ns)
                keep_window(retention, trusted_now(retention, policy, now_ns) - policy->keep_ns);
        if (policy->last)
                keep_last(retention, policy->last);
        keep_periods(retention, policy->daily, day_of, RETENTION_DAILY);
        keep_periods(retention, policy->weekly, week_of, RETENTION_WEEKLY);
        keep_periods(retention, policy->monthly, month_of, RETENTION_MONTHLY);
        keep_newest(retention);
}

/* A later timeline's number is greater than its ancestors'. Which of two branches a segment belongs to is not looked at:
 * rather a segment too many. */
bool retention_needs_segment(const Retention *retention, const WalSegment *segment, uint32_t segment_bytes)
{
        bool any = false;

        VECTOR_FOREACH(backup, &retention->backups) {
                if (!backup->with_log)
                        continue;
                any = true;
                if (segment->timeline >= backup->record->timeline &&
                    segment->start + segment_bytes > backup->record->start_lsn)
                        return true;
        }
        return !any;
}

/* ---- loading ---- */

static RetentionTimeline *timeline_of(Retention *retention, uint32_t number)
{
        RetentionTimeline *timeline;

        VECTOR_FOREACH(found, &retention->timelines)
                if (found->timeline == number)
                        return found;
        timeline = vector_add_zero(&retention->timelines);
        timeline->timeline = number;
        return timeline;
}

int retention_load(Repository *repository, const BackupList *list, const WalList *wal, char *const *damaged,
                   Retention *ret, Error **err)
{
        _cleanup_retention_ Retention retention = { 0 };

        VECTOR_FOREACH(record, &list->records) {
                vector_add(&retention.backups,
                           (RetentionBackup){ .record = *record, .damaged = strv_contains(damaged, (*record)->id) });
                timeline_of(&retention, (*record)->timeline);
        }
        VECTOR_FOREACH(segment, &wal->segments) {
                RetentionTimeline *timeline = timeline_of(&retention, segment->timeline);
                timeline->last_ns = MAX(timeline->last_ns, segment->modified_ns);
        }
        VECTOR_FOREACH(number, &wal->histories) {
                RetentionTimeline *timeline = timeline_of(&retention, *number);
                int r = wal_read_history(repository, *number, &timeline->history, err);
                if (r < 0)
                        return r;
        }
        *ret = retention;
        retention = (Retention){ 0 };
        return 0;
}
