/* What happens between commands: ends, restarts, health, and a keeper's own death. */
#include <fcntl.h>

#include "base/fs.h"
#include "world.h"

#define SERVICE(more) "{'db': {'image': 'postgres:16', 'networks': {'default': null}" more "}}"
#define CHECK         ", 'healthcheck': {'test': ['CMD', 'ready'], 'interval': '10s', 'timeout': '5s', 'retries': 3}"

static void up(World *world, const char *services)
{
        _cleanup_free_ char *params = up_params(services, "");
        Asked asked;

        world_ask(world, &asked, "up", params);
        if (asked.error)
                print_message("%s\n", asked.error->message);
        assert_non_null(asked.result);
        asked_done(&asked);
}

static Unit *the_unit(World *world)
{
        Unit *unit = watch_find_name(world->keeper, "demo-db-1");

        assert_non_null(unit);
        return unit;
}

static void test_restarts_with_growing_pauses(void **state)
{
        World *world = *state;

        up(world, SERVICE(", 'restart': 'always'"));
        fake_engine_exit(world->engine, "demo-db-1", 1);
        world_settle(world);
        assert_int_equal(journal_count(world, "start demo-db-1"), 1);
        world_pass(world, 100 * NSEC_PER_MSEC);
        assert_int_equal(journal_count(world, "start demo-db-1"), 2);
        assert_int_equal(the_unit(world)->restart_count, 1);
}

static void test_on_failure_gives_up(void **state)
{
        World *world = *state;

        fake_engine_exit(world->engine, "demo-db-1", 1); /* at once, every time */
        up(world, SERVICE(", 'restart': 'on-failure:3'"));
        world_pass(world, 3600 * NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-db-1"), 4);
        assert_int_equal(the_unit(world)->state, CONTAINER_EXITED);
        assert_false(the_unit(world)->restarting);
}

static void test_backoff_over_an_hour(void **state)
{
        World *world = *state;

        fake_engine_exit(world->engine, "demo-db-1", 1);
        up(world, SERVICE(", 'restart': 'always'"));
        world_pass(world, 3600 * NSEC_PER_SEC);
        /* 0.1 + 0.2 + … + 51.2 s make the first eleven; then one a minute. */
        assert_in_range(journal_count(world, "start demo-db-1"), 65, 72);
}

static void test_a_manual_stop_stays(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, SERVICE(", 'restart': 'always'"));
        world_ask(world, &asked, "stop", "{}");
        asked_done(&asked);
        world_pass(world, 3600 * NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-db-1"), 1);
        assert_false(watch_is_busy(world->keeper));
}

/* It had ended and was about to be restarted when the command came. */
static void test_down_and_stop_while_a_restart_is_due(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_exit(world->engine, "demo-db-1", 1);
        up(world, SERVICE(", 'restart': 'always'"));
        world_pass(world, 700 * NSEC_PER_MSEC);
        assert_true(the_unit(world)->restarting);
        world_ask(world, &asked, "stop", "{}");
        assert_non_null(asked.result);
        asked_done(&asked);
        world_pass(world, 3600 * NSEC_PER_SEC);
        assert_in_range(journal_count(world, "start demo-db-1"), 3, 4);
        world_replace_keeper(world, false); /* and the engine knows it, too */
        world_pass(world, 3600 * NSEC_PER_SEC);
        assert_in_range(journal_count(world, "start demo-db-1"), 3, 4);
        up(world, SERVICE(", 'restart': 'always'"));
        world_pass(world, 700 * NSEC_PER_MSEC);
        world_ask(world, &asked, "down", "{}");
        assert_non_null(asked.result);
        assert_int_equal(world->keeper->units.length, 0);
        asked_done(&asked);
}

static void test_health_over_time(void **state)
{
        World *world = *state;

        up(world, SERVICE(CHECK));
        world_pass(world, NSEC_PER_SEC);
        assert_string_equal(unit_health_name(the_unit(world)), "healthy");
        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        world_pass(world, 20 * NSEC_PER_SEC);
        assert_string_equal(unit_health_name(the_unit(world)), "healthy");
        world_pass(world, 11 * NSEC_PER_SEC);
        assert_string_equal(unit_health_name(the_unit(world)), "unhealthy");
        fake_engine_exec_result(world->engine, "demo-db-1", 0, "");
        world_pass(world, 10 * NSEC_PER_SEC);
        assert_string_equal(unit_health_name(the_unit(world)), "healthy");
}

static void test_a_new_keeper_touches_nothing(void **state)
{
        World *world = *state;
        size_t length;

        up(world, SERVICE(CHECK ", 'restart': 'always'"));
        world_pass(world, NSEC_PER_SEC);
        length = journal_length(world);
        world_replace_keeper(world, false);
        world_pass(world, 60 * NSEC_PER_SEC);
        assert_int_equal(journal_length(world), length);
        assert_string_equal(unit_health_name(the_unit(world)), "healthy");
        fake_engine_exit(world->engine, "demo-db-1", 1); /* and it watches */
        world_pass(world, NSEC_PER_SEC);
        assert_true(journal_count(world, "start demo-db-1") >= 2);
}

static void test_an_end_that_nobody_saw(void **state)
{
        World *world = *state;

        up(world, SERVICE(", 'restart': 'unless-stopped'"));
        keeper_free(world->keeper);
        world->keeper = NULL;
        fake_engine_exit(world->engine, "demo-db-1", 1);
        world_replace_keeper(world, false);
        world_pass(world, NSEC_PER_SEC);
        assert_true(journal_count(world, "start demo-db-1") >= 2);
}

static void test_boot(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, "{'a': {'image': 'x', 'networks': {'default': null}, 'restart': 'always'}, "
                  "'b': {'image': 'x', 'networks': {'default': null}, 'restart': 'unless-stopped'}, "
                  "'c': {'image': 'x', 'networks': {'default': null}}}");
        world_ask(world, &asked, "stop", "{}");
        asked_done(&asked);
        world_replace_keeper(world, true);
        world_pass(world, NSEC_PER_SEC);
        assert_int_equal(journal_count(world, "start demo-a-1"), 2);
        assert_int_equal(journal_count(world, "start demo-b-1"), 1);
        assert_int_equal(journal_count(world, "start demo-c-1"), 1);
}

static void test_a_corrupt_state_file(void **state)
{
        World *world = *state;
        _cleanup_free_ char *path = NULL;

        up(world, SERVICE(""));
        path = xstrdup(world->keeper->state.path);
        assert_int_equal(fs_write_file(AT_FDCWD, path, "{\"format\": 1, ", 14, 0600, NULL), 0);
        world_replace_keeper(world, false);
        assert_non_null(world->keeper->state.kept_aside);
        assert_true(fs_exists(world->keeper->state.kept_aside));
        assert_string_equal(world->keeper->state.working_dir, "/srv/demo");
        assert_true(fs_exists(path));
        assert_int_equal(the_unit(world)->state, CONTAINER_RUNNING);
}

static void test_it_ends_when_nothing_is_left(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, SERVICE(""));
        world_pass(world, 60 * NSEC_PER_SEC);
        assert_true(watch_is_busy(world->keeper));
        assert_null(world->keeper->idle_timer);
        world_ask(world, &asked, "down", "{}");
        asked_done(&asked);
        world_settle(world);
        assert_non_null(world->keeper->idle_timer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_restarts_with_growing_pauses),
                TEST(test_on_failure_gives_up),
                TEST(test_backoff_over_an_hour),
                TEST(test_a_manual_stop_stays),
                TEST(test_down_and_stop_while_a_restart_is_due),
                TEST(test_health_over_time),
                TEST(test_a_new_keeper_touches_nothing),
                TEST(test_an_end_that_nobody_saw),
                TEST(test_boot),
                TEST(test_a_corrupt_state_file),
                TEST(test_it_ends_when_nothing_is_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
