
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "state/document.h"

static ContainerSpec *filled_spec(void)
{
        static char *argv[] = { (char *)"postgres", (char *)"-c", (char *)"a=b", NULL };
        ContainerSpec *spec = container_spec_create();

        spec->name = arena_strdup(spec->arena, "demo-db-1");
        spec->argv = arena_strv(spec->arena, argv);
        spec->shm_size = 123;
        spec->cpus = 1.5;
        spec->number = 2;
        spec->mounts = arena_new_array(spec->arena, SpecMount, 2);
        spec->n_mounts = 2;
        spec->mounts[0] = (SpecMount){ .kind = SPEC_MOUNT_VOLUME,
                                       .source = arena_strdup(spec->arena, "data"),
                                       .target = arena_strdup(spec->arena, "/data"),
                                       .tmpfs_size = -1,
                                       .tmpfs_mode = -1 };
        spec->mounts[1] = (SpecMount){ .kind = SPEC_MOUNT_TMPFS,
                                       .target = arena_strdup(spec->arena, "/tmp"),
                                       .tmpfs_size = 4096,
                                       .tmpfs_mode = 0700 };
        spec->files = arena_new_array(spec->arena, SpecFile, 3);
        spec->n_files = 3;
        spec->files[0] = (SpecFile){ .target = arena_strdup(spec->arena, "/run/secrets/a"),
                                     .secret = true,
                                     .content = arena_strdup(spec->arena, "hidden"),
                                     .content_size = 6,
                                     .mode = 0400 };
        spec->files[1] = (SpecFile){ .target = arena_strdup(spec->arena, "/b"),
                                     .content = arena_strndup(spec->arena, "x\0y", 3),
                                     .content_size = 3,
                                     .uid = -1 };
        spec->files[2] = (SpecFile){ .target = arena_strdup(spec->arena, "/c"),
                                     .content = arena_strdup(spec->arena, "\xff\xfe"),
                                     .content_size = 2 };
        return spec;
}

static void test_defaults(void **state)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = container_spec_create();
        _cleanup_json_ json_t *json = container_spec_to_json(spec);

        assert_int_equal(spec->memory, -1);
        assert_int_equal(spec->pids, -1);
        assert_true(spec->cpus == -1);
        assert_true(spec->oom_score_adj == INT64_MIN);
        assert_int_equal(spec->log_max_files, 1);
        assert_int_equal(json_object_size(json), 0);
}

static void test_there_and_back(void **state)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = filled_spec(), *again = NULL;
        _cleanup_json_ json_t *json = container_spec_to_json(spec), *json_again = NULL;

        assert_int_equal(container_spec_from_json(json, &again, NULL), 0);
        json_again = container_spec_to_json(again);
        assert_true(json_equal(json, json_again));
        assert_string_equal(again->name, "demo-db-1");
        assert_true(strv_equal(again->argv, spec->argv));
        assert_int_equal(again->mounts[1].tmpfs_mode, 0700);
        assert_int_equal(again->mounts[0].tmpfs_mode, -1);
        assert_true(again->cpus == 1.5);
        assert_int_equal(again->files[1].content_size, 3);
        assert_memory_equal(again->files[2].content, "\xff\xfe", 2);
}

static void test_secret_contents_stay_out(void **state)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = filled_spec(), *again = NULL;
        _cleanup_json_ json_t *json = container_spec_to_json(spec);
        _cleanup_free_ char *text = json_dumps(json, 0);

        assert_null(strstr(text, "hidden"));
        assert_int_equal(container_spec_from_json(json, &again, NULL), 0);
        assert_null(again->files[0].content);
        assert_true(again->files[0].secret);
        assert_int_equal(again->files[0].mode, 0400);
}

static void test_wrong_types(void **state)
{
        static const char *const texts[] = {
                "[]",
                "{}",
                "{\"name\": 3, \"argv\": [\"a\"]}",
                "{\"name\": \"x\", \"argv\": []}",
                "{\"name\": \"x\", \"argv\": \"a\"}",
                "{\"name\": \"x\", \"argv\": [1]}",
                "{\"name\": \"x\", \"argv\": [\"a\"], \"mounts\": {}}",
                "{\"name\": \"x\", \"argv\": [\"a\"], \"ports\": [{\"host_port\": 70000}]}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_json_ json_t *json = json_loads(texts[i], 0, NULL);
                _cleanup_error_ Error *error = NULL;
                ContainerSpec *spec = NULL;
                assert_int_equal(container_spec_from_json(json, &spec, &error), -ERROR_INVALID);
                assert_non_null(error->message);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_there_and_back),
                cmocka_unit_test(test_secret_contents_stay_out),
                cmocka_unit_test(test_wrong_types),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
