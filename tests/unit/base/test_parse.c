
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

static void test_integers(void **state)
{
        int64_t value = 42;

        assert_true(parse_int64("-5", -10, 10, &value));
        assert_int_equal(value, -5);
        assert_true(parse_int64("9223372036854775807", 0, INT64_MAX, &value));
        assert_true(value == INT64_MAX);
        value = 42;
        assert_false(parse_int64("", 0, 10, &value));
        assert_false(parse_int64("11", 0, 10, &value));
        assert_false(parse_int64("1x", 0, 10, &value));
        assert_false(parse_int64(" 1", 0, 10, &value));
        assert_false(parse_int64("+1", 0, 10, &value));
        assert_false(parse_int64("99999999999999999999", 0, INT64_MAX, &value));
        assert_int_equal(value, 42);
}

static void test_booleans(void **state)
{
        bool value = false;

        assert_true(parse_bool("Yes", &value));
        assert_true(value);
        assert_true(parse_bool("off", &value));
        assert_false(value);
        assert_false(parse_bool("maybe", &value));
        assert_false(parse_bool("", &value));
}

static void check_size(const char *text, int64_t expected)
{
        int64_t value = -1;

        assert_int_equal(parse_size(text, &value), expected >= 0);
        assert_true(value == expected);
}

static void test_sizes(void **state)
{
        check_size("0", 0);
        check_size("512", 512);
        check_size("64m", 64 << 20);
        check_size("64MB", 64 << 20);
        check_size("64 MiB", 64 << 20);
        check_size("1.5g", INT64_C(3) << 29);
        check_size("2kb", 2048);
        check_size("10b", 10);
        check_size("", -1);
        check_size("m", -1);
        check_size("-1m", -1);
        check_size("1mm", -1);
        check_size("1bb", -1);
        check_size("0x10", -1);
        check_size("99999999999p", -1);
}

static void check_duration(const char *text, int64_t expected)
{
        int64_t value = -1;

        assert_int_equal(parse_duration(text, &value), expected >= 0);
        assert_true(value == expected);
}

static void test_durations(void **state)
{
        check_duration("0", 0);
        check_duration("1h30m", 5400 * NSEC_PER_SEC);
        check_duration("1.5s", 1500 * NSEC_PER_MSEC);
        check_duration("300ms", 300 * NSEC_PER_MSEC);
        check_duration("10us", 10000);
        check_duration("2d", 2 * 86400 * NSEC_PER_SEC);
        check_duration(".5m", 30 * NSEC_PER_SEC);
        check_duration("10", -1);
        check_duration("", -1);
        check_duration("s", -1);
        check_duration("1x", -1);
        check_duration("1s2", -1);
        check_duration("99999999999999h", -1);
}

static void check_format(int64_t ns, const char *expected)
{
        _cleanup_free_ char *text = format_duration(ns);

        assert_string_equal(text, expected);
}

static void test_durations_are_printed_as_go_does(void **state)
{
        check_format(0, "0s");
        check_format(1500 * NSEC_PER_MSEC, "1.5s");
        check_format(90 * NSEC_PER_SEC, "1m30s");
        check_format(3600 * NSEC_PER_SEC, "1h0m0s");
        check_format(300 * NSEC_PER_MSEC, "300ms");
        check_format(12345, "12.345µs");
        check_format(-NSEC_PER_SEC, "-1s");
}

static void test_sizes_are_printed_as_docker_does(void **state)
{
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = { { 0, "0B" }, { 999, "999B" }, { 1000, "1kB" }, { 39200000, "39.2MB" }, { 1500000000, "1.5GB" } };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *text = format_size(cases[i].bytes);
                assert_string_equal(text, cases[i].text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers),
                cmocka_unit_test(test_booleans),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_durations_are_printed_as_go_does),
                cmocka_unit_test(test_sizes_are_printed_as_docker_does),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
