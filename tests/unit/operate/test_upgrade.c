
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/upgrade.h"
#include "state/document.h"

static void test_tag_of_the_new_major(void **state)
{
        static const struct {
                const char *image, *wanted;
                int major;
        } cases[] = {
                { "postgres:15", "postgres:17", 15 },
                { "postgres:15.4-bookworm", "postgres:17-bookworm", 15 },
                { "registry.example:5000/team/postgres:9.6-alpine", "registry.example:5000/team/postgres:17-alpine",
                  9 },
                { "postgres", NULL, 0 },
                { "registry.example:5000/postgres", NULL, 0 },
                { "postgres:latest", NULL, 0 },
                { "postgres:15beta1", NULL, 0 },
                { "postgres:20240101", NULL, 0 },
                { "postgres@sha256:15aa", NULL, 0 },
                { "postgres:15@sha256:15aa", NULL, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *image = upgrade_image_for(cases[i].image, 17);

                assert_int_equal(upgrade_image_major(cases[i].image), cases[i].major);
                if (cases[i].wanted)
                        assert_string_equal(image, cases[i].wanted);
                else
                        assert_null(image);
        }
}

static void test_record_is_found_by_project_and_service(void **state)
{
        char folder[] = "/tmp/berth-upgrade-XXXXXX";
        Layout layout = { .data_dir = mkdtemp(folder) };
        UpgradeRecord record = { .project = (char *)"p",
                                 .service = (char *)"db",
                                 .volume = (char *)"p_data",
                                 .kept = (char *)"p_data-upgrade-15-17",
                                 .old_folder = (char *)"",
                                 .new_folder = (char *)"x",
                                 .old_image = (char *)"postgres:15",
                                 .new_image = (char *)"postgres:17",
                                 .from = 15,
                                 .to = 17,
                                 .phase = UPGRADE_RETURNING };
        _cleanup_upgrade_record_ UpgradeRecord found = { 0 };

        assert_int_equal(upgrade_record_save(&layout, &record, NULL), 0);
        assert_int_equal(upgrade_record_find(&layout, "p", "other", &found, NULL), -ERROR_NOT_FOUND);
        assert_int_equal(upgrade_record_find(&layout, "other", "db", &found, NULL), -ERROR_NOT_FOUND);
        assert_int_equal(upgrade_record_find(&layout, "p", "db", &found, NULL), 0);
        assert_string_equal(found.kept, record.kept);
        assert_string_equal(found.new_folder, "x");
        assert_int_equal(found.to, 17);
        assert_int_equal(found.phase, UPGRADE_RETURNING);
        assert_int_equal(upgrade_record_remove(&layout, &record, NULL), 0);
        upgrade_record_done(&found);
        assert_int_equal(upgrade_record_find(&layout, "p", "db", &found, NULL), -ERROR_NOT_FOUND);
        fs_remove_tree(AT_FDCWD, folder, NULL);
}

static json_t *model_with_command(const char *command)
{
        _cleanup_free_ char *text = xasprintf(
                "{\"services\": {\"db\": {\"image\": \"postgres:15\", \"ports\": [{}], \"networks\": {}, \"command\": %s,"
                "\"secrets\": [{}], \"volumes\": [{\"target\": \"/var/lib/postgresql/data\", \"source\": \"data\"},"
                "{\"target\": \"/docker-entrypoint-initdb.d/1.sql\"}, {\"target\": \"/docker-entrypoint-initdb.dir\"}]}},"
                "\"volumes\": {\"data\": {\"name\": \"p_data\", \"external\": true}}}",
                command);
        json_t *model = json_loads(text, 0, NULL);

        assert_non_null(model);
        return model;
}

static void test_model_of_the_server_beside(void **state)
{
        const UpgradeRecord record = { .service = (char *)"db",
                                       .kept = (char *)"beside",
                                       .new_image = (char *)"postgres:17" };
        _cleanup_json_ json_t *model = model_with_command("[\"postgres\", \"-c\", \"a=b\"]");
        _cleanup_json_ json_t *changed = upgrade_model(model, &record, "p-db-1", "data");
        const json_t *service = json_object_get(json_object_get(changed, "services"), "db");
        const json_t *volume = json_object_get(json_object_get(changed, "volumes"), "data");
        const json_t *command = json_object_get(service, "command");

        assert_string_equal(json_get_string(service, "image", ""), "postgres:17");
        assert_string_equal(json_get_string(service, "network_mode", ""), "container:p-db-1");
        assert_null(json_object_get(service, "ports"));
        assert_null(json_object_get(service, "networks"));
        assert_non_null(json_object_get(service, "secrets"));
        assert_int_equal(json_array_size(json_object_get(service, "volumes")), 2);
        assert_string_equal(json_get_string(volume, "name", ""), "beside");
        assert_null(json_object_get(volume, "external"));
        assert_string_equal(json_string_value(json_array_get(command, 2)), "a=b");
        assert_string_equal(json_string_value(json_array_get(command, 4)), "listen_addresses=");
}

static void test_a_command_that_is_no_server_is_left_out(void **state)
{
        const UpgradeRecord record = { .service = (char *)"db",
                                       .kept = (char *)"beside",
                                       .new_image = (char *)"postgres:17" };
        _cleanup_json_ json_t *model =
                model_with_command("[\"sh\", \"-c\", \"chown x; exec docker-entrypoint.sh postgres\"]");
        _cleanup_json_ json_t *changed = upgrade_model(model, &record, "p-db-1", "data");
        const json_t *command = json_object_get(json_object_get(json_object_get(changed, "services"), "db"), "command");

        assert_string_equal(json_string_value(json_array_get(command, 0)), "postgres");
        assert_string_equal(json_string_value(json_array_get(command, 1)), "-c");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tag_of_the_new_major),
                cmocka_unit_test(test_record_is_found_by_project_and_service),
                cmocka_unit_test(test_model_of_the_server_beside),
                cmocka_unit_test(test_a_command_that_is_no_server_is_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
