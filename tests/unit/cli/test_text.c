
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/help.h"
#include "cli/output/color.h"
#include "cli/output/table.h"

static void check_wrap(const char *text, size_t indent, size_t width, const char *expected)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;

        text_wrap(&buffer, text, indent, indent, width);
        assert_string_equal(strbuf_text(&buffer), expected);
}

static void text_is_broken_at_spaces(void **state)
{
        check_wrap("one two three", 0, 80, "one two three");
        check_wrap("one two three", 0, 7, "one two\nthree");
        check_wrap("one two three", 2, 7, "one\n  two\n  three");
        check_wrap("a verylongwordindeed b", 0, 6, "a\nverylongwordindeed\nb");
        check_wrap("one\n\ntwo", 0, 80, "one\n\ntwo");
}

static void texts_are_shortened_by_columns_not_bytes(void **state)
{
        _cleanup_free_ char *same = text_shorten("naïve", 5), *cut = text_shorten("naïveté", 5),
                            *none = text_shorten("x", 0);

        assert_string_equal(same, "naïve");
        assert_string_equal(cut, "naïv…");
        assert_int_equal(text_width(cut), 5);
        assert_string_equal(none, "");
}

static char *printed(const Table *table)
{
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        table_print(table, stream);
        fclose(stream);
        return text;
}

static void tables_align_and_leave_no_trailing_spaces(void **state)
{
        _cleanup_(table_freep) Table *table = table_create("NAME", "STATE", "PORTS", NULL);
        _cleanup_free_ char *text = NULL;

        table_add_row(table, "demo-db-1", "running", "5432");
        table_add_row(table, "ü", "exited", NULL);
        text = printed(table);
        assert_string_equal(text, "NAME        STATE     PORTS\n"
                                  "demo-db-1   running   5432\n"
                                  "ü           exited\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(text_is_broken_at_spaces),
                cmocka_unit_test(texts_are_shortened_by_columns_not_bytes),
                cmocka_unit_test(tables_align_and_leave_no_trailing_spaces),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
