
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cron.h"
#include "base/mem.h"

static int64_t seconds(const char *time)
{
        int64_t ns = 0;

        assert_true(clock_parse_time(time, &ns));
        return ns / NSEC_PER_SEC;
}

static void check(const char *text, const char *place, const char *after, const char *expected)
{
        _cleanup_timezone_ Timezone *timezone = NULL;
        _cleanup_free_ char *found = NULL;
        Cron cron;

        assert_int_equal(cron_parse(text, &cron, NULL), 0);
        if (timezone_load(place, &timezone, NULL) < 0)
                return;
        found = clock_format_rfc3339(cron_next(&cron, timezone, seconds(after)) * NSEC_PER_SEC);
        if (strncmp(found, expected, strlen(expected)) != 0)
                fail_msg("\"%s\" in %s after %s: %s, not %s", text, place, after, found, expected);
}

static void test_table(void **state)
{
        check("0 2 * * *", "UTC", "2026-11-21T01:59:59Z", "2026-11-21T02:00:00");
        check("0 2 * * *", "UTC", "2026-11-21T02:00:00Z", "2026-11-22T02:00:00");
        check("@daily", "Europe/Berlin", "2026-11-21T12:00:00Z", "2026-11-21T23:00:00");
        check("@weekly", "UTC", "2026-11-21T12:00:00Z", "2026-11-22T00:00:00");
        check("@monthly", "UTC", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00");
        check("@yearly", "UTC", "2026-11-21T12:00:00Z", "2027-01-01T00:00:00");
        check("@hourly", "UTC", "2026-11-21T12:00:00Z", "2026-11-21T13:00:00");
        check("*/15 * * * *", "UTC", "2026-11-21T12:46:00Z", "2026-11-21T13:00:00");
        check("30 4 * * mon-fri", "UTC", "2026-11-21T00:00:00Z", "2026-11-23T04:30:00");
        check("0 0 29 2 *", "UTC", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00");
        check("0 0 29 feb *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00");
        check("0 0 13 * FRI", "UTC", "2026-11-21T00:00:00Z", "2026-11-27T00:00:00");
        check("0 0 13 * FRI", "UTC", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00");
        check("0 0 * * 7", "UTC", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00");
        check("0 8-18/5 * * *", "UTC", "2026-11-21T09:00:00Z", "2026-11-21T13:00:00");
}

static void test_clocks_that_jump(void **state)
{
        /* Skipped: as much later. */
        check("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00");
        check("30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00");
        /* Twice: the first time only. */
        check("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00");
        check("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00");
        /* Night backups where clocks jump at three: days of 23 and of 25 hours. */
        check("0 2 * * *", "Europe/Tallinn", "2026-03-28T12:00:00Z", "2026-03-29T00:00:00");
        check("0 2 * * *", "Europe/Tallinn", "2026-03-29T00:00:00Z", "2026-03-29T23:00:00");
        check("0 2 * * *", "Europe/Tallinn", "2026-10-24T12:00:00Z", "2026-10-24T23:00:00");
        check("0 2 * * *", "Europe/Tallinn", "2026-10-24T23:00:00Z", "2026-10-26T00:00:00");
        check("30 3 * * *", "Europe/Tallinn", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00");
        check("30 3 * * *", "Europe/Tallinn", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00");
        /* Every hour means every hour. */
        check("30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00");
        check("30 * * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00");
        check("30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00");
        check("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00");
}

static void test_bad(void **state)
{
        static const char *const texts[] = { "",           "* * * *",     "* * * * * *", "60 * * * *",   "* 24 * * *",
                                             "* * 0 * *",  "* * * 13 *",  "* * * * 8",   "5-1 * * * *",  "*/0 * * * *",
                                             "a * * * *",  "@reboot",     "0 0 30 2 *",  "0 0 31 4,6 *", "1,,2 * * * *",
                                             "1- * * * *", "*-5 * * * *", "-1 * * * *" };
        Cron cron;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (cron_parse(texts[i], &cron, NULL) != -ERROR_INVALID)
                        fail_msg("\"%s\" was taken", texts[i]);
}

/* Minute by minute, the plain way, finds the same. */
static void test_as_by_hand(void **state)
{
        static const char *const places[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC" };

        srand(11);
        for (int n = 0; n < 300; n++) {
                _cleanup_timezone_ Timezone *timezone = NULL;
                char text[64];
                Cron cron;
                int64_t after = 1700000000 + (int64_t)(rand() % 90000000), instant, by_hand = after - after % 60;
                LocalTime local;

                if (timezone_load(places[n % 4], &timezone, NULL) < 0)
                        continue;
                snprintf(text, sizeof(text), "%d %s * * %s", rand() % 60, rand() % 2 ? "*" : "*/3",
                         rand() % 3 ? "*" : "tue,sat");
                assert_int_equal(cron_parse(text, &cron, NULL), 0);
                instant = cron_next(&cron, timezone, after);
                do {
                        by_hand += 60;
                        timezone_local(timezone, by_hand, &local);
                } while (!(cron.minutes >> local.minute & 1) || !(cron.hours >> local.hour & 1) ||
                         !(cron.weekdays >> local.weekday & 1));
                if (instant != by_hand)
                        fail_msg("\"%s\" in %s after %lld: %lld, by hand %lld", text, places[n % 4], (long long)after,
                                 (long long)instant, (long long)by_hand);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_clocks_that_jump),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_as_by_hand),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
