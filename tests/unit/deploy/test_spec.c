
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "models.h"

static ContainerSpec *build(Model *model, Service *service)
{
        SpecInput input = { .project = &model->project,
                            .service = service,
                            .image = &model->image,
                            .config_hash = "h",
                            .number = 1,
                            .postgres = -1 };
        _cleanup_error_ Error *error = NULL;
        ContainerSpec *spec = NULL;

        if (spec_build(&input, &spec, &error) < 0)
                print_error("%s\n", error->message);
        assert_non_null(spec);
        return spec;
}

static void check_argv(Model *model, Service *service, const char *expected)
{
        ContainerSpec *spec = build(model, service);
        _cleanup_free_ char *joined = strv_join(spec->argv, " ");

        assert_string_equal(joined, expected);
        container_spec_free(spec);
}

static void test_entrypoint_and_command(void **state)
{
        static char *command[] = { (char *)"psql", NULL }, *entrypoint[] = { (char *)"/run", NULL };
        Model model;
        Service *service;

        model_init(&model);
        service = model_add(&model, "db");
        check_argv(&model, service, "docker-entrypoint.sh postgres");
        service->has_command = true;
        service->command = command;
        check_argv(&model, service, "docker-entrypoint.sh psql");
        service->has_entrypoint = true;
        service->entrypoint = entrypoint;
        check_argv(&model, service, "/run psql");
        service->has_command = false;
        check_argv(&model, service, "/run"); /* the image's command goes with its entrypoint */
        model_done(&model);
}

static void test_environment(void **state)
{
        static KeyValue values[] = { { (char *)"PG_MAJOR", (char *)"17" },
                                     { (char *)"GONE", NULL },
                                     { (char *)"NEW", (char *)"a=b" } };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        service = model_add(&model, "db");
        service->environment = (KeyValues){ values, 3 };
        spec = build(&model, service);
        assert_string_equal(strv_env_get(spec->environment, "PG_MAJOR"), "17");
        assert_string_equal(strv_env_get(spec->environment, "NEW"), "a=b");
        assert_null(strv_env_get(spec->environment, "GONE"));
        container_spec_free(spec);
        model_done(&model);
}

static void test_databases_have_time_and_shared_memory(void **state)
{
        static char *client[] = { (char *)"psql", NULL };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        service = model_add(&model, "db");
        spec = build(&model, service);
        assert_int_equal(spec->stop_grace_ns, DATABASE_GRACE_NS);
        assert_int_equal(spec->shm_size, DATABASE_SHM_BYTES);
        assert_string_equal(strv_env_get(spec->annotations, ANNOTATION_DATABASE), "true");
        container_spec_free(spec);
        service->stop_grace_period_ns = 5;
        service->shm_size = 7;
        spec = build(&model, service);
        assert_int_equal(spec->stop_grace_ns, 5);
        assert_int_equal(spec->shm_size, 7);
        container_spec_free(spec);
        service->stop_grace_period_ns = service->shm_size = -1;
        service->has_command = true;
        service->command = client;
        spec = build(&model, service);
        assert_int_equal(spec->stop_grace_ns, DEFAULT_GRACE_NS);
        assert_int_equal(spec->shm_size, -1);
        container_spec_free(spec);
        model_done(&model);
}

static void test_names_and_labels(void **state)
{
        static char *aliases[] = { (char *)"primary", (char *)"db", NULL };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        service = model_add(&model, "db");
        service->container_name = (char *)"autodeploy_postgres";
        service->networks[0].aliases = aliases;
        spec = build(&model, service);
        assert_string_equal(spec->name, "autodeploy_postgres");
        assert_string_equal(spec->networks[0].network, "demo_default");
        assert_string_equal(spec->networks[0].aliases[0], "autodeploy_postgres");
        assert_string_equal(spec->networks[0].aliases[1], "db");
        assert_string_equal(spec->networks[0].aliases[2], "primary");
        assert_null(spec->networks[0].aliases[3]);
        assert_string_equal(strv_env_get(spec->labels, LABEL_PROJECT), "demo");
        assert_string_equal(strv_env_get(spec->labels, LABEL_CONFIG_HASH), "h");
        assert_string_equal(strv_env_get(spec->labels, LABEL_ONEOFF), "False");
        container_spec_free(spec);
        model_done(&model);
}

static void test_mounts(void **state)
{
        static char *volumes[] = { (char *)"/var/lib/postgresql/data", (char *)"/extra", NULL };
        static char *tmpfs[] = { (char *)"/run:size=64m,mode=1770,noexec", NULL };
        static Mount mounts[] = {
                { .type = MOUNT_TYPE_VOLUME, .source = (char *)"data", .target = (char *)"/var/lib/postgresql/data" },
                { .type = MOUNT_TYPE_BIND, .source = (char *)"/a", .target = (char *)"/b", .create_host_path = true },
        };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        model.image.config.volumes = volumes;
        service = model_add(&model, "db");
        service->mounts = mounts;
        service->n_mounts = 2;
        service->tmpfs = tmpfs;
        spec = build(&model, service);
        assert_int_equal(spec->n_mounts, 4);
        assert_string_equal(spec->mounts[0].source, "demo_data");
        assert_false(spec->mounts[0].anonymous);
        assert_int_equal(spec->mounts[2].kind, SPEC_MOUNT_TMPFS);
        assert_int_equal(spec->mounts[2].tmpfs_size, 64 << 20);
        assert_int_equal(spec->mounts[2].tmpfs_mode, 01770);
        assert_string_equal(spec->mounts[2].options[0], "noexec");
        assert_string_equal(spec->mounts[3].target, "/extra");
        assert_true(spec->mounts[3].anonymous);
        assert_int_equal(strlen(spec->mounts[3].source), 64);
        container_spec_free(spec);
        model_done(&model);
}

static void test_secrets(void **state)
{
        static FileSource sources[] = {
                { .key = (char *)"pw", .name = (char *)"pw", .file = (char *)"/srv/pw" },
                { .key = (char *)"env", .name = (char *)"env", .environment = (char *)"X", .content = (char *)"value" }
        };
        static FileReference references[] = {
                { .source = (char *)"pw", .uid = 999, .gid = -1, .mode = 0400 },
                { .source = (char *)"env", .target = (char *)"/run/secrets/other", .uid = -1, .gid = -1, .mode = -1 }
        };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        model.project.secrets = sources;
        model.project.n_secrets = 2;
        service = model_add(&model, "db");
        service->secrets = references;
        service->n_secrets = 2;
        spec = build(&model, service);
        assert_string_equal(spec->files[0].target, "/run/secrets/pw");
        assert_int_equal(spec->files[0].uid, 999);
        assert_int_equal(spec->files[0].mode, 0400);
        assert_true(spec->files[0].in_memory);
        assert_string_equal(spec->files[1].content, "value");
        assert_string_equal(spec->files[1].target, "/run/secrets/other");
        container_spec_free(spec);
        model_done(&model);
}

static void test_ports_and_logging(void **state)
{
        static Port ports[] = { { .published = (char *)"5432", .target = 5432, .host_ip = (char *)"127.0.0.1" },
                                { .target = 80, .protocol = (char *)"udp" } };
        static KeyValue options[] = { { (char *)"max-size", (char *)"10m" }, { (char *)"max-file", (char *)"3" } };
        Model model;
        Service *service;
        ContainerSpec *spec;

        model_init(&model);
        service = model_add(&model, "db");
        service->ports = ports;
        service->n_ports = 2;
        service->log_driver = (char *)"json-file";
        service->log_options = (KeyValues){ options, 2 };
        spec = build(&model, service);
        assert_int_equal(spec->ports[0].host_port, 5432);
        assert_string_equal(spec->ports[0].host_ip, "127.0.0.1");
        assert_int_equal(spec->ports[1].host_port, 0);
        assert_true(spec->ports[1].udp);
        assert_int_equal(spec->log_max_size, 10 << 20);
        assert_int_equal(spec->log_max_files, 3);
        container_spec_free(spec);
        model_done(&model);
}

static void test_oneoff(void **state)
{
        static char *command[] = { (char *)"psql", NULL }, *environment[] = { (char *)"A=1", NULL };
        static char *publish[] = { (char *)"127.0.0.1:8080:80/udp", NULL }, *volumes[] = { (char *)"./x:/y:ro", NULL };
        SpecOverrides overrides = { .name = "demo-db-run-1",
                                    .command = command,
                                    .environment = environment,
                                    .publish = publish,
                                    .volumes = volumes,
                                    .remove = true };
        Model model;
        Service *service;
        SpecInput input;
        ContainerSpec *spec = NULL;

        model_init(&model);
        service = model_add(&model, "db");
        service->restart.kind = RESTART_ALWAYS;
        input = (SpecInput){ .project = &model.project,
                             .service = service,
                             .image = &model.image,
                             .config_hash = "h",
                             .number = 1,
                             .postgres = -1,
                             .overrides = &overrides };
        assert_int_equal(spec_build(&input, &spec, NULL), 0);
        assert_string_equal(spec->name, "demo-db-run-1");
        assert_true(spec->oneoff);
        assert_string_equal(spec->restart, "no");
        assert_string_equal(spec->argv[1], "psql");
        assert_string_equal(strv_env_get(spec->environment, "A"), "1");
        assert_string_equal(spec->mounts[0].source, "/srv/demo/x");
        assert_true(spec->mounts[0].read_only);
        assert_string_equal(spec->ports[0].host_ip, "127.0.0.1");
        assert_int_equal(spec->ports[0].host_port, 8080);
        assert_true(spec->ports[0].udp);
        assert_string_equal(spec->networks[0].aliases[0], "demo-db-run-1");
        assert_null(spec->networks[0].aliases[1]);
        container_spec_free(spec);
        model_done(&model);
}

/* Takes a one-off that publishes text; the specification is the caller's. */
static int publish_text(const char *text, ContainerSpec **ret, Error **err)
{
        char *publish[] = { (char *)text, NULL };
        SpecOverrides overrides = { .name = "demo-db-run-1", .publish = publish };
        Model model;
        Service *service;
        SpecInput input;
        int r;

        model_init(&model);
        service = model_add(&model, "db");
        input = (SpecInput){ .project = &model.project,
                             .service = service,
                             .image = &model.image,
                             .config_hash = "h",
                             .number = 1,
                             .postgres = -1,
                             .overrides = &overrides };
        r = spec_build(&input, ret, err);
        model_done(&model);
        return r;
}

static void test_published_forms(void **state)
{
        static const struct {
                const char *text, *ip;
                int host, last, container;
        } forms[] = {
                { "80", NULL, 0, 0, 80 },
                { "8080:80", NULL, 8080, 0, 80 },
                { "[::1]:8080:80", "::1", 8080, 0, 80 },
                { "127.0.0.1::80", "127.0.0.1", 0, 0, 80 },
                { "8000-8010:80", NULL, 8000, 8010, 80 },
                { "[::]:8000-8001:81", "::", 8000, 8001, 81 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                ContainerSpec *spec = NULL;

                assert_int_equal(publish_text(forms[i].text, &spec, NULL), 0);
                assert_int_equal(spec->n_ports, 1);
                assert_true(streq_ptr(spec->ports[0].host_ip, forms[i].ip));
                assert_int_equal(spec->ports[0].host_port, forms[i].host);
                assert_int_equal(spec->ports[0].host_port_last, forms[i].last);
                assert_int_equal(spec->ports[0].container_port, forms[i].container);
                container_spec_free(spec);
        }
}

static void test_published_ranges_of_both_sides(void **state)
{
        ContainerSpec *spec = NULL;

        assert_int_equal(publish_text("8000-8002:90-92/udp", &spec, NULL), 0);
        assert_int_equal(spec->n_ports, 3);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(spec->ports[i].host_port - 8000, spec->ports[i].container_port - 90);
                assert_int_equal(spec->ports[i].host_port_last, 0);
                assert_true(spec->ports[i].udp);
        }
        container_spec_free(spec);
}

static void test_wrong_published_forms(void **state)
{
        static const char *const texts[] = { "::1:8080:80", "8080:",        "x:80",         "70000:80",
                                             "1:2:3:4",     "8080:80/icmp", "8080:80/sctp", "8001-8000:80" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_error_ Error *error = NULL;
                ContainerSpec *spec = NULL;

                assert_true(publish_text(texts[i], &spec, &error) < 0);
                assert_non_null(error->message);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entrypoint_and_command),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_databases_have_time_and_shared_memory),
                cmocka_unit_test(test_names_and_labels),
                cmocka_unit_test(test_mounts),
                cmocka_unit_test(test_secrets),
                cmocka_unit_test(test_ports_and_logging),
                cmocka_unit_test(test_oneoff),
                cmocka_unit_test(test_published_forms),
                cmocka_unit_test(test_published_ranges_of_both_sides),
                cmocka_unit_test(test_wrong_published_forms),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
