
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "deploy/health.h"

#define S     NSEC_PER_SEC
#define START (1000 * S)

static const char *const test_words[] = { "CMD-SHELL", "pg_isready", NULL };

static HealthConfig config_of(int64_t interval_ns, int64_t start_period_ns)
{
        return (HealthConfig){ .test = (char **)test_words,
                               .interval_ns = interval_ns,
                               .timeout_ns = 5 * S,
                               .start_period_ns = start_period_ns,
                               .start_interval_ns = 5 * S,
                               .retries = 3 };
}

static void test_the_first_probe_is_at_once(void **state)
{
        HealthConfig config = config_of(10 * S, 0);
        Health health;

        health_start(&health, &config, START);
        assert_int_equal(health.next_ns, START);
        assert_true(health_probed(&health, true, START, START + 1));
        assert_int_equal(health.status, HEALTH_HEALTHY);
        assert_int_equal(health.next_ns, START + 1 + 10 * S);
}

static void test_early_probes_come_soon_and_do_not_count(void **state)
{
        HealthConfig config = config_of(10 * S, 0);
        int64_t now_ns = START, last_pause_ns = 0;
        Health health;
        int probes = 0;

        health_start(&health, &config, START);
        while (health.next_ns < START + 10 * S) {
                now_ns = health.next_ns;
                assert_false(health_probed(&health, false, now_ns, now_ns));
                assert_int_equal(health.failures, 0);
                assert_true(health.next_ns - now_ns >= 10 * NSEC_PER_MSEC);
                assert_true(health.next_ns - now_ns >= last_pause_ns);
                assert_true(health.next_ns - now_ns <= 10 * S);
                last_pause_ns = health.next_ns - now_ns;
                probes++;
        }
        assert_in_range(probes, 5, 40);
        while (health.status == HEALTH_STARTING) {
                now_ns = health.next_ns;
                health_probed(&health, false, now_ns, now_ns);
        }
        /* The reference fails at 10, 20 and 30 s. */
        assert_int_equal(health.status, HEALTH_UNHEALTHY);
        assert_in_range(now_ns, START + 30 * S, START + 41 * S);
}

/* A slow first start with a short interval: the many early probes are no reason to give up before the reference would. */
static void test_no_earlier_than_the_reference(void **state)
{
        HealthConfig config = config_of(2 * S, 0);
        int64_t now_ns = START;
        Health health;

        health_start(&health, &config, START);
        for (; health.status == HEALTH_STARTING; now_ns = health.next_ns)
                health_probed(&health, false, health.next_ns, health.next_ns);
        assert_true(now_ns >= START + 6 * S);
}

static void test_start_period_excuses_failures(void **state)
{
        HealthConfig config = config_of(2 * S, 60 * S);
        Health health;

        health_start(&health, &config, START);
        for (int64_t now_ns = START; now_ns < START + 60 * S; now_ns = health.next_ns) {
                assert_false(health_probed(&health, false, now_ns, now_ns));
                assert_true(health.next_ns - now_ns <= 5 * S);
        }
        assert_int_equal(health.failures, 0);
        while (health.status == HEALTH_STARTING)
                health_probed(&health, false, health.next_ns, health.next_ns);
        assert_in_range(health.next_ns, START + 64 * S, START + 80 * S);
}

static void test_a_success_ends_the_excuse(void **state)
{
        HealthConfig config = config_of(2 * S, 60 * S);
        Health health;

        health_start(&health, &config, START);
        assert_true(health_probed(&health, true, START, START));
        for (int i = 0; i < 3; i++)
                health_probed(&health, false, health.next_ns, health.next_ns);
        assert_int_equal(health.status, HEALTH_UNHEALTHY);
        assert_true(health_probed(&health, true, health.next_ns, health.next_ns));
        assert_int_equal(health.status, HEALTH_HEALTHY);
        assert_int_equal(health.failures, 0);
}

static void test_failures_must_be_in_a_row(void **state)
{
        HealthConfig config = config_of(1 * S, 0);
        Health health;

        health_take_over(&health, &config, HEALTH_HEALTHY, START, START + 100 * S);
        assert_int_equal(health.next_ns, START + 101 * S);
        for (int i = 0; i < 10; i++) {
                health_probed(&health, false, health.next_ns, health.next_ns);
                health_probed(&health, false, health.next_ns, health.next_ns);
                health_probed(&health, true, health.next_ns, health.next_ns);
                assert_int_equal(health.status, HEALTH_HEALTHY);
        }
}

static void test_merge_with_the_image(void **state)
{
        Healthcheck service = { NULL, false, 5 * S, -1, -1, -1, -1 };
        ImageHealthcheck image = { (char **)test_words, 7 * S, 8 * S, 0, 0, 9 };
        _cleanup_free_ char *json = health_merge(&service, &image), *of_image = health_merge(NULL, &image);
        _cleanup_(health_config_freep) HealthConfig *config = health_config_from_json(json);
        _cleanup_(health_config_freep) HealthConfig *image_config = health_config_from_json(of_image);

        assert_string_equal(config->test[1], "pg_isready");
        assert_int_equal(config->interval_ns, 5 * S);
        assert_int_equal(config->timeout_ns, 8 * S);
        assert_int_equal(config->retries, 9);
        assert_int_equal(config->start_interval_ns, 5 * S);
        assert_int_equal(image_config->interval_ns, 7 * S);
        service.disable = true;
        assert_null(health_merge(&service, &image));
        assert_null(health_merge(NULL, NULL));
        assert_null(health_config_from_json("{\"Test\":[\"NONE\"]}"));
        assert_null(health_config_from_json(NULL));
        assert_null(health_config_from_json("rubbish"));
}

static void test_defaults(void **state)
{
        _cleanup_(health_config_freep) HealthConfig *config = health_config_from_json("{\"Test\":[\"CMD\",\"true\"]}");

        assert_int_equal(config->interval_ns, 30 * S);
        assert_int_equal(config->timeout_ns, 30 * S);
        assert_int_equal(config->start_period_ns, 0);
        assert_int_equal(config->start_interval_ns, 5 * S);
        assert_int_equal(config->retries, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_probe_is_at_once),
                cmocka_unit_test(test_early_probes_come_soon_and_do_not_count),
                cmocka_unit_test(test_no_earlier_than_the_reference),
                cmocka_unit_test(test_start_period_excuses_failures),
                cmocka_unit_test(test_a_success_ends_the_excuse),
                cmocka_unit_test(test_failures_must_be_in_a_row),
                cmocka_unit_test(test_merge_with_the_image),
                cmocka_unit_test(test_defaults),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
