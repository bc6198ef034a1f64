/* A machine that goes down, and one that comes up. */
#include "world.h"

#define TWO                                                                                                   \
        "{'db': {'image': 'x', 'networks': {'default': null}, 'restart': 'unless-stopped'" CHECK "}, "        \
        "'app': {'image': 'x', 'networks': {'default': null}, 'restart': 'on-failure', 'depends_on': {'db': " \
        "{'condition': 'service_healthy', 'required': true}}}, "                                              \
        "'job': {'image': 'x', 'networks': {'default': null}}}"
#define CHECK ", 'healthcheck': {'test': ['CMD', 'ready'], 'interval': '10s', 'timeout': '5s', 'retries': 1000}"

static void ask(World *world, const char *method, const char *params)
{
        Asked asked;

        world_ask(world, &asked, method, params);
        if (asked.error)
                print_message("%s\n", asked.error->message);
        assert_non_null(asked.result);
        asked_done(&asked);
}

static void up(World *world, const char *services)
{
        _cleanup_free_ char *params = up_params(services, "");

        ask(world, "up", params);
}

static int starts(World *world)
{
        return journal_count(world, "start demo-db-1") + journal_count(world, "start demo-app-1") +
               journal_count(world, "start demo-job-1");
}

static void test_halt_stops_dependents_first(void **state)
{
        World *world = *state;

        up(world, TWO);
        ask(world, "halt", "{}");
        assert_true(journal_find(world, "stop demo-app-1") >= 0);
        assert_true(journal_find(world, "stop demo-app-1") < journal_find(world, "stop demo-db-1"));
        assert_true(journal_find(world, "stop demo-job-1") >= 0);
        assert_false(watch_is_busy(world->keeper));
}

static void test_what_was_halted_rests_until_the_boot(void **state)
{
        World *world = *state;

        up(world, TWO);
        ask(world, "halt", "{}");
        world_pass(world, 3600 * NSEC_PER_SEC);
        world_replace_keeper(world, false); /* conmon revives one at each end */
        world_pass(world, 3600 * NSEC_PER_SEC);
        assert_int_equal(starts(world), 3);
        world_replace_keeper(world, true);
        world_pass(world, NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-db-1"), 2);
        assert_int_equal(journal_count(world, "start demo-app-1"), 2); /* it ended with 0, but not by itself */
        assert_int_equal(journal_count(world, "start demo-job-1"), 1);
}

static void test_what_was_halted_can_be_started(void **state)
{
        World *world = *state;

        up(world, TWO);
        ask(world, "halt", "{}");
        up(world, TWO); /* the machine did not go down after all */
        assert_int_equal(starts(world), 6);
        fake_engine_exit(world->engine, "demo-db-1", 1);
        world_pass(world, NSEC_PER_SEC);
        assert_true(journal_count(world, "start demo-db-1") >= 3);
}

static void test_halt_waits_for_nothing_that_begins(void **state)
{
        World *world = *state;
        _cleanup_free_ char *params = up_params(TWO, "'wait': true");
        Asked waiting, queued;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "never");
        world_begin(world, &waiting, "up", params);
        world_begin(world, &queued, "start", "{}");
        assert_false(waiting.finished);
        ask(world, "halt", "{}");
        assert_int_equal(waiting.error->kind, ERROR_CANCELLED);
        assert_int_equal(queued.error->kind, ERROR_UNAVAILABLE);
        assert_true(journal_find(world, "stop demo-db-1") >= 0);
        assert_int_equal(journal_count(world, "start demo-app-1"), 0);
        asked_done(&waiting);
        asked_done(&queued);
}

static void test_halt_goes_on_after_a_failure(void **state)
{
        World *world = *state;

        up(world, TWO);
        fake_engine_fail(world->engine, "stop", "demo-app-1", 1, ERROR_IO, "it does not want to");
        ask(world, "halt", "{}");
        assert_true(journal_find(world, "stop demo-db-1") >= 0);
}

static void reboot(World *world)
{
        ask(world, "halt", "{}");
        world_replace_keeper(world, true);
        world_pass(world, NSEC_PER_SEC);
}

static void test_boot_goes_on_after_a_failure(void **state)
{
        World *world = *state;

        up(world, TWO);
        fake_engine_fail(world->engine, "start", "demo-db-1", 1, ERROR_CONFLICT, "its port is taken");
        reboot(world);
        assert_int_equal(journal_count(world, "start demo-app-1"), 2);
}

static void test_boot_waits_for_dependencies_for_a_while(void **state)
{
        World *world = *state;

        up(world, TWO);
        fake_engine_exec_result(world->engine, "demo-db-1", 1, "not yet");
        reboot(world);
        assert_int_equal(journal_count(world, "start demo-db-1"), 2);
        world_pass(world, 280 * NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-app-1"), 1);
        world_pass(world, 30 * NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-app-1"), 2);
}

static void test_a_command_does_not_wait_for_a_boot(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, TWO);
        fake_engine_exec_result(world->engine, "demo-db-1", 1, "not yet");
        reboot(world);
        world_begin(world, &asked, "stop", "{'services': ['db']}");
        assert_true(asked.finished);
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "start demo-app-1"), 2);
        asked_done(&asked);
}

static void test_boot_leaves_dependencies_that_rest_alone(void **state)
{
        World *world = *state;

        up(world, TWO);
        ask(world, "stop", "{'services': ['db']}");
        reboot(world);
        assert_int_equal(journal_count(world, "start demo-db-1"), 1);
        assert_int_equal(journal_count(world, "start demo-app-1"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_halt_stops_dependents_first),
                TEST(test_what_was_halted_rests_until_the_boot),
                TEST(test_what_was_halted_can_be_started),
                TEST(test_halt_waits_for_nothing_that_begins),
                TEST(test_halt_goes_on_after_a_failure),
                TEST(test_boot_goes_on_after_a_failure),
                TEST(test_boot_waits_for_dependencies_for_a_while),
                TEST(test_a_command_does_not_wait_for_a_boot),
                TEST(test_boot_leaves_dependencies_that_rest_alone),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
