/* Reading the store: an index and configurations written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "image/store.h"

#define DIFF_A   "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIFF_B   "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MANIFEST "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static char folder[] = "/tmp/berth-test-store-XXXXXX";
static Layout *layout;
static char *id;

static const char config[] =
        "{\"os\": \"linux\", \"architecture\": \"arm64\", \"variant\": \"v8\", \"created\": \"2025-06-15T15:06:40Z\","
        " \"config\": {\"Env\": [\"A=1\"], \"Entrypoint\": [\"/e\"], \"Cmd\": \"one string\", \"User\": \"\","
        "  \"WorkingDir\": \"/w\", \"Volumes\": {\"/v2\": {}, \"/v1\": {}}, \"ExposedPorts\": {\"80/tcp\": {}},"
        "  \"Labels\": {\"k\": \"v\"}, \"Healthcheck\": {\"Test\": [\"CMD\", \"t\"], \"Interval\": 5000000000, "
        "\"Retries\": 2}},"
        " \"rootfs\": {\"type\": \"layers\", \"diff_ids\": [\"" DIFF_A "\", \"" DIFF_B "\"]}}";

static void write_index(const char *format, ...)
{
        _cleanup_free_ char *path = layout_data(layout, "images/names.json"), *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static int set_up(void **state)
{
        _cleanup_free_ char *hex = sha256_hex(config, sizeof(config) - 1), *blobs = NULL, *path = NULL;

        assert_non_null(mkdtemp(folder));
        setenv("BERTH_DATA_DIR", folder, 1);
        layout = layout_create();
        id = xasprintf("sha256:%s", hex);
        blobs = layout_data(layout, "images/blobs/sha256");
        fs_make_directories(blobs, 0755, NULL);
        path = path_join(blobs, hex);
        fs_write_file(AT_FDCWD, path, config, sizeof(config) - 1, 0644, NULL);
        return 0;
}

static int tear_down(void **state)
{
        fs_remove_tree(AT_FDCWD, folder, NULL);
        layout_free(layout);
        free(id);
        return 0;
}

static void write_good_index(void)
{
        write_index("{\"format\": 1, \"images\": {\"%s\": {\"libc\": \"musl 1.2.4\", \"size_bytes\": 7, \"digests\": "
                    "[\"docker.io/library/x@" MANIFEST "\"]}}, \"names\": {\"docker.io/library/x:1\": \"%s\", "
                    "\"docker.io/library/x:latest\": \"%s\"}}",
                    id, id, id);
}

static void test_empty_store(void **state)
{
        _cleanup_error_ Error *error = NULL;
        Image *image = NULL, **images = NULL;
        size_t length = 1;

        assert_int_equal(image_find(layout, "x:1", IMAGES_AUTO, &image, &error), -ERROR_NOT_FOUND);
        assert_non_null(strstr(error->message, "x:1"));
        assert_non_null(error->hint);
        assert_int_equal(image_list(layout, &images, &length, NULL), 0);
        assert_int_equal(length, 0);
        image_list_free(images, length);
}

static void test_find_in_every_way(void **state)
{
        _cleanup_free_ char *short_id = xstrndup(id + 7, 12), *digest = xasprintf("x@%s", MANIFEST);
        const char *const references[] = { "x:1", "x", "docker.io/library/x:1", digest, id, id + 7, short_id };

        write_good_index();
        for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
                _cleanup_image_ Image *image = NULL;

                if (image_find(layout, references[i], IMAGES_REGISTRY, &image, NULL) < 0)
                        fail_msg("%s was not found", references[i]);
                assert_string_equal(image->id, id);
                assert_string_equal(image->reference, references[i]);
        }
}

static void test_not_found(void **state)
{
        static const char *const references[] = { "x:2", "y",
                                                  "x@sha256:"
                                                  "0000000000000000000000000000000000000000000000000000000000000000",
                                                  "localhost/x:1", "000000000000" };

        write_good_index();
        for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
                Image *image = NULL;

                assert_int_equal(image_find(layout, references[i], IMAGES_AUTO, &image, NULL), -ERROR_NOT_FOUND);
                assert_null(image);
        }
}

static void test_configuration(void **state)
{
        _cleanup_image_ Image *image = NULL;

        write_good_index();
        assert_int_equal(image_find(layout, "x:1", IMAGES_AUTO, &image, NULL), 0);
        assert_string_equal(image->platform, "linux/arm64/v8");
        assert_string_equal(image->libc, "musl 1.2.4");
        assert_int_equal(image->created_ns / 1000000000, 1750000000);
        assert_int_equal(image->size_bytes, 7);
        assert_int_equal(strv_length(image->names), 2);
        assert_int_equal(strv_length(image->layers), 2);
        assert_true(endswith(image->layers[0], DIFF_B + 7)); /* the topmost first */
        assert_string_equal(image->config.environment[0], "A=1");
        assert_string_equal(image->config.entrypoint[0], "/e");
        assert_string_equal(image->config.command[2], "one string");
        assert_null(image->config.user);
        assert_string_equal(image->config.working_dir, "/w");
        assert_string_equal(image->config.volumes[0], "/v1");
        assert_string_equal(image->config.exposed_ports[0], "80/tcp");
        assert_string_equal(image->config.labels[0], "k=v");
        assert_string_equal(image->config.healthcheck.test[1], "t");
        assert_int_equal(image->config.healthcheck.interval_ns, 5000000000);
        assert_int_equal(image->config.healthcheck.retries, 2);
}

static void test_broken_index(void **state)
{
        Image *image = NULL;

        write_index("{");
        assert_int_equal(image_find(layout, "x:1", IMAGES_AUTO, &image, NULL), -ERROR_CORRUPT);
        write_index("{\"format\": 2, \"images\": {}, \"names\": {}}");
        assert_int_equal(image_find(layout, "x:1", IMAGES_AUTO, &image, NULL), -ERROR_UNSUPPORTED);
        /* A name that points nowhere is as good as none, and odd members do no harm. */
        write_index("{\"format\": 1, \"images\": {\"nonsense\": 5}, \"names\": {\"docker.io/library/x:1\": \"" MANIFEST
                    "\", \"docker.io/library/y:1\": 7}}");
        assert_int_equal(image_find(layout, "x:1", IMAGES_AUTO, &image, NULL), -ERROR_NOT_FOUND);
        assert_int_equal(image_find(layout, "y:1", IMAGES_AUTO, &image, NULL), -ERROR_NOT_FOUND);
}

static void test_policy_names(void **state)
{
        ImagePolicy policy = IMAGES_AUTO;

        assert_true(image_policy_from_name("host", &policy));
        assert_int_equal(policy, IMAGES_HOST);
        assert_true(image_policy_from_name("registry", &policy));
        assert_int_equal(policy, IMAGES_REGISTRY);
        assert_false(image_policy_from_name("cloud", &policy));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty_store),  cmocka_unit_test(test_find_in_every_way),
                cmocka_unit_test(test_not_found),    cmocka_unit_test(test_configuration),
                cmocka_unit_test(test_broken_index), cmocka_unit_test(test_policy_names),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
