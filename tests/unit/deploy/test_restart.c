
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "deploy/restart.h"

static RestartPolicy policy_of(const char *text)
{
        RestartPolicy policy;

        assert_true(restart_policy_from_text(text, &policy));
        return policy;
}

static void test_who_restarts(void **state)
{
        static const struct {
                const char *policy;
                int exit_code;
                bool manual, expected;
        } table[] = {
                { "no", 0, false, false },
                { "no", 1, false, false },
                { "always", 0, false, true },
                { "always", 1, false, true },
                { "always", 1, true, false },
                { "unless-stopped", 0, false, true },
                { "unless-stopped", 137, true, false },
                { "on-failure", 0, false, false },
                { "on-failure", 1, false, true },
                { "on-failure", 1, true, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                RestartPolicy policy = policy_of(table[i].policy);
                RestartEnd end = { .exit_code = table[i].exit_code, .manual = table[i].manual };
                assert_int_equal(restart_decide(&policy, &end).restart, table[i].expected);
        }
}

static void test_pauses_double_up_to_a_minute(void **state)
{
        RestartPolicy policy = policy_of("always");
        RestartEnd end = { .exit_code = 1 };
        int64_t expected_ns = 100 * NSEC_PER_MSEC;

        for (int i = 0; i < 20; i++) {
                RestartVerdict verdict = restart_decide(&policy, &end);
                assert_int_equal(verdict.delay_ns, expected_ns);
                assert_int_equal(verdict.attempts, i + 1);
                end.attempts = verdict.attempts;
                expected_ns = MIN(2 * expected_ns, 60 * NSEC_PER_SEC);
        }
}

static void test_a_steady_run_forgets(void **state)
{
        RestartPolicy policy = policy_of("on-failure:3");
        RestartEnd end = { .exit_code = 1, .attempts = 3, .uptime_ns = 9 * NSEC_PER_SEC };

        assert_false(restart_decide(&policy, &end).restart);
        end.uptime_ns = 10 * NSEC_PER_SEC;
        assert_true(restart_decide(&policy, &end).restart);
        assert_int_equal(restart_decide(&policy, &end).attempts, 1);
        assert_int_equal(restart_decide(&policy, &end).delay_ns, 100 * NSEC_PER_MSEC);
}

static void test_a_given_delay_and_window(void **state)
{
        RestartPolicy policy = { RESTART_ON_FAILURE, 2, 5 * NSEC_PER_SEC, 120 * NSEC_PER_SEC };
        RestartEnd end = { .exit_code = 1, .attempts = 1, .uptime_ns = 60 * NSEC_PER_SEC };
        RestartVerdict verdict = restart_decide(&policy, &end);

        assert_true(verdict.restart);
        assert_int_equal(verdict.delay_ns, 5 * NSEC_PER_SEC);
        end.attempts = verdict.attempts;
        assert_false(restart_decide(&policy, &end).restart);
}

static void test_due(void **state)
{
        assert_true(restart_is_due("always", 0, false, 100));
        assert_true(restart_is_due("on-failure:3", 1, false, 2));
        assert_false(restart_is_due("on-failure:3", 1, false, 3));
        assert_false(restart_is_due("on-failure", 0, false, 0));
        assert_false(restart_is_due("always", 1, true, 0));
        assert_false(restart_is_due(NULL, 1, false, 0));
}

static void test_boot(void **state)
{
        RestartPolicy always = policy_of("always"), unless = policy_of("unless-stopped"),
                      failure = policy_of("on-failure");
        RestartPolicy no = policy_of("no");

        assert_true(restart_at_boot(&always, true, 0, false));
        assert_false(restart_at_boot(&unless, true, 0, false));
        assert_true(restart_at_boot(&unless, false, 0, true));
        assert_true(restart_at_boot(&failure, false, 0, true));
        assert_false(restart_at_boot(&failure, false, 0, false));
        assert_false(restart_at_boot(&no, false, 1, true));
}

static void test_text(void **state)
{
        static const char *const texts[] = { "no", "always", "unless-stopped", "on-failure", "on-failure:5" };
        RestartPolicy policy;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_free_ char *text = NULL;
                policy = policy_of(texts[i]);
                text = restart_policy_to_text(&policy);
                assert_string_equal(text, texts[i]);
        }
        assert_false(restart_policy_from_text("sometimes", &policy));
        assert_false(restart_policy_from_text("on-failure:x", &policy));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_restarts),
                cmocka_unit_test(test_pauses_double_up_to_a_minute),
                cmocka_unit_test(test_a_steady_run_forgets),
                cmocka_unit_test(test_a_given_delay_and_window),
                cmocka_unit_test(test_due),
                cmocka_unit_test(test_boot),
                cmocka_unit_test(test_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
