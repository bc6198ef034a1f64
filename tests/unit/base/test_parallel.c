#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "base/parallel.h"

enum { MANY = 1000 };

static void count_step(void *context, size_t i)
{
        unsigned *calls = context;

        __atomic_fetch_add(&calls[i], 1, __ATOMIC_RELAXED);
}

static void every_step_is_done_once(void **state)
{
        static const size_t most[] = { 0, 1, 3, 500 };

        for (size_t round = 0; round < ARRAY_SIZE(most); round++) {
                unsigned calls[MANY] = { 0 };

                parallel_run(MANY, most[round], count_step, calls);
                for (size_t i = 0; i < MANY; i++)
                        assert_int_equal(calls[i], 1);
        }
}

static void nothing_to_do_calls_nothing(void **state)
{
        parallel_run(0, 4, count_step, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_step_is_done_once),
                cmocka_unit_test(nothing_to_do_calls_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
