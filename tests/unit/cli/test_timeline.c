/* Which moments are said to be restorable, and where a gap is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "cli/backup.h"

#define SECOND INT64_C(1000000000)
#define BEGIN  (INT64_C(1795313891) * SECOND)

/* A backup that ended at a second and a place, and from which the log leads to others. */
static json_t *row(int from_s, const char *stop, int until_s, const char *end)
{
        return json_pack("{s:s, s:s, s:b, s:I, s:s, s:I, s:s, s:i}", "service", "db", "repository", "/r", "present", 1,
                         "finished_ns", (json_int_t)(BEGIN + from_s * SECOND), "stop_lsn", stop, "until_ns",
                         (json_int_t)(BEGIN + until_s * SECOND), "until_lsn", end, "until_timeline", 1);
}

static char *printed(json_t *rows)
{
        FILE *terminal = stdout;
        char *text = NULL;
        size_t size;

        stdout = open_memstream(&text, &size);
        backup_print_timelines(rows);
        fclose(stdout);
        stdout = terminal;
        json_decref(rows);
        return text;
}

static void test_a_missing_log_is_a_gap(void **state)
{
        _cleanup_free_ char *text = printed(
                json_pack("[o, o]", row(0, "0/3000100", 60, "0/4000000"), row(90, "0/6000100", 120, "0/7000000")));

        assert_non_null(strstr(text, "a moment"));
        assert_non_null(strstr(text, "(30s): the log of it is not kept"));
}

/* The newest moment of the log is told by the receiver every few seconds; a backup may have ended since. */
static void test_a_moment_that_is_not_known_yet_is_none(void **state)
{
        _cleanup_free_ char *text = printed(
                json_pack("[o, o]", row(0, "0/3000100", 60, "0/7000060"), row(61, "0/6000100", 61, "0/7000060")));

        assert_non_null(strstr(text, "any moment"));
        assert_null(strstr(text, "not kept"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_missing_log_is_a_gap),
                cmocka_unit_test(test_a_moment_that_is_not_known_yet_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
