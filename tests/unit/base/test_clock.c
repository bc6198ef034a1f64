
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

static void check_time(const char *text, int64_t seconds, int64_t ns)
{
        int64_t value = 0;

        assert_true(clock_parse_time(text, &value));
        assert_true(value == seconds * NSEC_PER_SEC + ns);
}

static void test_rfc3339_in_all_its_forms(void **state)
{
        check_time("2026-11-21T12:00:00Z", 1795262400, 0);
        check_time("2026-11-21T12:00:00.123456789Z", 1795262400, 123456789);
        check_time("2026-11-21T12:00:00.5Z", 1795262400, 500000000);
        check_time("2026-11-21T14:00:00+02:00", 1795262400, 0);
        check_time("2026-11-21T06:30:00-05:30", 1795262400, 0);
        check_time("2026-11-21 14:00:00.25+02", 1795262400, 250000000);
        check_time("2026-11-21 06:30:00 -0530", 1795262400, 0);
}

static void test_without_a_zone_it_is_local_time(void **state)
{
        setenv("TZ", "EST+5", 1);
        tzset();
        check_time("2026-11-21T07:00:00", 1795262400, 0);
        check_time("2026-11-21T07:00", 1795262400, 0);
        check_time("2026-11-21", 1795262400 - 7 * 3600, 0);
        unsetenv("TZ");
        tzset();
}

static void test_what_is_no_time(void **state)
{
        static const char *const wrong[] = { "", "yesterday", "2026", "2026-11-21T12:00:00X", "2026-11-21T12:00:00+2" };
        int64_t value = 7;

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_false(clock_parse_time(wrong[i], &value));
        assert_int_equal(value, 7);
}

static void check_moment(const char *text, int64_t seconds)
{
        int64_t value = 0;

        assert_true(clock_parse_moment(text, 1795262400 * NSEC_PER_SEC, &value));
        assert_int_equal(value, seconds * NSEC_PER_SEC);
}

static void test_moments_as_people_say_them(void **state)
{
        static const char *const wrong[] = { "alpha", "yesterday", "tomorrow", "10 minutes", "-10x", "10m",
                                             "today", "25:00",     "14:29x",   "ago",        "-",    "1 ago" };
        int64_t value;

        setenv("TZ", "EST+5", 1); /* it is 07:00 */
        tzset();
        check_moment("06:30", 1795262400 - 1800);
        check_moment("06:30:05", 1795262400 - 1795);
        check_moment("today 06:00", 1795262400 - 3600);
        check_moment("yesterday 07:00", 1795262400 - 86400);
        check_moment("tomorrow 07:00", 1795262400 + 86400);
        check_moment("10 minutes ago", 1795262400 - 600);
        check_moment("1 hour ago", 1795262400 - 3600);
        check_moment("-2d", 1795262400 - 2 * 86400);
        check_moment("-10m", 1795262400 - 600);
        check_moment("2026-11-21", 1795262400 - 7 * 3600);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_false(clock_parse_moment(wrong[i], 1795262400 * NSEC_PER_SEC, &value));
        unsetenv("TZ");
        tzset();
}

static void test_printing_and_reading_again(void **state)
{
        int64_t now = INT64_C(1795262400987654321), again = 0;
        _cleanup_free_ char *text = clock_format_rfc3339(now);

        assert_string_equal(text, "2026-11-21T12:00:00.987654321Z");
        assert_true(clock_parse_time(text, &again));
        assert_true(now == again);
}

static void check_ago(int64_t seconds, const char *expected)
{
        _cleanup_free_ char *text = clock_format_ago(seconds * NSEC_PER_SEC);

        assert_string_equal(text, expected);
}

static void test_ago(void **state)
{
        check_ago(0, "less than a second");
        check_ago(-5, "less than a second");
        check_ago(1, "1 second");
        check_ago(59, "59 seconds");
        check_ago(300, "5 minutes");
        check_ago(7200, "2 hours");
        check_ago(86400 * 3, "3 days");
}

static void test_the_clock_goes_forward(void **state)
{
        int64_t before = clock_monotonic_ns();

        assert_true(clock_monotonic_ns() >= before);
        assert_true(system_clock.realtime_ns(system_clock.context) > INT64_C(1600000000) * NSEC_PER_SEC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rfc3339_in_all_its_forms),
                cmocka_unit_test(test_without_a_zone_it_is_local_time),
                cmocka_unit_test(test_what_is_no_time),
                cmocka_unit_test(test_moments_as_people_say_them),
                cmocka_unit_test(test_printing_and_reading_again),
                cmocka_unit_test(test_ago),
                cmocka_unit_test(test_the_clock_goes_forward),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
