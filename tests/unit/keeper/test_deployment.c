/* up, down, run and what they refuse. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "world.h"

#define DB "'db': {'image': 'postgres:16', 'networks': {'default': null}}"
#define HEALTHY_DB                                                                                                 \
        "'db': {'image': 'postgres:16', 'networks': {'default': null}, 'healthcheck': {'test': ['CMD', 'ready'], " \
        "'interval': '10s', 'timeout': '5s', 'retries': 3}}"
#define API(condition)                                                                                          \
        "'api': {'image': 'api', 'networks': {'default': null}, 'depends_on': {'db': {'condition': '" condition \
        "', 'required': true}}}"

static void up(World *world, Asked *asked, const char *services, const char *more)
{
        _cleanup_free_ char *params = up_params(services, more);

        world_ask(world, asked, "up", params);
        if (asked->error)
                print_message("%s\n", asked->error->message);
}

static void test_up_and_up_again(void **state)
{
        World *world = *state;
        Asked asked;
        size_t length;

        up(world, &asked, "{" DB "}", "");
        assert_non_null(asked.result);
        assert_true(journal_find(world, "network_create demo_default") < journal_find(world, "create demo-db-1"));
        assert_true(journal_find(world, "create demo-db-1") < journal_find(world, "start demo-db-1"));
        assert_int_equal(watch_find_name(world->keeper, "demo-db-1")->state, CONTAINER_RUNNING);
        asked_done(&asked);
        length = journal_length(world);
        up(world, &asked, "{" DB "}", "");
        assert_int_equal(journal_length(world), length);
        asked_done(&asked);
}

static void test_api_waits_for_health(void **state)
{
        World *world = *state;
        _cleanup_free_ char *params = up_params("{" HEALTHY_DB ", " API("service_healthy") "}", "");
        Asked asked;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no response");
        world_begin(world, &asked, "up", params);
        world_pass(world, 5 * NSEC_PER_SEC);
        assert_false(asked.finished);
        assert_true(journal_find(world, "create demo-api-1") >= 0);
        assert_int_equal(journal_find(world, "start demo-api-1"), -1);
        fake_engine_exec_result(world->engine, "demo-db-1", 0, "accepting connections");
        world_pass(world, 5 * NSEC_PER_SEC);
        assert_true(asked.finished);
        assert_non_null(asked.result);
        assert_true(journal_find(world, "start demo-api-1") > journal_find(world, "start demo-db-1"));
        asked_done(&asked);
}

static void test_unhealthy_dependency(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        up(world, &asked, "{" HEALTHY_DB ", " API("service_healthy") "}", "");
        assert_string_equal(asked.error->message, "dependency failed to start: container demo-db-1 is unhealthy");
        assert_string_equal(asked.error->hint, "Its check said: no. \"berth logs db\" shows what the service said.");
        assert_int_equal(journal_find(world, "start demo-api-1"), -1);
        asked_done(&asked);
}

static void test_dependency_that_ends(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        fake_engine_exit(world->engine, "demo-db-1", 7);
        up(world, &asked, "{" HEALTHY_DB ", " API("service_healthy") "}", "");
        assert_string_equal(asked.error->message, "dependency failed to start: container demo-db-1 exited (7)");
        assert_string_equal(asked.error->hint, "\"berth logs db\" shows what it said.");
        asked_done(&asked);
}

static void test_dependency_without_a_check(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, &asked, "{" DB ", " API("service_healthy") "}", "");
        assert_string_equal(asked.error->message,
                            "dependency failed to start: container demo-db-1 has no healthcheck configured");
        asked_done(&asked);
}

static void test_completed(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_exit(world->engine, "demo-db-1", 3);
        up(world, &asked, "{" DB ", " API("service_completed_successfully") "}", "");
        assert_string_equal(asked.error->message, "service \"db\" didn't complete successfully: exit 3");
        assert_string_equal(asked.error->hint, "\"berth logs db\" shows what it said.");
        asked_done(&asked);
        fake_engine_exit(world->engine, "demo-db-1", 0);
        up(world, &asked, "{" DB ", " API("service_completed_successfully") "}", "");
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "start demo-api-1"), 1);
        asked_done(&asked);
}

static void test_optional_dependency(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, &asked,
           "{" DB ", 'api': {'image': 'api', 'networks': {'default': null}, 'depends_on': {'db': {'condition': "
           "'service_healthy', 'required': false}}}}",
           "");
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "start demo-api-1"), 1);
        asked_done(&asked);
}

static void test_wait_and_its_timeout(void **state)
{
        World *world = *state;
        int64_t before_ns = world->now_ns;
        Asked asked;

        up(world, &asked, "{" HEALTHY_DB "}", "'wait': true");
        assert_non_null(asked.result);
        assert_true(world->now_ns - before_ns < NSEC_PER_SEC); /* not a whole interval, as the reference */
        asked_done(&asked);
        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        up(world, &asked, "{" HEALTHY_DB "}", "'wait': true, 'wait_timeout_ms': 5000, 'force_recreate': true");
        assert_string_equal(asked.error->message, "application not healthy after 5s");
        asked_done(&asked);
}

static void test_cancel_while_waiting(void **state)
{
        World *world = *state;
        _cleanup_free_ char *params = up_params("{" HEALTHY_DB "}", "'wait': true");
        Asked asked;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        world_begin(world, &asked, "up", params);
        world_pass(world, NSEC_PER_SEC);
        request_cancel(asked.request);
        execution_poke(world->keeper);
        world_settle(world);
        assert_true(asked.finished);
        assert_int_equal(asked.error->kind, ERROR_CANCELLED);
        asked_done(&asked);
}

static void test_requests_queue(void **state)
{
        World *world = *state;
        _cleanup_free_ char *params = up_params("{" HEALTHY_DB "}", "'wait': true");
        Asked first, second;

        fake_engine_exec_result(world->engine, "demo-db-1", 1, "no");
        world_begin(world, &first, "up", params);
        world_begin(world, &second, "stop", "{}");
        world_pass(world, NSEC_PER_SEC);
        assert_false(second.finished);
        fake_engine_exec_result(world->engine, "demo-db-1", 0, "");
        world_pass(world, 10 * NSEC_PER_SEC);
        assert_true(first.finished && second.finished);
        assert_non_null(first.result);
        assert_int_equal(journal_count(world, "stop demo-db-1"), 1);
        asked_done(&first);
        asked_done(&second);
}

static void test_a_start_that_fails(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_fail(world->engine, "start", "demo-db-1", 1, ERROR_CONFLICT, "port 5432 is taken by sshd");
        up(world, &asked, "{" DB ", " API("service_started") "}", "");
        assert_int_equal(asked.error->kind, ERROR_CONFLICT);
        assert_non_null(strstr(asked.error->message, "port 5432 is taken by sshd"));
        assert_int_equal(journal_find(world, "start demo-api-1"), -1);
        asked_done(&asked);
        up(world, &asked, "{" DB ", " API("service_started") "}", ""); /* the next time all is well */
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "create demo-db-1"), 1);
        asked_done(&asked);
}

static void check_refused(World *world, const char *services, const char *more, ErrorKind kind, const char *word)
{
        size_t length = journal_length(world);
        Asked asked;

        up(world, &asked, services, more);
        assert_non_null(asked.error);
        assert_int_equal(asked.error->kind, kind);
        assert_non_null(strstr(asked.error->message, word));
        assert_int_equal(journal_length(world), length);
        asked_done(&asked);
}

static void test_nothing_changes_where_a_file_is_missing(void **state)
{
        World *world = *state;
        Asked asked;

        world_ask(
                world, &asked, "up",
                "{'working_dir': '/srv/demo', 'model': {'name': 'demo', 'services': {'db': {'image': 'x', 'secrets': [{"
                "'source': 'pw', 'target': '/run/secrets/pw'}]}}, 'secrets': {'pw': {'name': 'pw', 'file': "
                "'/nonexistent/pw'}}}}");
        assert_int_equal(asked.error->kind, ERROR_NOT_FOUND);
        assert_non_null(strstr(asked.error->message, "/nonexistent/pw"));
        assert_int_equal(journal_length(world), 0);
        assert_false(fs_exists(world->keeper->state.path));
        asked_done(&asked);
}

/* A container of another project, made behind the keeper's back. */
static void make_stranger(World *world, const char *name, uint16_t port)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = container_spec_create();
        _cleanup_free_ char *id = NULL;
        static char *argv[] = { (char *)"run", NULL };
        SpecPort ports[] = { { .host_port = port, .container_port = 1 } };

        spec->name = (char *)name;
        spec->project = (char *)"other";
        spec->service = (char *)"x";
        spec->image = spec->image_id = (char *)"x";
        spec->argv = argv;
        spec->ports = ports;
        spec->n_ports = 1;
        assert_int_equal(world->engine->operations->container_create(world->engine, spec, NULL, &id, NULL), 0);
        assert_int_equal(world->engine->operations->container_start(world->engine, id, NULL, NULL), 0);
}

static void test_names_and_ports_of_others(void **state)
{
        World *world = *state;

        make_stranger(world, "taken", 5432);
        check_refused(world, "{'db': {'image': 'x', 'container_name': 'taken', 'networks': {'default': null}}}", "",
                      ERROR_CONFLICT, "project \"other\"");
        check_refused(world,
                      "{'db': {'image': 'x', 'networks': {'default': null}, 'ports': [{'mode': 'ingress', 'target': 1, "
                      "'published': '5432', 'protocol': 'tcp'}]}}",
                      "", ERROR_CONFLICT, "taken");
}

static void test_images(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_forget_image(world->engine, "postgres:16");
        check_refused(world, "{" DB "}", "'pull': 'never'", ERROR_NOT_FOUND, "No such image: postgres:16");
        up(world, &asked, "{" DB "}", "");
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "pull postgres:16"), 1);
        asked_done(&asked);
        up(world, &asked, "{" DB "}", "'pull': 'always'");
        assert_int_equal(journal_count(world, "pull postgres:16"), 2);
        asked_done(&asked);
}

static void test_another_folder(void **state)
{
        World *world = *state;
        Asked asked;
        const char *params =
                "{'working_dir': '/srv/second', %s 'model': {'name': 'demo', 'services': {'db': {'image': 'x'}}}}";
        _cleanup_free_ char *without = NULL, *with = NULL;

        up(world, &asked, "{" DB "}", "");
        asked_done(&asked);
        without = xasprintf("%.*s%s", (int)(strstr(params, "%s") - params), params, strstr(params, "%s") + 2);
        world_ask(world, &asked, "up", without);
        assert_int_equal(asked.error->kind, ERROR_CONFLICT);
        assert_non_null(strstr(asked.error->message, "/srv/demo"));
        assert_non_null(strstr(asked.error->message, "/srv/second"));
        asked_done(&asked);
        with = xasprintf("%.*s'name_given': true,%s", (int)(strstr(params, "%s") - params), params,
                         strstr(params, "%s") + 2);
        world_ask(world, &asked, "up", with);
        assert_null(asked.error);
        asked_done(&asked);
}

static void test_dry_run_changes_nothing(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, &asked, "{" DB "}", "'dry_run': true");
        assert_int_equal(json_array_size(json_object_get(asked.result, "plan")), 3);
        assert_int_equal(journal_length(world), 0);
        assert_false(fs_exists(world->keeper->state.path));
        asked_done(&asked);
}

static void test_dry_run_without_the_image(void **state)
{
        World *world = *state;
        Asked asked;

        fake_engine_forget_image(world->engine, "postgres:16");
        up(world, &asked, "{" DB "}", "'dry_run': true");
        assert_string_equal(
                json_string_value(json_object_get(json_array_get(json_object_get(asked.result, "plan"), 0), "action")),
                "pull");
        assert_int_equal(journal_length(world), 0);
        asked_done(&asked);
}

static void test_recreate_keeps_the_old_one_first(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, &asked, "{" DB "}", "");
        asked_done(&asked);
        up(world, &asked, "{'db': {'image': 'postgres:16', 'networks': {'default': null}, 'environment': {'A': '1'}}}",
           "");
        assert_non_null(asked.result);
        assert_int_equal(journal_count(world, "create demo-db-1"), 2);
        assert_int_equal(world->keeper->units.length, 1);
        assert_non_null(watch_find_name(world->keeper, "demo-db-1"));
        asked_done(&asked);
}

static void test_down(void **state)
{
        World *world = *state;
        Asked asked;

        up(world, &asked, "{" HEALTHY_DB ", " API("service_healthy") "}", "");
        asked_done(&asked);
        world_ask(world, &asked, "down", "{}");
        assert_non_null(asked.result);
        assert_true(journal_find(world, "stop demo-api-1") >= 0);
        assert_true(journal_find(world, "stop demo-api-1") < journal_find(world, "stop demo-db-1"));
        assert_true(journal_find(world, "remove demo-api-1") < journal_find(world, "stop demo-db-1"));
        assert_int_equal(world->keeper->units.length, 0);
        assert_false(fs_exists(world->keeper->state.path));
        asked_done(&asked);
}

static void test_run_removes_its_container(void **state)
{
        World *world = *state;
        _cleanup_free_ char *params = up_params("{" HEALTHY_DB ", " API("service_healthy") "}",
                                                "'service': 'api', 'command': ['psql'], 'rm': true, 'name': 'once'");
        _cleanup_free_ char *start = NULL;
        Asked asked;

        world_ask(world, &asked, "run", params);
        if (asked.error)
                print_message("%s\n", asked.error->message);
        assert_non_null(asked.result);
        assert_true(journal_find(world, "create once") > journal_find(world, "start demo-db-1"));
        assert_int_equal(journal_find(world, "create demo-api-1"), -1);
        assert_int_equal(journal_find(world, "start once"), -1);
        start = xasprintf("{'id': '%s'}", json_string_value(json_object_get(asked.result, "id")));
        asked_done(&asked);
        world_ask(world, &asked, "start_oneoff", start);
        assert_non_null(asked.result);
        asked_done(&asked);
        fake_engine_exit(world->engine, "once", 0);
        world_settle(world);
        assert_int_equal(journal_count(world, "remove once"), 1);
}

static void test_unknown_service(void **state)
{
        World *world = *state;

        check_refused(world, "{" DB "}", "'services': ['nope']", ERROR_NOT_FOUND, "no such service: nope");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_up_and_up_again),
                TEST(test_api_waits_for_health),
                TEST(test_unhealthy_dependency),
                TEST(test_dependency_that_ends),
                TEST(test_dependency_without_a_check),
                TEST(test_completed),
                TEST(test_optional_dependency),
                TEST(test_wait_and_its_timeout),
                TEST(test_cancel_while_waiting),
                TEST(test_requests_queue),
                TEST(test_a_start_that_fails),
                TEST(test_nothing_changes_where_a_file_is_missing),
                TEST(test_names_and_ports_of_others),
                TEST(test_images),
                TEST(test_another_folder),
                TEST(test_dry_run_changes_nothing),
                TEST(test_dry_run_without_the_image),
                TEST(test_recreate_keeps_the_old_one_first),
                TEST(test_down),
                TEST(test_run_removes_its_container),
                TEST(test_unknown_service),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
