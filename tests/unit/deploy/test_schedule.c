
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deploy/schedule.h"
#include "state/document.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static int64_t at(const char *time)
{
        int64_t ns = 0;

        assert_true(clock_parse_time(time, &ns));
        return ns;
}

static void put(Schedule *schedule, const char *service, const char *expression, int64_t now)
{
        assert_int_equal(schedule_put(schedule, "backup", service, expression, "UTC", 0, now, NULL), 0);
}

/* Runs the job at its time with this result; returns when that was. */
static int64_t run_next(Schedule *schedule, bool good, bool *ret_told)
{
        int64_t now = schedule_next_ns(schedule);
        ScheduledJob *job = schedule_due(schedule, now);

        assert_non_null(job);
        assert_null(schedule_due(schedule, now - 1));
        schedule_began(job, now);
        assert_null(schedule_due(schedule, now + HOUR));
        *ret_told = schedule_ended(schedule, job, good, good ? "fine" : "no space", now);
        return now;
}

static void test_daily(void **state)
{
        int64_t now = at("2026-11-21T12:00:00Z");
        Schedule schedule;
        bool told;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "0 2 * * *", now);
        assert_true(run_next(&schedule, true, &told) == at("2026-11-22T02:00:00Z"));
        assert_false(told);
        assert_true(run_next(&schedule, true, &told) == at("2026-11-23T02:00:00Z"));
        /* Off for a week: once, at once, and then as ever. */
        now = at("2026-11-30T09:00:00Z");
        assert_non_null(schedule_due(&schedule, now));
        schedule_began(schedule_due(&schedule, now), now);
        schedule_ended(&schedule, schedule_find(&schedule, "backup", "db"), true, NULL, now + HOUR);
        assert_null(schedule_due(&schedule, now + HOUR));
        assert_true(schedule_next_ns(&schedule) == at("2026-12-01T02:00:00Z"));
        schedule_done(&schedule);
}

static void test_retries_then_tells_once(void **state)
{
        int64_t due = at("2026-11-22T02:00:00Z");
        Schedule schedule;
        bool told;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "0 2 * * *", at("2026-11-21T12:00:00Z"));
        assert_true(run_next(&schedule, false, &told) == due && !told);
        assert_true(run_next(&schedule, false, &told) == due + 1 * MINUTE && !told);
        assert_true(run_next(&schedule, false, &told) == due + 6 * MINUTE && !told);
        assert_true(run_next(&schedule, false, &told) == due + 21 * MINUTE && told);
        for (int i = 0; i < 4; i++) {
                run_next(&schedule, false, &told);
                assert_false(told);
        }
        assert_true(run_next(&schedule, true, &told) == due + 2 * DAY);
        assert_true(told);
        run_next(&schedule, true, &told);
        assert_false(told);
        schedule_done(&schedule);
}

static void test_failure_of_a_frequent_job_is_told(void **state)
{
        Schedule schedule;
        bool told = false;
        int runs = 0;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "*/2 * * * *", at("2026-11-21T12:00:00Z"));
        while (!told && runs++ < 10)
                run_next(&schedule, false, &told);
        assert_int_equal(runs, 4);
        schedule_done(&schedule);
}

/* What was missed fails half a minute before the job is due anyhow: that is the next of four tries, not the first of four. */
static void test_failure_just_before_it_is_due(void **state)
{
        int64_t due = at("2026-11-22T02:00:00Z"), now = due - MINUTE / 2;
        Schedule schedule;
        ScheduledJob *job;
        bool told;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "0 2 * * *", at("2026-11-18T12:00:00Z"));
        job = schedule_due(&schedule, now);
        assert_non_null(job);
        schedule_began(job, now);
        assert_false(schedule_ended(&schedule, job, false, "no space", now));
        assert_int_equal(job->failures, 1);
        assert_true(run_next(&schedule, false, &told) == due && !told);
        assert_int_equal(job->failures, 2);
        assert_true(run_next(&schedule, false, &told) == due + 5 * MINUTE && !told);
        assert_true(run_next(&schedule, false, &told) == due + 20 * MINUTE && told);
        assert_true(schedule_next_ns(&schedule) == due + DAY);
        schedule_done(&schedule);
}

static void test_clock_that_is_set(void **state)
{
        int64_t now = at("2026-11-21T12:00:00Z"), first;
        Schedule schedule;
        bool told;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "@hourly", now);
        first = run_next(&schedule, true, &told);
        /* Half an hour back: the same hour does not come again. */
        schedule_look(&schedule, first - HOUR / 2);
        assert_true(schedule_next_ns(&schedule) == first + HOUR);
        /* A year back: this is the time then. */
        schedule_look(&schedule, first - 365 * DAY);
        assert_true(schedule_next_ns(&schedule) < first - 364 * DAY);
        schedule_done(&schedule);
}

static void test_remembers(void **state)
{
        int64_t now = at("2026-11-21T12:00:00Z");
        _cleanup_json_ json_t *kept = NULL, *again = NULL;
        Schedule schedule;
        bool told;

        schedule_init(&schedule, "shop");
        put(&schedule, "db", "@hourly", now);
        put(&schedule, "other", "@daily", now);
        run_next(&schedule, false, &told);
        schedule_began(schedule_find(&schedule, "backup", "other"), now + HOUR);
        kept = schedule_to_json(&schedule);
        schedule_done(&schedule);

        schedule_init(&schedule, "shop");
        schedule_load(&schedule, kept);
        assert_true(schedule_next_ns(&schedule) == INT64_MAX);
        put(&schedule, "db", "@hourly", now + 2 * HOUR);
        put(&schedule, "other", "@daily", now + 2 * HOUR);
        assert_int_equal(schedule_find(&schedule, "backup", "db")->outcome, SCHEDULE_FAILED);
        assert_string_equal(schedule_find(&schedule, "backup", "db")->message, "no space");
        /* The retry that was waited for, and what was under way, are due at once. */
        assert_non_null(schedule_due(&schedule, now + 2 * HOUR));
        assert_true(schedule_find(&schedule, "backup", "other")->next_ns <= now + 2 * HOUR);
        again = schedule_to_json(&schedule);
        assert_int_equal(json_array_size(json_object_get(again, "jobs")), 2);
        /* Other words begin anew. */
        schedule_drop(&schedule, "backup", "other");
        put(&schedule, "db", "0 4 * * *", now + 2 * HOUR);
        schedule_find(&schedule, "backup", "db")->retry_ns = 0;
        schedule_look(&schedule, now + 2 * HOUR);
        assert_true(schedule_next_ns(&schedule) == at("2026-11-22T04:00:00Z"));
        assert_null(schedule_find(&schedule, "backup", "other"));
        schedule_done(&schedule);
}

static void test_jitter(void **state)
{
        int64_t now = at("2026-11-21T12:00:00Z"), due = at("2026-11-22T02:00:00Z"), first = 0;

        for (int i = 0; i < 20; i++) {
                _cleanup_free_ char *name = xasprintf("shop%d", i / 2);
                Schedule schedule;

                schedule_init(&schedule, name);
                assert_int_equal(schedule_put(&schedule, "backup", "db", "0 2 * * *", NULL, 0, now, NULL), 0);
                assert_int_equal(schedule_put(&schedule, "backup", "db", "0 2 * * *", "UTC", 10 * MINUTE, now, NULL),
                                 0);
                assert_true(schedule_next_ns(&schedule) >= due && schedule_next_ns(&schedule) < due + 10 * MINUTE);
                if (i % 2)
                        assert_true(schedule_next_ns(&schedule) == first);
                else
                        assert_true(schedule_next_ns(&schedule) != first);
                first = schedule_next_ns(&schedule);
                schedule_done(&schedule);
        }
}

static void test_bad(void **state)
{
        Error *error = NULL;
        Schedule schedule;

        schedule_init(&schedule, "shop");
        assert_int_equal(schedule_put(&schedule, "backup", "db", "at noon", NULL, 0, 1, &error), -ERROR_INVALID);
        assert_non_null(strstr(error->message, "the schedule of backup of service \"db\""));
        error_free(error);
        assert_int_equal(schedule_put(&schedule, "backup", "db", "@daily", "Mars/Base", 0, 1, NULL), -ERROR_NOT_FOUND);
        assert_true(schedule_next_ns(&schedule) == INT64_MAX);
        schedule_done(&schedule);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_daily),
                cmocka_unit_test(test_retries_then_tells_once),
                cmocka_unit_test(test_failure_of_a_frequent_job_is_told),
                cmocka_unit_test(test_failure_just_before_it_is_due),
                cmocka_unit_test(test_clock_that_is_set),
                cmocka_unit_test(test_remembers),
                cmocka_unit_test(test_jitter),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
