#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/logs_file.h"

#define T "2026-11-21T12:00:00.123456789+00:00 "

static int open_text(const char *text)
{
        char path[] = "/tmp/berth-log-XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        unlink(path);
        assert_true(fs_write_all(fd, text, strlen(text), NULL) >= 0);
        lseek(fd, 0, SEEK_SET);
        return fd;
}

static int add(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        strbuf_addf(context, "%d[%.*s]", stream, (int)length, text);
        return 0;
}

static char *read_all(const char *text, const LogQuery *query)
{
        Strbuf result = STRBUF_INIT;
        _cleanup_log_reader_ LogReader reader = { .query = query, .sink = add, .context = &result };
        _cleanup_close_ int fd = open_text(text);

        assert_true(log_reader_read(&reader, fd, NULL) >= 0);
        assert_true(log_reader_flush(&reader) >= 0);
        return strbuf_take(&result);
}

static const LogQuery everything = { .tail = -1, .cancel_fd = -1 };

static void test_lines(void **state)
{
        static const struct {
                const char *text, *expected;
        } cases[] = {
                { T "stdout F hello\n", "1[hello]" },
                { T "stderr F \n", "2[]" },
                { T "stdout F   indented \n", "1[  indented ]" },
                { T "stdout P initdb: \n" T "stdout F warning\n", "1[initdb: warning]" },
                { T "stdout P a\n" T "stderr F e\n" T "stdout F  b\n", "2[e]1[a b]" },
                { T "stdout P never ended", "" }, /* torn */
                { T "stdout P never ended\n", "1[never ended]" },
                { "rubbish\n" T "stdout F x\n", "1[x]" },
                { "2026 stdout F x\n\n" T "stdout F y\n", "1[y]" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *result = read_all(cases[i].text, &everything);
                assert_string_equal(result, cases[i].expected);
        }
}

static void test_times(void **state)
{
        int64_t ns;

        assert_true(log_time_parse("2026-11-21T12:00:00.123456789+00:00", 35, &ns));
        assert_true(ns == INT64_C(1795262400123456789));
        assert_true(log_time_parse("2026-11-21T14:00:00.5+02:00", 27, &ns));
        assert_true(ns == INT64_C(1795262400500000000));
        assert_true(log_time_parse("1970-01-01T00:00:00Z", 20, &ns));
        assert_true(ns == 0);
        assert_false(log_time_parse("2026-11-21", 10, &ns));
        assert_false(log_time_parse("2026-11-21T12:00:00", 19, &ns));
        assert_false(log_time_parse("hello this is not a time at all", 30, &ns));
}

static void test_since_and_until(void **state)
{
        const char *text = "2026-11-21T12:00:00.0Z stdout F a\n2026-11-21T12:00:01.0Z stdout F "
                           "b\n2026-11-21T12:00:02.0Z stdout F c\n";
        LogQuery query = { .tail = -1,
                           .since_ns = INT64_C(1795262401000000000),
                           .until_ns = INT64_C(1795262401000000000),
                           .cancel_fd = -1 };
        _cleanup_free_ char *result = read_all(text, &query);

        assert_string_equal(result, "1[b]");
}

static void test_tail(void **state)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_close_ int fd = -1;

        for (int i = 0; i < 10000; i++)
                strbuf_addf(&text, T "stdout P part \n" T "stdout F line %d\n", i);
        fd = open_text(text.data);
        for (int lines = 0; lines <= 9000; lines = lines * 3 + 1) {
                Strbuf result = STRBUF_INIT;
                LogReader reader = { .query = &everything, .sink = add, .context = &result };
                _cleanup_free_ char *first = xasprintf("1[part line %d]", 10000 - lines);
                int64_t found;
                off_t offset;
                assert_true(log_file_find_tail(fd, lines, &offset, &found, NULL) >= 0);
                assert_int_equal(found, lines);
                lseek(fd, offset, SEEK_SET);
                assert_true(log_reader_read(&reader, fd, NULL) >= 0);
                if (lines)
                        assert_ptr_equal(strstr(result.data, first), result.data);
                else
                        assert_int_equal(result.length, 0);
                log_reader_done(&reader);
                strbuf_done(&result);
        }
}

static void test_tail_of_a_short_file(void **state)
{
        _cleanup_close_ int fd = open_text(T "stdout F a\n" T "stdout F b\n"), empty = open_text("");
        int64_t found;
        off_t offset;

        assert_true(log_file_find_tail(fd, 5, &offset, &found, NULL) >= 0);
        assert_int_equal(found, 2);
        assert_int_equal(offset, 0);
        assert_true(log_file_find_tail(empty, 5, &offset, &found, NULL) >= 0);
        assert_int_equal(found, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_since_and_until),
                cmocka_unit_test(test_tail),
                cmocka_unit_test(test_tail_of_a_short_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
