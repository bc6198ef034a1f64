
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"

static void test_empty_buffer_reads_as_empty_text(void **state)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        _cleanup_free_ char *taken = NULL;

        assert_string_equal(strbuf_text(&buffer), "");
        taken = strbuf_take(&buffer);
        assert_non_null(taken);
        assert_string_equal(taken, "");
}

static void test_grow_format_and_consume(void **state)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;

        for (int i = 0; i < 1000; i++)
                strbuf_addf(&buffer, "%d,", i);
        assert_int_equal(buffer.length, 10 * 2 + 90 * 3 + 900 * 4);
        assert_int_equal(strlen(strbuf_text(&buffer)), buffer.length);
        strbuf_consume(&buffer, 2);
        assert_memory_equal(strbuf_text(&buffer), "1,2,3,", 6);
        strbuf_consume(&buffer, buffer.length);
        assert_int_equal(buffer.length, 0);
        assert_string_equal(strbuf_text(&buffer), "");
        strbuf_addc(&buffer, 'x');
        assert_string_equal(strbuf_text(&buffer), "x");
}

static void test_nul_bytes_are_kept(void **state)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;

        strbuf_add(&buffer, "a\0b", 3);
        strbuf_adds(&buffer, "c");
        assert_int_equal(buffer.length, 4);
        assert_memory_equal(buffer.data, "a\0bc", 5);
        strbuf_truncate(&buffer, 1);
        assert_string_equal(strbuf_text(&buffer), "a");
}

static void test_erase_leaves_nothing_behind(void **state)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        static const char zero[6] = { 0 };

        strbuf_adds(&buffer, "secret");
        strbuf_erase(&buffer);
        assert_int_equal(buffer.length, 0);
        if (buffer.capacity >= 6)
                assert_memory_equal(buffer.data, zero, 6);
}

static void test_take_leaves_a_usable_buffer(void **state)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        _cleanup_free_ char *first = NULL;

        strbuf_adds(&buffer, "one");
        first = strbuf_take(&buffer);
        strbuf_adds(&buffer, "two");
        assert_string_equal(first, "one");
        assert_string_equal(strbuf_text(&buffer), "two");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty_buffer_reads_as_empty_text),
                cmocka_unit_test(test_grow_format_and_consume),
                cmocka_unit_test(test_nul_bytes_are_kept),
                cmocka_unit_test(test_erase_leaves_nothing_behind),
                cmocka_unit_test(test_take_leaves_a_usable_buffer),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
