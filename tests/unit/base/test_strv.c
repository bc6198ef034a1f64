
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"

static void test_grow_remove_and_grow_again(void **state)
{
        _cleanup_strv_ char **strings = NULL;

        for (int i = 0; i < 100; i++)
                strv_addf(&strings, "%d", i % 10);
        assert_int_equal(strv_length(strings), 100);
        strv_remove(strings, "3");
        assert_int_equal(strv_length(strings), 90);
        for (int i = 0; i < 100; i++)
                strv_add(&strings, "x");
        assert_int_equal(strv_length(strings), 190);
        assert_string_equal(strings[0], "0");
        assert_string_equal(strings[189], "x");
}

static void test_environment(void **state)
{
        _cleanup_strv_ char **environment = strv_new("A=1", "AB=2", NULL);

        strv_env_set(&environment, "A", "3");
        strv_env_set(&environment, "C", "");
        assert_string_equal(strv_env_get(environment, "A"), "3");
        assert_string_equal(strv_env_get(environment, "C"), "");
        assert_null(strv_env_get(environment, "B"));
        assert_int_equal(strv_length(environment), 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grow_remove_and_grow_again),
                cmocka_unit_test(test_environment),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
