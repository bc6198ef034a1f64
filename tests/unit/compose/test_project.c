#include "compose_test.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "compose/explain.h"
#include "compose/project.h"
#include "compose/xberth.h"

static char folder[] = "/tmp/berth-test-compose-XXXXXX";

static int setup(void **state)
{
        strcpy(folder + strlen(folder) - 6, "XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
        return fs_remove_tree(AT_FDCWD, folder, NULL);
}

static void write_file(const char *name, const char *text)
{
        _cleanup_free_ char *path = path_join(folder, name);

        assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static int load(Project **ret, Error **err)
{
        char *environment[] = { (char *)"HOME=/home/tester", (char *)"FROM=outside", NULL };
        const LoadOptions options = { .working_dir = folder, .project_name = "demo", .environment = environment };

        return project_load(&options, ret, err);
}

static Project *loaded(const char *text)
{
        _cleanup_error_ Error *error = NULL;
        Project *project = NULL;

        write_file("compose.yaml", text);
        if (load(&project, &error) < 0)
                fail_msg("%s", error->message);
        return project;
}

static const char full[] = "x-berth: {images: host, silence: [a]}\n"
                           "services:\n"
                           "  db:\n"
                           "    image: postgres:16\n"
                           "    command: -c 'shared_buffers=128 MB'\n"
                           "    environment: {POSTGRES_DB: '${FROM}', UNSET: }\n"
                           "    ports: ['127.0.0.1:5432:5432']\n"
                           "    volumes: ['data:/var/lib/postgresql/data', './conf:/conf:ro', {type: tmpfs, target: "
                           "/t, tmpfs: {size: 1m}}]\n"
                           "    secrets: [{source: pw, uid: '999', mode: 0400}]\n"
                           "    healthcheck: {test: pg_isready, interval: 1m30s, retries: 3}\n"
                           "    restart: on-failure:5\n"
                           "    stop_grace_period: 2m\n"
                           "    shm_size: 1g\n"
                           "    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}\n"
                           "    deploy: {resources: {limits: {cpus: '0.1', memory: 256m, pids: 50}}}\n"
                           "    extra_hosts: ['h:10.0.0.1']\n"
                           "    logging: {driver: json-file, options: {max-size: 10m}}\n"
                           "    x-berth: {postgres: true, template: off, silence: [b]}\n"
                           "  app:\n"
                           "    image: app\n"
                           "    depends_on: [db]\n"
                           "    scale: 2\n"
                           "    gpus: all\n"
                           "    networks: {front: {aliases: [www]}, default: }\n"
                           "  tool: {image: tool, profiles: [tools]}\n"
                           "networks: {front: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}}\n"
                           "volumes: {data: , other: }\n"
                           "secrets: {pw: {environment: FROM}}\n";

static void check_full(const Project *project)
{
        const Service *db = project_find_service(project, "db"), *app = project_find_service(project, "app");

        assert_int_equal(project->n_services, 2);
        assert_string_equal(project->services[0].name, "app");
        assert_string_equal(db->command[1], "shared_buffers=128 MB");
        assert_string_equal(key_values_get(&db->environment, "POSTGRES_DB"), "outside");
        assert_int_equal(db->environment.length, 2);
        assert_null(db->environment.items[1].value);
        assert_string_equal(db->ports[0].host_ip, "127.0.0.1");
        assert_int_equal(db->ports[0].target, 5432);
        assert_int_equal(db->n_mounts, 3);
        assert_int_equal(db->mounts[1].type, MOUNT_TYPE_BIND);
        assert_true(db->mounts[1].read_only);
        assert_int_equal(db->mounts[2].tmpfs_size, 1048576);
        assert_string_equal(db->secrets[0].target, "/run/secrets/pw");
        assert_int_equal(db->secrets[0].uid, 999);
        assert_int_equal(db->secrets[0].mode, 0400);
        assert_string_equal(db->healthcheck->test[0], "CMD-SHELL");
        assert_int_equal(db->healthcheck->interval_ns, INT64_C(90000000000));
        assert_int_equal(db->healthcheck->timeout_ns, -1);
        assert_int_equal(db->restart.kind, RESTART_ON_FAILURE);
        assert_int_equal(db->restart.max_attempts, 5);
        assert_int_equal(db->stop_grace_period_ns, INT64_C(120000000000));
        assert_int_equal(db->shm_size, 1073741824);
        assert_int_equal(db->ulimits[0].hard, 2);
        assert_int_equal(db->ulimits[1].soft, 3);
        assert_true(db->resources.cpus == 0.1);
        assert_int_equal(db->resources.memory, 268435456);
        assert_int_equal(db->resources.pids, 50);
        assert_string_equal(db->extra_hosts[0].address, "10.0.0.1");
        assert_string_equal(key_values_get(&db->log_options, "max-size"), "10m");
        assert_int_equal(app->scale, 2);
        assert_true(app->depends_on[0].list_form);
        assert_int_equal(app->n_networks, 2);
        assert_string_equal(app->networks[1].aliases[0], "www");
        assert_true(project_find_network(project, "front")->internal);
        assert_string_equal(project_find_network(project, "front")->pools[0].subnet, "10.9.0.0/24");
        assert_string_equal(project_find_volume(project, "data")->name, "demo_data");
        assert_null(project_find_volume(project, "other"));
        assert_string_equal(project_find_secret(project, "pw")->environment, "FROM");
        assert_non_null(strstr(project->ignored[0], "gpus"));
}

static void test_what_is_not_acted_on(void **state)
{
        static const char text[] =
                "services:\n  a:\n    image: x\n    runtime: runc\n    pull_policy: daily\n    security_opt: "
                "['apparmor:mine']\n    volumes: ['./x:/x:z']\n    networks: {n: {interface_name: eth7}}\n  b:\n    "
                "image: x\n    pull_policy: always\n    security_opt: ['apparmor:unconfined', 'label:disable', "
                "'seccomp:unconfined']\n    volumes: ['data:/v']\n    networks: [n]\nnetworks: {n: {driver_opts: {mtu: "
                "1400}, enable_ipv4: false, ipam: {driver: default, config: [{subnet: 10.0.0.0/24}]}}}\nvolumes: "
                "{data: {driver_opts: {type: none, o: bind, device: /x, size: 3g}}}\n";
        static const char *const wanted[] = {
                "runtime is not acted on (a)",
                "pull_policy is not acted on (a)",
                "security_opt.* is not acted on (a)",
                "volumes.*.bind.selinux is not acted on (a)",
                "networks.*.interface_name is not acted on (a)",
                "networks.driver_opts is not acted on (n)",
                "networks.enable_ipv4 is not acted on (n)",
                "volumes.driver_opts is not acted on (data)",
        };
        _cleanup_(project_freep) Project *project = loaded(text);

        assert_int_equal(strv_length(project->ignored), ARRAY_SIZE(wanted));
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
                assert_non_null(startswith(project->ignored[i], wanted[i]));
}

static void test_the_typed_project(void **state)
{
        _cleanup_(project_freep) Project *project = loaded(full);

        check_full(project);
        assert_int_equal(project->n_disabled_services, 1);
        assert_string_equal(project_find_secret(project, "pw")->content, "outside");
}

static void test_travels_as_json(void **state)
{
        _cleanup_(project_freep) Project *project = loaded(full), *again = NULL;
        _cleanup_free_ char *json = project_to_json(project), *second = NULL;

        assert_null(strstr(json, "x-#value"));
        assert_int_equal(project_from_json(json, strlen(json), folder, &again, NULL), 0);
        check_full(again);
        second = project_to_json(again);
        assert_string_equal(json, second);
}

static void test_the_hash_changes_with_the_service_alone(void **state)
{
        _cleanup_(project_freep) Project *a = loaded("services: {s: {image: x, scale: 1}, t: {image: y}}"),
                                         *b = loaded("services: {s: {image: x, scale: 3}, t: {image: z}}");
        _cleanup_free_ char *s1 = service_hash(a, project_find_service(a, "s")),
                            *s2 = service_hash(b, project_find_service(b, "s"));
        _cleanup_free_ char *t1 = service_hash(a, project_find_service(a, "t")),
                            *t2 = service_hash(b, project_find_service(b, "t"));

        assert_string_equal(s1, s2);
        assert_string_not_equal(t1, t2);
}

static void test_all_mistakes_are_told_at_once(void **state)
{
        _cleanup_(project_freep) Project *project = NULL;
        _cleanup_error_ Error *error = NULL;

        write_file("compose.yaml", "services:\n  a:\n    imagee: x\n    user: 5\n  b:\n    ports: nope\n");
        assert_int_equal(load(&project, &error), -ERROR_INVALID);
        assert_int_equal(error->line, 3);
        assert_int_equal(error->column, 5);
        assert_string_equal(error->hint, "Did you mean \"image\"?");
        assert_non_null(error->next);
        assert_int_equal(error->next->line, 4);
        assert_non_null(strstr(error->next->message, "services.a.user: must be a string, is the integer 5"));
        assert_non_null(error->next->next);
        assert_int_equal(error->next->next->line, 6);
        assert_non_null(strstr(error->next->next->message, "neither an image"));
        assert_non_null(error->next->next->next);
        assert_non_null(strstr(error->next->next->next->message, "services.b.ports: must be a list"));
        assert_null(error->next->next->next->next);
}

static void test_explains_where_a_value_came_from(void **state)
{
        _cleanup_(project_freep) Project *project = NULL;
        _cleanup_free_ char *text = NULL, *missing = NULL;
        _cleanup_error_ Error *error = NULL;

        write_file(".env", "TAG=12\n");
        write_file("compose.override.yaml", "services:\n  a:\n    image: y:${TAG}\n");
        project = loaded("services:\n  a:\n    image: x\n");
        assert_int_equal(explain_value(project, "services.a.image", &text, NULL), 0);
        assert_non_null(strstr(text, "services.a.image = \"y:12\""));
        assert_non_null(strstr(text, "compose.override.yaml:3:12"));
        assert_non_null(strstr(text, ".env"));
        assert_non_null(strstr(text, "replaces \"x\""));
        assert_non_null(strstr(text, "compose.yaml:3:12"));
        assert_int_equal(explain_value(project, "services.a.imag", &missing, &error), -ERROR_NOT_FOUND);
        assert_non_null(strstr(error->hint, "image"));
}

static void test_x_berth_of_a_service_goes_before_that_of_the_project(void **state)
{
        _cleanup_(project_freep) Project *project = loaded(full);
        XBerth db, app;

        x_berth_read(project, project_find_service(project, "db"), &db);
        x_berth_read(project, project_find_service(project, "app"), &app);
        assert_int_equal(db.postgres, 1);
        assert_int_equal(app.postgres, -1);
        assert_false(db.use_template);
        assert_true(app.use_template);
        assert_int_equal(db.images, IMAGE_CHOICE_HOST);
        assert_int_equal(strv_length(db.silence), 2);
        assert_int_equal(strv_length(app.silence), 1);
}

static void test_an_explicit_false_for_the_host_path_travels(void **state)
{
        _cleanup_(project_freep) Project *again = NULL,
                                         *project =
                                                 loaded("services: {a: {image: x, volumes: [{type: bind, source: /x, "
                                                        "target: /x, bind: {create_host_path: false}}, {type: bind, "
                                                        "source: /y, target: /y}]}}");
        _cleanup_free_ char *json = project_to_json(project), *shown = project_config_text(project, true);

        assert_false(project->services[0].mounts[0].create_host_path);
        assert_true(project->services[0].mounts[1].create_host_path);
        assert_int_equal(project_from_json(json, strlen(json), folder, &again, NULL), 0);
        assert_false(again->services[0].mounts[0].create_host_path);
        assert_null(strstr(shown, "create_host_path"));
}

static void test_no_file_is_not_found(void **state)
{
        const LoadOptions options = { .working_dir = folder };
        _cleanup_(project_freep) Project *project = NULL;
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(project_load(&options, &project, &error), -ERROR_NOT_FOUND);
        assert_string_equal(error->message, "no configuration file provided: not found");
}

#define unit(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                unit(test_the_typed_project),
                unit(test_what_is_not_acted_on),
                unit(test_travels_as_json),
                unit(test_the_hash_changes_with_the_service_alone),
                unit(test_all_mistakes_are_told_at_once),
                unit(test_explains_where_a_value_came_from),
                unit(test_x_berth_of_a_service_goes_before_that_of_the_project),
                unit(test_an_explicit_false_for_the_host_path_travels),
                unit(test_no_file_is_not_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
