
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keeper/readiness.h"

#define FILE_OF(pid, address, status)                                                          \
        pid "\n/var/lib/postgresql/data\n1760000000\n5432\n/var/run/postgresql\n" address "\n" \
            "  5432001         0\n" status "\n"

static void test_states(void **state)
{
        assert_true(readiness_in_text(FILE_OF("1", "*", "ready   ")));
        assert_true(readiness_in_text(FILE_OF("1", "", "ready   ")));        /* listen_addresses = '' */
        assert_true(readiness_in_text(FILE_OF("7", "0.0.0.0", "ready   "))); /* behind an init */
        assert_false(readiness_in_text(FILE_OF("1", "*", "starting")));
        assert_false(readiness_in_text(FILE_OF("1", "*", "stopping")));
        assert_false(readiness_in_text(FILE_OF("48", "", "ready   "))); /* of an entrypoint that initialises */
        assert_false(readiness_in_text("1\n/var/lib/postgresql/data\n"));
        assert_false(readiness_in_text(""));
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_states) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
