
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "models.h"

static void test_all_is_new(void **state)
{
        Model model;
        Plan *plan;
        size_t create, start;

        model_init(&model);
        model_add(&model, "db");
        plan = model_plan(&model, plan_up);
        create = find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1");
        start = find_action(plan, PLAN_CONTAINER_START, "demo-db-1");
        assert_true(comes_after(plan, create, find_action(plan, PLAN_NETWORK_CREATE, "demo_default")));
        assert_true(comes_after(plan, start, create));
        assert_int_equal(plan->actions.items[start].creator, create);
        assert_int_equal(find_action(plan, PLAN_VOLUME_CREATE, "demo_data"), PLAN_NONE); /* nobody uses it */
        plan_free(plan);
        model_done(&model);
}

static void test_nothing_to_do(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1);
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 0);
        assert_string_equal(plan->containers[0], "demo-db-1");
        plan_free(plan);
        model_done(&model);
}

static void test_stopped_is_started(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1)->state = CONTAINER_EXITED;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 1);
        assert_string_equal(plan->actions.items[0].id, "id-db-1");
        plan_free(plan);
        model.options.no_start = true;
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 0);
        plan_free(plan);
        model_done(&model);
}

/* Migrations of a database: after it is healthy, before what depends on it starts; every time; never of what is no database. */
static void test_migrations_stand_between(void **state)
{
        static char *client[] = { (char *)"sleep", (char *)"1", NULL };
        Model model;
        Plan *plan;
        Service *app;
        size_t migrate;

        model_init(&model);
        model_add(&model, "db");
        app = model_add(&model, "app");
        app->command = client;
        app->has_command = app->has_entrypoint = true;
        model_depend(&model, app, "db", DEPENDENCY_STARTED);
        model.plan_services[0].migrate = model.plan_services[1].migrate = true;
        plan = model_plan(&model, plan_up);
        migrate = find_action(plan, PLAN_MIGRATE, "db");
        assert_int_equal(find_action(plan, PLAN_MIGRATE, "app"), PLAN_NONE);
        assert_true(comes_after(plan, migrate, find_action(plan, PLAN_WAIT, "db")));
        assert_true(comes_after(plan, migrate, find_action(plan, PLAN_CONTAINER_START, "demo-db-1")));
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-app-1"), migrate));
        plan_free(plan);
        model_find(&model, &model.services[0], 1);
        model_find(&model, &model.services[1], 1);
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_MIGRATE, "db"), PLAN_NONE);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_START, "demo-app-1"), PLAN_NONE);
        plan_free(plan);
        model.options.no_start = true;
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 0);
        plan_free(plan);
        model_done(&model);
}

/* A keeper died while it stopped a container, which still runs but may end at any moment. */
static void test_a_stop_that_was_begun_is_finished(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1)->manually_stopped = true;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1")));
        plan_free(plan);
        plan = model_plan(&model, plan_start);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1")));
        plan_free(plan);
        model_done(&model);
}

/* Berth mounted something for itself when it made the container. */
static void test_mounts_of_our_own_are_no_reason(void **state)
{
        SpecMount own = { .kind = SPEC_MOUNT_BIND, .source = (char *)"/x", .target = (char *)"/run/berth/templates" };
        Model model;
        ContainerSpec *spec;
        Plan *plan;

        model_init(&model);
        spec = model_find(&model, model_add(&model, "db"), 1)->spec;
        spec->mounts = &own;
        spec->n_mounts = 1;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 0);
        plan_free(plan);
        own.target = (char *)"/data";
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model_done(&model);
}

static const char *recreate_reason_of(Model *model)
{
        static char reason[100];
        Plan *plan = model_plan(model, plan_up);
        size_t create = find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1");

        reason[0] = '\0';
        if (create != PLAN_NONE)
                snprintf(reason, sizeof(reason), "%s", plan->actions.items[create].reason);
        plan_free(plan);
        return reason;
}

static void test_reasons_to_recreate(void **state)
{
        static ServiceNetwork none;
        Model model;
        Service *service;

        model_init(&model);
        service = model_add(&model, "db");
        model_find(&model, service, 1);
        model_find_network(&model);
        assert_string_equal(recreate_reason_of(&model), "");

        model.plan_services[0].config_hash = "other";
        assert_string_equal(recreate_reason_of(&model), "its configuration has changed");
        model.options.no_recreate = true;
        assert_string_equal(recreate_reason_of(&model), "");
        model.options.no_recreate = false;
        model.plan_services[0].config_hash = "hash-db";

        model.image.id = (char *)"sha256:2";
        assert_string_equal(recreate_reason_of(&model), "its image has changed");
        model.image.id = (char *)"sha256:1";

        model.options.force_recreate = true;
        assert_string_equal(recreate_reason_of(&model), "asked for");
        model.options.force_recreate = false;

        service->networks = &none;
        service->n_networks = 0;
        assert_string_equal(recreate_reason_of(&model), "its networks have changed");
        model_done(&model);
}

static void test_a_changed_network_is_replaced_between_stop_and_create(void **state)
{
        Model model;
        Plan *plan;
        size_t remove, create;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1);
        model_find_network(&model);
        model.network.internal = true;
        plan = model_plan(&model, plan_up);
        remove = find_action(plan, PLAN_NETWORK_REMOVE, "demo_default");
        create = find_action(plan, PLAN_NETWORK_CREATE, "demo_default");
        assert_true(comes_after(plan, remove, find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1")));
        assert_true(comes_after(plan, create, remove));
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), create));
        plan_free(plan);
        model_done(&model);
}

static void test_replacing_keeps_the_old_one_until_the_new_exists(void **state)
{
        Model model;
        Plan *plan;
        size_t stop, rename, create, remove, start;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1);
        model_find_network(&model);
        model.plan_services[0].config_hash = "other";
        plan = model_plan(&model, plan_up);
        stop = find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1");
        rename = find_action(plan, PLAN_CONTAINER_RENAME, "demo-db-1");
        create = find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1");
        remove = find_action(plan, PLAN_CONTAINER_REMOVE, "demo-db-1");
        start = find_action(plan, PLAN_CONTAINER_START, "demo-db-1");
        assert_true(comes_after(plan, rename, stop));
        assert_true(comes_after(plan, create, rename));
        assert_true(comes_after(plan, remove, create));
        assert_true(comes_after(plan, start, remove));
        assert_false(plan->actions.items[remove].remove_volumes);
        plan_free(plan);
        model_done(&model);
}

/* A crash after the new one was made and before the old one was removed. */
static void test_twins_of_a_crash(void **state)
{
        Model model;
        ContainerInfo *old;
        Service *service;
        Plan *plan;
        size_t remove;

        model_init(&model);
        service = model_add(&model, "db");
        old = model_find(&model, service, 1);
        free_and_replace(&old->name, xstrdup("id-db-1_demo-db-1"));
        free_and_replace(&old->id, xstrdup("old"));
        old->state = CONTAINER_EXITED;
        model_find(&model, service, 1)->state = CONTAINER_CREATED;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        remove = find_action(plan, PLAN_CONTAINER_REMOVE, "id-db-1_demo-db-1");
        assert_int_not_equal(remove, PLAN_NONE);
        assert_false(plan->actions.items[remove].remove_volumes);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_START, "demo-db-1"), PLAN_NONE);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model_done(&model);
}

/* A crash after the old one was renamed and before the new one was made: its anonymous volume goes on to the successor. */
static void test_an_old_one_alone_after_a_crash(void **state)
{
        static char *volumes[] = { (char *)"/var/lib/postgresql/data", NULL };
        _cleanup_free_ char *volume = NULL;
        Model model;
        ContainerInfo *old;
        Service *service;
        Plan *plan;
        size_t create;

        model_init(&model);
        model.image.config.volumes = volumes;
        service = model_add(&model, "db");
        old = model_find(&model, service, 1);
        volume = xstrdup(old->spec->mounts[0].source);
        free_and_replace(&old->name, xstrdup("id-db-1_demo-db-1"));
        old->state = CONTAINER_EXITED;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        create = find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1");
        assert_string_equal(plan->actions.items[create].spec->mounts[0].source, volume);
        assert_true(plan->actions.items[create].spec->mounts[0].anonymous);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_RENAME, "id-db-1_demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model.options.renew_anon_volumes = true;
        plan = model_plan(&model, plan_up);
        create = find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1");
        assert_string_not_equal(plan->actions.items[create].spec->mounts[0].source, volume);
        plan_free(plan);
        model_done(&model);
}

static void test_dependencies_order_starts(void **state)
{
        Model model;
        Service *api;
        Plan *plan;
        size_t wait;

        model_init(&model);
        api = model_add(&model, "api");
        model_add(&model, "db");
        model_add(&model, "web");
        model_depend(&model, api, "db", DEPENDENCY_HEALTHY);
        model_depend(&model, &model.services[2], "api", DEPENDENCY_STARTED);
        plan = model_plan(&model, plan_up);
        wait = find_action(plan, PLAN_WAIT, "db");
        assert_int_equal(plan->actions.items[wait].condition, DEPENDENCY_HEALTHY);
        assert_true(comes_after(plan, wait, find_action(plan, PLAN_CONTAINER_START, "demo-db-1")));
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-api-1"), wait));
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-web-1"),
                                find_action(plan, PLAN_CONTAINER_START, "demo-api-1")));
        assert_int_equal(find_action(plan, PLAN_WAIT, "api"), PLAN_NONE);
        /* Nothing keeps the making of a container from going on meanwhile. */
        assert_false(comes_after(plan, find_action(plan, PLAN_CONTAINER_CREATE, "demo-api-1"), wait));
        plan_free(plan);
        model_done(&model);
}

static void test_selection(void **state)
{
        static char *only_api[] = { (char *)"api", NULL }, *unknown[] = { (char *)"nope", NULL };
        _cleanup_error_ Error *error = NULL;
        PlanInput input;
        Model model;
        Plan *plan;

        model_init(&model);
        model_depend(&model, model_add(&model, "api"), "db", DEPENDENCY_STARTED);
        model_add(&model, "db");
        model_add(&model, "other");
        model.options.services = only_api;
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-other-1"), PLAN_NONE);
        plan_free(plan);
        model.options.no_deps = true;
        plan = model_plan(&model, plan_up);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model.options.services = unknown;
        input = model_input(&model);
        assert_int_equal(plan_up(&input, &plan, &error), -ERROR_NOT_FOUND);
        assert_string_equal(error->message, "no such service: nope");
        model_done(&model);
}

static void test_scale(void **state)
{
        PlanScale three = { "db", 3 }, none = { "db", 0 };
        PlanInput input;
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1);
        model_find_network(&model);
        model.options.scale = &three;
        model.options.n_scale = 1;
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-2"), PLAN_NONE);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-3"), PLAN_NONE);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model.options.scale = &none;
        plan = model_plan(&model, plan_up);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_REMOVE, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1")));
        plan_free(plan);
        model.options.scale = &three;
        model.services[0].container_name = (char *)"fixed";
        input = model_input(&model);
        assert_int_equal(plan_up(&input, &plan, NULL), -ERROR_INVALID);
        model_done(&model);
}

static void test_orphans(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "old"), 1);
        model.project.n_services = 0;
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.length, 0);
        assert_non_null(strstr(plan->warnings[0], "Found orphan containers ([demo-old-1]) for this project."));
        plan_free(plan);
        model.options.remove_orphans = true;
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_REMOVE, "demo-old-1"), PLAN_NONE);
        plan_free(plan);
        model_done(&model);
}

static void test_oneoffs_are_kept_apart(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_find(&model, model_add(&model, "db"), 1)->oneoff = true;
        model_find_network(&model);
        plan = model_plan(&model, plan_up);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1"), PLAN_NONE);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_REMOVE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        plan = model_plan(&model, plan_down);
        assert_int_not_equal(find_action(plan, PLAN_CONTAINER_REMOVE, "demo-db-1"), PLAN_NONE);
        plan_free(plan);
        model_done(&model);
}

static void test_restart_true_follows_its_dependency(void **state)
{
        Model model;
        Plan *plan;
        size_t stop_api, stop_db, start_api;

        model_init(&model);
        model_depend(&model, model_add(&model, "api"), "db", DEPENDENCY_HEALTHY)->restart = true;
        model_add(&model, "db");
        model_find(&model, &model.services[0], 1);
        model_find(&model, &model.services[1], 1);
        model_find_network(&model);
        model.plan_services[1].config_hash = "other";
        plan = model_plan(&model, plan_up);
        stop_api = find_action(plan, PLAN_CONTAINER_STOP, "demo-api-1");
        stop_db = find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1");
        start_api = find_action(plan, PLAN_CONTAINER_START, "demo-api-1");
        assert_true(comes_after(plan, stop_db, stop_api));
        assert_true(comes_after(plan, start_api, find_action(plan, PLAN_WAIT, "db")));
        plan_free(plan);
        model.services[0].depends_on[0].restart = false;
        plan = model_plan(&model, plan_up);
        assert_int_equal(find_action(plan, PLAN_CONTAINER_STOP, "demo-api-1"), PLAN_NONE);
        plan_free(plan);
        model_done(&model);
}

static void test_wait_at_the_end(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_depend(&model, model_add(&model, "api"), "migrate", DEPENDENCY_COMPLETED);
        model_add(&model, "migrate");
        model.options.wait = true;
        plan = model_plan(&model, plan_up);
        assert_int_equal(plan->actions.items[find_action(plan, PLAN_WAIT, "api")].condition, DEPENDENCY_HEALTHY);
        assert_true(plan->actions.items[find_action(plan, PLAN_WAIT, "api")].running_is_enough);
        assert_int_equal(plan->actions.items[plan->actions.length - 1].condition, DEPENDENCY_COMPLETED);
        plan_free(plan);
        model_done(&model);
}

static void test_external_resources_must_exist(void **state)
{
        _cleanup_error_ Error *error = NULL;
        PlanInput input;
        Model model;
        Plan *plan;

        model_init(&model);
        model_add(&model, "db");
        model.network.external = true;
        input = model_input(&model);
        assert_int_equal(plan_up(&input, &plan, &error), -ERROR_NOT_FOUND);
        assert_string_equal(error->message, "network demo_default declared as external, but could not be found");
        model_done(&model);
}

static void test_a_shared_namespace_follows(void **state)
{
        Model model;
        Service *side;
        Plan *plan;

        model_init(&model);
        model_add(&model, "db");
        side = model_add(&model, "side");
        side->n_networks = 0;
        side->network_mode = (char *)"service:db";
        model_depend(&model, side, "db", DEPENDENCY_STARTED);
        model_find(&model, &model.services[0], 1);
        model_find(&model, side, 1);
        model_find_network(&model);
        model.plan_services[0].config_hash = "other";
        plan = model_plan(&model, plan_up);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_CREATE, "demo-side-1"),
                                find_action(plan, PLAN_CONTAINER_CREATE, "demo-db-1")));
        assert_string_equal(
                plan->actions.items[find_action(plan, PLAN_CONTAINER_CREATE, "demo-side-1")].spec->network_mode,
                "container:demo-db-1");
        plan_free(plan);
        model_done(&model);
}

static void test_down_goes_backwards(void **state)
{
        Model model;
        Plan *plan;
        size_t network;

        model_init(&model);
        model_depend(&model, model_add(&model, "api"), "db", DEPENDENCY_HEALTHY);
        model_add(&model, "db");
        model_find(&model, &model.services[0], 1);
        model_find(&model, &model.services[1], 1);
        model_find_network(&model);
        plan = model_plan(&model, plan_down);
        network = find_action(plan, PLAN_NETWORK_REMOVE, "demo_default");
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_REMOVE, "demo-api-1")));
        assert_true(comes_after(plan, network, find_action(plan, PLAN_CONTAINER_REMOVE, "demo-db-1")));
        assert_true(plan->actions.items[network].optional);
        plan_free(plan);
        model_done(&model);
}

static void test_stop_start_and_restart(void **state)
{
        Model model;
        Plan *plan;

        model_init(&model);
        model_depend(&model, model_add(&model, "api"), "db", DEPENDENCY_HEALTHY);
        model_add(&model, "db");
        model_find(&model, &model.services[0], 1);
        model_find(&model, &model.services[1], 1);
        plan = model_plan(&model, plan_stop);
        assert_int_equal(plan->actions.length, 2);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_STOP, "demo-api-1")));
        plan_free(plan);
        plan = model_plan(&model, plan_restart);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-api-1"),
                                find_action(plan, PLAN_CONTAINER_START, "demo-db-1")));
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-db-1"),
                                find_action(plan, PLAN_CONTAINER_STOP, "demo-db-1")));
        assert_int_equal(find_action(plan, PLAN_WAIT, "db"), PLAN_NONE);
        plan_free(plan);
        model.found.containers.items[0]->state = CONTAINER_EXITED;
        model.found.containers.items[1]->state = CONTAINER_EXITED;
        plan = model_plan(&model, plan_start);
        assert_true(comes_after(plan, find_action(plan, PLAN_CONTAINER_START, "demo-api-1"),
                                find_action(plan, PLAN_WAIT, "db")));
        plan_free(plan);
        model_done(&model);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_is_new),
                cmocka_unit_test(test_nothing_to_do),
                cmocka_unit_test(test_stopped_is_started),
                cmocka_unit_test(test_migrations_stand_between),
                cmocka_unit_test(test_a_stop_that_was_begun_is_finished),
                cmocka_unit_test(test_mounts_of_our_own_are_no_reason),
                cmocka_unit_test(test_reasons_to_recreate),
                cmocka_unit_test(test_a_changed_network_is_replaced_between_stop_and_create),
                cmocka_unit_test(test_replacing_keeps_the_old_one_until_the_new_exists),
                cmocka_unit_test(test_twins_of_a_crash),
                cmocka_unit_test(test_an_old_one_alone_after_a_crash),
                cmocka_unit_test(test_dependencies_order_starts),
                cmocka_unit_test(test_selection),
                cmocka_unit_test(test_scale),
                cmocka_unit_test(test_orphans),
                cmocka_unit_test(test_oneoffs_are_kept_apart),
                cmocka_unit_test(test_restart_true_follows_its_dependency),
                cmocka_unit_test(test_wait_at_the_end),
                cmocka_unit_test(test_external_resources_must_exist),
                cmocka_unit_test(test_a_shared_namespace_follows),
                cmocka_unit_test(test_down_goes_backwards),
                cmocka_unit_test(test_stop_start_and_restart),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
