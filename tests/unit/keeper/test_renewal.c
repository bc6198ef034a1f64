/* Certificates that are renewed while their servers run: months in milliseconds. */
#include "world.h"

#define DAY_NS (24 * 3600 * NSEC_PER_SEC)
#define TLS_DB \
        "{'db': {'image': 'postgres:16', 'annotations': {'dev.berth.tls': '{}'}}, 'plain': {'image': 'postgres:16'}}"

static int asked_for;
static int64_t end_s, last_s;

/* As the real one does: due when less than thirty days are left. */
static int renew(const Layout *layout, const ContainerInfo *info, int64_t now_s, bool *ret_renewed, Error **err)
{
        assert_string_equal(info->name, "demo-db-1");
        asked_for++;
        last_s = now_s;
        *ret_renewed = end_s - now_s < 30 * 24 * 3600;
        if (*ret_renewed)
                end_s = now_s + 365 * 24 * 3600;
        return 0;
}

static int refuse(const Layout *layout, const ContainerInfo *info, int64_t now_s, bool *ret_renewed, Error **err)
{
        asked_for++;
        return error_set(err, ERROR_NOT_FOUND, "the authority's key is not there");
}

static void bring_up(World *world)
{
        _cleanup_free_ char *params = up_params(TLS_DB, "");
        Asked asked;

        world_ask(world, &asked, "up", params);
        assert_non_null(asked.result);
        asked_done(&asked);
}

static void test_a_year_passes_and_the_server_is_told_once(void **state)
{
        World *world = *state;

        asked_for = 0;
        world->keeper->parts.renew_certificate = renew;
        end_s = loop_realtime_ns(world->loop) / NSEC_PER_SEC + 365 * 24 * 3600;
        bring_up(world);
        world_pass(world, 334 * DAY_NS);
        assert_true(asked_for > 300);
        assert_int_equal(journal_count(world, "refresh demo-db-1"), 0);
        world_pass(world, 2 * DAY_NS);
        assert_int_equal(journal_count(world, "refresh demo-db-1"), 1);
        assert_int_equal(journal_count(world, "kill demo-db-1"), 1);
        assert_true(journal_find(world, "refresh demo-db-1") < journal_find(world, "kill demo-db-1"));
        world_pass(world, 30 * DAY_NS);
        assert_int_equal(journal_count(world, "refresh demo-db-1"), 1);
        assert_int_equal(journal_count(world, "refresh demo-plain-1"), 0);
}

static void test_a_failure_is_tried_again(void **state)
{
        World *world = *state;

        asked_for = 0;
        world->keeper->parts.renew_certificate = refuse;
        bring_up(world);
        world_pass(world, DAY_NS);
        assert_true(asked_for >= 3);
        assert_int_equal(journal_count(world, "refresh demo-db-1"), 0);
}

int main(void)
{
#define unit(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
        const struct CMUnitTest tests[] = {
                unit(test_a_year_passes_and_the_server_is_told_once),
                unit(test_a_failure_is_tried_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
