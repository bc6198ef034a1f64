
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "repository/retention.h"

#define HOUR    (3600 * NSEC_PER_SEC)
#define DAY     (24 * HOUR)
#define SEGMENT (UINT32_C(16) << 20)
#define EPOCH   INT64_C(1795132800000000000) /* 2026-11-20T00:00:00Z */

typedef struct Cluster {
        Retention retention;
        VECTOR(BackupRecord *) records; /* owned: addresses stay */
} Cluster;

static void cluster_done(Cluster *cluster)
{
        VECTOR_FOREACH(record, &cluster->records)
                free(*record);
        vector_done(&cluster->records);
        retention_done(&cluster->retention);
}
#define _cleanup_cluster_ _cleanup_(cluster_done)

static BackupRecord *add_backup(Cluster *cluster, int64_t finished_ns, uint32_t timeline, Lsn start)
{
        BackupRecord *record = xnew(BackupRecord);

        record->id = (char *)"b";
        record->finished_ns = finished_ns;
        record->timeline = timeline;
        record->start_lsn = start;
        record->stop_lsn = start + SEGMENT / 2;
        record->segment_bytes = SEGMENT;
        vector_add(&cluster->records, record);
        vector_add(&cluster->retention.backups, (RetentionBackup){ .record = record });
        return record;
}

/* One a day, the newest an hour before EPOCH. */
static void add_daily(Cluster *cluster, unsigned days)
{
        for (unsigned i = days; i-- > 0;)
                add_backup(cluster, EPOCH - HOUR - i * DAY, 1, (Lsn)(days - i) * 10 * SEGMENT);
}

/* A letter a backup, oldest first: of its reason, large where its log stays. */
static const char *decide(Cluster *cluster, RetentionPolicy policy, int64_t now_ns)
{
        static char text[256];
        size_t n = 0;

        retention_decide(&cluster->retention, &policy, now_ns);
        VECTOR_FOREACH(backup, &cluster->retention.backups) {
                char letter = retention_reason_name(backup->reason)[0];
                if (backup->reason == RETENTION_EXPIRED)
                        letter = '-';
                text[n++] = backup->with_log ? (char)(letter - 'a' + 'A') : letter;
        }
        text[n] = '\0';
        return text;
}

/* w: window, a: anchor, l: last, d, w, m: periods, n: newest good, -: goes */
static void test_policies(void **state)
{
        static const struct {
                const char *name;
                unsigned backups;
                RetentionPolicy policy;
                const char *expected;
        } cases[] = {
                { "none", 0, { .keep_ns = 7 * DAY }, "" },
                { "the window and what its beginning needs", 10, { .keep_ns = 3 * DAY }, "------AWWW" },
                { "a window longer than everything", 3, { .keep_ns = 30 * DAY }, "WWW" },
                { "a window without a backup in it", 3, { .keep_ns = HOUR / 2 }, "--A" },
                { "counts", 5, { .last = 2 }, "---LL" },
                { "a count beyond all", 2, { .last = 9 }, "LL" },
                { "days", 5, { .daily = 3 }, "--ddD" },
                { "weeks", 15, { .weekly = 2 }, "----------w---W" }, /* 2026-11-15 is a Sunday, the 19th a Thursday */
                { "months", 25, { .monthly = 2 }, "-----m------------------M" },
                { "days and months", 25, { .daily = 2, .monthly = 2 }, "-----m-----------------dD" },
                { "nothing said", 4, { 0 }, "---N" },
                { "both", 10, { .keep_ns = 2 * DAY, .daily = 5 }, "-----ddAWW" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_cluster_ Cluster cluster = { 0 };
                const char *found;

                add_daily(&cluster, cases[i].backups);
                found = decide(&cluster, cases[i].policy, EPOCH);
                if (!streq(found, cases[i].expected))
                        fail_msg("%s: %s, not %s", cases[i].name, found, cases[i].expected);
        }
}

static void test_the_only_good_backup_stays(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };

        add_daily(&cluster, 6);
        for (size_t i = 1; i < 6; i++)
                cluster.retention.backups.items[i].damaged = true;
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .last = 1 }, EPOCH + 100 * DAY), "L-----");
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .keep_ns = DAY }, EPOCH + 100 * DAY), "A-----");
        assert_string_equal(decide(&cluster, (RetentionPolicy){ 0 }, EPOCH + 100 * DAY), "N-----");
        /* Damaged ones are not thrown away before their time, and stand for nothing. */
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .keep_ns = 2 * DAY, .daily = 1 }, EPOCH), "A---WW");
}

static void test_clock_set_back(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };

        add_daily(&cluster, 4);
        /* Now is before all of them: they count as new. */
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .keep_ns = DAY }, EPOCH - 100 * DAY), "WWWW");
}

/* The clock goes back by an hour, and by a year, and forth again: what the log says to be the newest is the newest, and what
 * was taken within the window stays. */
static void test_the_log_says_what_is_newest(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 }, year = { 0 };

        add_backup(&cluster, EPOCH - 2 * HOUR, 1, SEGMENT);
        add_backup(&cluster, EPOCH, 1, 10 * SEGMENT);
        add_backup(&cluster, EPOCH - HOUR + 1, 1, 20 * SEGMENT); /* an hour back: taken last */
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .last = 1 }, EPOCH - HOUR + 2), "--L");
        assert_string_equal(decide(&cluster, (RetentionPolicy){ 0 }, EPOCH + HOUR), "--N");
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .keep_ns = DAY }, EPOCH + HOUR), "WWW");

        add_daily(&year, 5);
        add_backup(&year, EPOCH - 365 * DAY, 1, 100 * SEGMENT);
        assert_string_equal(decide(&year, (RetentionPolicy){ .keep_ns = 3 * DAY }, EPOCH - 365 * DAY), "WWWWWW");
        assert_string_equal(decide(&year, (RetentionPolicy){ .keep_ns = 3 * DAY }, EPOCH), "-AWWWW");
        assert_string_equal(decide(&year, (RetentionPolicy){ .daily = 2 }, EPOCH), "---d-D");
        /* A later timeline is younger, whatever place of the log it begins at. */
        add_backup(&cluster, EPOCH - HOUR, 2, 5 * SEGMENT);
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .last = 1 }, EPOCH), "---L");
}

/* A year ahead: what the new time alone makes old stays until half a day of backups is dated by it. */
static void test_clock_set_ahead(void **state)
{
        const RetentionPolicy policy = { .keep_ns = 3 * DAY };
        _cleanup_cluster_ Cluster cluster = { 0 };

        add_daily(&cluster, 5);
        cluster.retention.backup_follows = true;
        assert_string_equal(decide(&cluster, policy, EPOCH + 365 * DAY), "-AWWW");
        cluster.retention.backup_follows = false;
        add_backup(&cluster, EPOCH + 365 * DAY, 1, 100 * SEGMENT);
        assert_string_equal(decide(&cluster, policy, EPOCH + 365 * DAY), "-AWWWW");
        add_backup(&cluster, EPOCH + 365 * DAY + HOUR, 1, 110 * SEGMENT);
        assert_string_equal(decide(&cluster, policy, EPOCH + 365 * DAY + HOUR), "-AWWWWW");
        /* Set right again: nothing has been lost, and what was taken in between does not stay for a year. */
        add_backup(&cluster, EPOCH + 2 * HOUR, 1, 120 * SEGMENT);
        assert_string_equal(decide(&cluster, policy, EPOCH + 2 * HOUR), "-AWWWWWW");
        add_backup(&cluster, EPOCH + 2 * DAY, 1, 130 * SEGMENT);
        add_backup(&cluster, EPOCH + 4 * DAY, 1, 140 * SEGMENT);
        assert_string_equal(decide(&cluster, policy, EPOCH + 4 * DAY + HOUR), "-------AWW");
}

/* The same as a machine that was off for a year: the second day of backups is believed. */
static void test_a_long_pause(void **state)
{
        const RetentionPolicy policy = { .keep_ns = 3 * DAY };
        _cleanup_cluster_ Cluster cluster = { 0 };

        add_daily(&cluster, 5);
        add_backup(&cluster, EPOCH + 365 * DAY, 1, 100 * SEGMENT);
        add_backup(&cluster, EPOCH + 366 * DAY, 1, 110 * SEGMENT);
        assert_string_equal(decide(&cluster, policy, EPOCH + 366 * DAY), "----AWW");
}

static void test_daylight_saving_has_one_backup_a_day(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };

        setenv("TZ", "Europe/Berlin", 1);
        tzset();
        /* 2026-10-25 has 25 hours there: 00:30 and 23:30 of that day, and 00:30 of the next. */
        add_backup(&cluster, INT64_C(1792881000) * NSEC_PER_SEC, 1, SEGMENT);
        add_backup(&cluster, INT64_C(1792881000) * NSEC_PER_SEC + 24 * HOUR, 1, 2 * SEGMENT);
        add_backup(&cluster, INT64_C(1792881000) * NSEC_PER_SEC + 25 * HOUR, 1, 3 * SEGMENT);
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .daily = 2 }, EPOCH), "-dD");
        unsetenv("TZ");
        tzset();
}

static bool needs(Cluster *cluster, uint32_t timeline, Lsn start)
{
        return retention_needs_segment(&cluster->retention, &(WalSegment){ .timeline = timeline, .start = start },
                                       SEGMENT);
}

static void test_log_before_the_oldest_kept_backup_goes(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };

        add_daily(&cluster, 5); /* they start at 10, 20, … 50 segments */
        cluster.records.items[3]->start_lsn += 4711;
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .last = 2, .monthly = 3 }, EPOCH), "---LL");
        assert_false(needs(&cluster, 1, (Lsn)39 * SEGMENT));
        assert_true(needs(&cluster, 1, (Lsn)40 * SEGMENT)); /* its start lies within */
        assert_true(needs(&cluster, 1, (Lsn)90 * SEGMENT));
        assert_true(needs(&cluster, 2, (Lsn)41 * SEGMENT));
}

static void test_no_backup_yet_keeps_the_log(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };

        assert_string_equal(decide(&cluster, (RetentionPolicy){ .keep_ns = DAY }, EPOCH), "");
        assert_true(needs(&cluster, 1, SEGMENT));
}

/* A restore to before the newest backup: the branch in use is reached from an older one only. */
static void test_branch_keeps_what_it_grew_from(void **state)
{
        _cleanup_cluster_ Cluster cluster = { 0 };
        RetentionTimeline *second;

        add_daily(&cluster, 5);
        second = vector_add_zero(&cluster.retention.timelines);
        second->timeline = 2;
        second->last_ns = EPOCH;
        vector_add(&second->history.steps, (TimelineStep){ 1, (Lsn)35 * SEGMENT });
        assert_string_equal(decide(&cluster, (RetentionPolicy){ .last = 1 }, EPOCH), "--A-L");
        assert_string_equal(decide(&cluster, (RetentionPolicy){ 0 }, EPOCH + 50 * DAY), "--A-N");
        assert_true(needs(&cluster, 1, (Lsn)30 * SEGMENT));
        /* Once it has a backup of its own, nothing else is needed, and the left branch goes. */
        add_backup(&cluster, EPOCH + HOUR, 2, (Lsn)40 * SEGMENT);
        assert_string_equal(decide(&cluster, (RetentionPolicy){ 0 }, EPOCH + 50 * DAY), "-----N");
        assert_false(needs(&cluster, 1, (Lsn)50 * SEGMENT));
}

/* ---- whatever happens, a promised moment can be restored ---- */

typedef struct Point {
        int64_t time_ns;
        uint32_t timeline;
        Lsn lsn;
} Point;

typedef struct Life {
        Cluster cluster;
        VECTOR(WalSegment) segments;
        VECTOR(Point) points;
        uint32_t timeline;
        Lsn lsn;
        int64_t now_ns;
} Life;

static RetentionTimeline *branch(Life *life, uint32_t number)
{
        VECTOR_FOREACH(timeline, &life->cluster.retention.timelines)
                if (timeline->timeline == number)
                        return timeline;
        fail_msg("no timeline %u", number);
        return NULL;
}

static bool has_segment(const Life *life, uint32_t timeline, Lsn start)
{
        VECTOR_FOREACH(segment, &life->segments)
                if (segment->timeline == timeline && segment->start == start)
                        return true;
        return false;
}

/* On which timeline of point's lineage the segment at start is filed. */
static uint32_t timeline_at(Life *life, const Point *point, Lsn start)
{
        const RetentionTimeline *leaf = branch(life, point->timeline);
        uint32_t timeline = leaf->history.steps.length ? leaf->history.steps.items[0].parent : point->timeline;

        for (size_t i = 0; i < leaf->history.steps.length; i++)
                if (wal_segment_start(leaf->history.steps.items[i].switch_lsn, SEGMENT) <= start)
                        timeline = i + 1 < leaf->history.steps.length ? leaf->history.steps.items[i + 1].parent
                                                                      : point->timeline;
        return timeline;
}

static bool lies_before(Life *life, const BackupRecord *record, const Point *point)
{
        if (record->stop_lsn > point->lsn)
                return false;
        if (record->timeline == point->timeline)
                return true;
        VECTOR_FOREACH(step, &branch(life, point->timeline)->history.steps)
                if (step->parent == record->timeline && record->stop_lsn <= step->switch_lsn)
                        return true;
        return false;
}

static bool can_restore(Life *life, const Point *point)
{
        VECTOR_FOREACH(backup, &life->cluster.retention.backups) {
                Lsn start = wal_segment_start(backup->record->start_lsn, SEGMENT);
                bool whole = !backup->damaged && lies_before(life, backup->record, point);

                for (; whole && start <= point->lsn; start += SEGMENT)
                        whole = has_segment(life, timeline_at(life, point, start), start);
                if (whole)
                        return true;
        }
        return false;
}

static void write_log(Life *life, Lsn bytes)
{
        Lsn end = life->lsn + bytes;

        for (Lsn start = wal_segment_start(life->lsn, SEGMENT); start <= end; start += SEGMENT)
                if (!has_segment(life, life->timeline, start))
                        vector_add(&life->segments, (WalSegment){ .timeline = life->timeline, .start = start });
        life->lsn = end;
        branch(life, life->timeline)->last_ns = life->now_ns;
        vector_add(&life->points, (Point){ life->now_ns, life->timeline, life->lsn });
}

static void take_backup(Life *life)
{
        BackupRecord *record = add_backup(&life->cluster, 0, life->timeline, life->lsn);
        bool damaged = rand() % 5 == 0;

        write_log(life, SEGMENT);
        life->now_ns += HOUR;
        record->finished_ns = life->now_ns;
        life->cluster.retention.backups.items[life->cluster.retention.backups.length - 1].damaged = damaged;
}

/* Goes back to a moment that can be restored and goes on from there. */
static void go_back(Life *life)
{
        RetentionTimeline *next;
        const RetentionTimeline *from;
        Point point;

        if (!life->points.length)
                return;
        point = life->points.items[(size_t)rand() % life->points.length];
        if (!can_restore(life, &point))
                return;
        next = vector_add_zero(&life->cluster.retention.timelines);
        from = branch(life, point.timeline);
        next->timeline = (uint32_t)life->cluster.retention.timelines.length;
        VECTOR_FOREACH(step, &from->history.steps)
                vector_add(&next->history.steps, *step);
        vector_add(&next->history.steps, (TimelineStep){ point.timeline, point.lsn });
        life->timeline = next->timeline;
        life->lsn = point.lsn;
        write_log(life, 0);
}

static void remove_expired(Life *life)
{
        size_t kept = 0;

        VECTOR_FOREACH(segment, &life->segments)
                if (retention_needs_segment(&life->cluster.retention, segment, SEGMENT))
                        life->segments.items[kept++] = *segment;
        life->segments.length = kept;
        kept = 0;
        VECTOR_FOREACH(backup, &life->cluster.retention.backups)
                if (backup->reason != RETENTION_EXPIRED)
                        life->cluster.retention.backups.items[kept++] = *backup;
        life->cluster.retention.backups.length = kept;
}

static size_t count_good(const Life *life)
{
        size_t n = 0;

        VECTOR_FOREACH(backup, &life->cluster.retention.backups)
                n += !backup->damaged;
        return n;
}

static size_t expire_and_check(Life *life, const RetentionPolicy *policy)
{
        VECTOR(Point) promised = { 0 };
        bool any = count_good(life) > 0;
        size_t checked;

        VECTOR_FOREACH(point, &life->points)
                if (point->time_ns >= life->now_ns - policy->keep_ns && can_restore(life, point))
                        vector_add(&promised, *point);
        retention_decide(&life->cluster.retention, policy, life->now_ns);
        remove_expired(life);
        assert_int_equal(any, count_good(life) > 0);
        VECTOR_FOREACH(point, &promised)
                if (!can_restore(life, point))
                        fail_msg("a promised moment on timeline %u was lost", point->timeline);
        checked = promised.length;
        vector_done(&promised);
        return checked;
}

static size_t live(unsigned seed)
{
        Life life = { .timeline = 1, .lsn = SEGMENT, .now_ns = EPOCH };
        RetentionPolicy policy = { .keep_ns = (1 + seed % 5) * DAY, .last = seed % 3, .weekly = seed % 2 };
        size_t checked = 0;

        srand(seed);
        vector_add_zero(&life.cluster.retention.timelines)->timeline = 1;
        for (unsigned step = 0; step < 120; step++) {
                unsigned choice = (unsigned)rand() % 20;
                life.now_ns += (rand() % 12) * HOUR;
                if (choice < 4)
                        take_backup(&life);
                else if (choice == 4)
                        go_back(&life);
                else
                        write_log(&life, (Lsn)rand() % (3 * SEGMENT));
                checked += expire_and_check(&life, &policy);
        }
        vector_done(&life.segments);
        vector_done(&life.points);
        cluster_done(&life.cluster);
        return checked;
}

static void test_promised_moments_survive(void **state)
{
        size_t checked = 0;

        for (unsigned seed = 1; seed <= 60; seed++)
                checked += live(seed);
        assert_true(checked > 10000); /* or the lives were too dull to say anything */
}

static void test_policies_are_read(void **state)
{
        static const struct {
                const char *json;
                int expected;
                RetentionPolicy policy;
        } cases[] = {
                { "\"4w\"", 0, { .keep_ns = 28 * DAY } },
                { "{\"time\": \"7d\", \"daily\": 7, \"weekly\": 4, \"monthly\": 6, \"last\": 2}",
                  0,
                  { 7 * DAY, 2, 7, 4, 6 } },
                { "null", -ERROR_INVALID, { 0 } },
                { "{}", -ERROR_INVALID, { 0 } },
                { "\"soon\"", -ERROR_INVALID, { 0 } },
                { "\"0\"", -ERROR_INVALID, { 0 } },
                { "{\"daily\": 0}", -ERROR_INVALID, { 0 } },
                { "{\"yearly\": 1}", -ERROR_INVALID, { 0 } },
        };
        RetentionPolicy found;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

                if (retention_policy_parse(value, &found, NULL) != cases[i].expected)
                        fail_msg("%s", cases[i].json);
                json_decref(value);
                if (cases[i].expected == 0)
                        assert_memory_equal(&found, &cases[i].policy, sizeof(found));
        }
        assert_int_equal(retention_policy_parse(NULL, &found, NULL), 0);
        assert_true(found.keep_ns == 7 * DAY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_policies),
                cmocka_unit_test(test_policies_are_read),
                cmocka_unit_test(test_the_only_good_backup_stays),
                cmocka_unit_test(test_clock_set_back),
                cmocka_unit_test(test_the_log_says_what_is_newest),
                cmocka_unit_test(test_clock_set_ahead),
                cmocka_unit_test(test_a_long_pause),
                cmocka_unit_test(test_daylight_saving_has_one_backup_a_day),
                cmocka_unit_test(test_log_before_the_oldest_kept_backup_goes),
                cmocka_unit_test(test_no_backup_yet_keeps_the_log),
                cmocka_unit_test(test_branch_keeps_what_it_grew_from),
                cmocka_unit_test(test_promised_moments_survive),
        };

        setenv("TZ", "UTC", 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
