/* Which lines of postgresql.auto.conf are ours to take out of a stopped cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "base/mem.h"
#include "postgres/auto_conf.h"

static void check(const char *text, const char *wanted)
{
        _cleanup_strbuf_ Strbuf rest = STRBUF_INIT;

        assert_int_equal(auto_conf_drop_synchronous(text, &rest), !streq(text, wanted));
        assert_string_equal(strbuf_text(&rest), wanted);
}

static void test_lines(void **state)
{
        check("", "");
        check("# Do not edit\nsynchronous_standby_names = 'berth_d908bc'\nwork_mem = '8MB'\n",
              "# Do not edit\nwork_mem = '8MB'\n");
        check("work_mem = '8MB'\nsynchronous_standby_names='berth_1'",
              "work_mem = '8MB'\n"); /* no last line feed, no blanks */
        check("synchronous_standby_names = 'ANY 1 (elsewhere)'\n", "synchronous_standby_names = 'ANY 1 (elsewhere)'\n");
        check("synchronous_standby_names = 'other, berth_1'\n", "synchronous_standby_names = 'other, berth_1'\n");
        check("#synchronous_standby_names = 'berth_1'\n", "#synchronous_standby_names = 'berth_1'\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
