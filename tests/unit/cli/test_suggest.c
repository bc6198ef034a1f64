
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/suggest.h"

static void distances_count_single_changes(void **state)
{
        assert_int_equal(edit_distance("up", "up", 3), 0);
        assert_int_equal(edit_distance("lgos", "logs", 3), 1); /* swapped */
        assert_int_equal(edit_distance("log", "logs", 3), 1);
        assert_int_equal(edit_distance("stoop", "stop", 3), 1);
        assert_int_equal(edit_distance("kitten", "sitting", 3), 3);
        assert_int_equal(edit_distance("abcdef", "uvwxyz", 3), 4); /* capped */
        assert_int_equal(edit_distance("", "abc", 3), 3);
}

static const char *nearest(const char *word)
{
        static const char *const known[] = { "up", "down", "start", "stop", "restart", "ps", "logs", "postgres" };
        Suggestion suggestion = { .word = word };

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                suggestion_consider(&suggestion, known[i]);
        return suggestion.best;
}

static void the_nearest_is_suggested(void **state)
{
        assert_string_equal(nearest("dwon"), "down");
        assert_string_equal(nearest("pss"), "ps");
        assert_string_equal(nearest("restrat"), "restart");
        assert_string_equal(nearest("postgrse"), "postgres");
        assert_string_equal(nearest("rest"), "restart"); /* a beginning */
}

static void nothing_is_suggested_for_something_else(void **state)
{
        assert_null(nearest("xyzzy"));
        assert_null(nearest("q"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(distances_count_single_changes),
                cmocka_unit_test(the_nearest_is_suggested),
                cmocka_unit_test(nothing_is_suggested_for_something_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
