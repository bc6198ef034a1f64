
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/shell_words.h"

static void check(const char *text, const char *joined)
{
        _cleanup_strv_ char **words = NULL;
        _cleanup_free_ char *result = NULL;

        assert_true(shell_words_split(text, &words));
        result = words ? strv_join(words, "|") : xstrdup("(none)");
        assert_string_equal(result, joined);
}

static void words_are_split_like_a_shell(void **state)
{
        check("a b  c", "a|b|c");
        check("  ", "(none)");
        check("sh -c 'echo \"hi\" there'", "sh|-c|echo \"hi\" there");
        check("a \"b c\\\"d\" e\\ f", "a|b c\"d|e f");
        check("'' x", "|x");
        check("ab'cd'\"ef\"", "abcdef");
        check("\"a\\nb\"", "a\\nb"); /* only \" \\ \$ \` are escapes there */
}

static void an_open_quote_is_refused(void **state)
{
        char **words = NULL;

        assert_false(shell_words_split("sh -c 'oops", &words));
        assert_null(words);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_are_split_like_a_shell),
                cmocka_unit_test(an_open_quote_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
