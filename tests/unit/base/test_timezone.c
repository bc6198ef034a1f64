
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/timezone.h"

static Timezone *zone(const char *name)
{
        Timezone *timezone = NULL;
        Error *error = NULL;

        if (timezone_load(name, &timezone, &error) < 0) {
                print_message("%s: %s\n", name, error->message);
                error_free(error);
                skip();
        }
        return timezone;
}

static void test_calendar(void **state)
{
        int year, month, day;

        assert_int_equal(days_from_date(1970, 1, 1), 0);
        assert_int_equal(days_from_date(2000, 3, 1), 11017);
        assert_int_equal(days_of_month(2024, 2), 29);
        assert_int_equal(days_of_month(2100, 2), 28);
        for (int64_t days = -800000; days < 800000; days += 97) {
                date_from_days(days, &year, &month, &day);
                assert_int_equal(days_from_date(year, month, day), days);
                assert_in_range(day, 1, days_of_month(year, month));
        }
}

/* libc is the judge, on both sides of every change and far past the last entry of a file. */
static void test_as_libc(void **state)
{
        static const char *const names[] = { "Europe/Berlin",       "Europe/Tallinn",    "America/New_York",
                                             "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",
                                             "Pacific/Apia",        "Africa/Casablanca", "UTC",
                                             "Antarctica/Troll",    "Europe/Dublin",     "America/Santiago" };

        srand(7);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_timezone_ Timezone *timezone = zone(names[i]);

                setenv("TZ", names[i], 1);
                tzset();
                for (int n = 0; n < 20000; n++) {
                        /* 1990 to 2090 */
                        time_t when = (time_t)(631152000 + (int64_t)((double)rand() / RAND_MAX * 3155760000.0));
                        LocalTime local;
                        struct tm expected;
                        int64_t instants[2];
                        int found;

                        localtime_r(&when, &expected);
                        timezone_local(timezone, when, &local);
                        if (local.offset_s != expected.tm_gmtoff || local.hour != expected.tm_hour ||
                            local.minute != expected.tm_min || local.weekday != expected.tm_wday ||
                            local.day != expected.tm_mday || local.year != expected.tm_year + 1900)
                                fail_msg("%s at %lld: offset %d, libc %ld", names[i], (long long)when, local.offset_s,
                                         expected.tm_gmtoff);
                        found = timezone_instants(timezone, &local, instants);
                        assert_in_range(found, 1, 2);
                        assert_true(instants[0] == when || (found == 2 && instants[1] == when));
                }
        }
        unsetenv("TZ");
        tzset();
}

static void test_clocks_that_jump(void **state)
{
        _cleanup_timezone_ Timezone *berlin = zone("Europe/Berlin");
        LocalTime skipped = { .year = 2026, .month = 3, .day = 29, .hour = 2, .minute = 30 };
        LocalTime twice = { .year = 2026, .month = 10, .day = 25, .hour = 2, .minute = 30 };
        int64_t instants[2];
        LocalTime local;

        assert_int_equal(timezone_instants(berlin, &skipped, instants), 0);
        timezone_local(berlin, instants[0], &local);
        assert_int_equal(local.hour * 100 + local.minute, 330);
        assert_int_equal(timezone_instants(berlin, &twice, instants), 2);
        assert_int_equal(instants[1] - instants[0], 3600);
        timezone_local(berlin, instants[0], &local);
        assert_int_equal(local.offset_s, 7200);
}

static void test_bad_files(void **state)
{
        static const char *const names[] = { "/etc/passwd", "../../etc/passwd", "Europe/Berlin\n", "a b" };
        unsigned char data[200] = "TZif2";
        Timezone *timezone = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(timezone_load(names[i], &timezone, NULL), -ERROR_INVALID);
        assert_int_equal(timezone_load("Europe/Nowhere", &timezone, NULL), -ERROR_NOT_FOUND);
        for (size_t size = 0; size < sizeof(data); size++)
                assert_int_equal(timezone_parse(data, size, &timezone, NULL), -ERROR_CORRUPT);
        srand(3);
        for (int n = 0; n < 20000; n++) {
                for (size_t i = 5; i < sizeof(data); i++)
                        data[i] = (unsigned char)(rand() % 7 == 0 ? rand() : 0);
                if (timezone_parse(data, sizeof(data), &timezone, NULL) == 0)
                        timezone_free(timezone);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_calendar),
                cmocka_unit_test(test_as_libc),
                cmocka_unit_test(test_clocks_that_jump),
                cmocka_unit_test(test_bad_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
