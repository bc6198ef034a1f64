
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "state/document.h"

#define DIGEST_1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define DIGEST_2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define DIGEST_3 "sha256:3333333333333333333333333333333333333333333333333333333333333333"

static json_t *json(const char *text)
{
        json_t *value = json_loads(text, 0, NULL);

        assert_non_null(value);
        return value;
}

static void test_parse(void **state)
{
        _cleanup_manifest_ Manifest manifest = { 0 };
        _cleanup_json_ json_t *document = json("{\"schemaVersion\": 2, \"config\": {\"digest\": \"" DIGEST_1
                                               "\", \"mediaType\": \"application/vnd.oci.image.config.v1+json\"},"
                                               "\"layers\": [{\"digest\": \"" DIGEST_2
                                               "\", \"size\": 10}, {\"digest\": \"" DIGEST_3 "\", \"size\": 5}]}");

        assert_int_equal(manifest_parse(document, &manifest, NULL), 0);
        assert_string_equal(manifest.config_digest, DIGEST_1);
        assert_int_equal(manifest.layers.length, 2);
        assert_string_equal(manifest.layers.items[0].digest, DIGEST_2);
        assert_int_equal(manifest.size_bytes, 15);
        assert_false(manifest_is_list(document));
}

static void test_refused(void **state)
{
        static const struct {
                const char *text;
                ErrorKind kind;
        } rows[] = {
                { "{}", ERROR_UNSUPPORTED },
                { "{\"schemaVersion\": 1, \"fsLayers\": []}", ERROR_UNSUPPORTED },
                { "{\"schemaVersion\": 2}", ERROR_INVALID },
                { "{\"schemaVersion\": 2, \"config\": {\"digest\": \"md5:12\"}}", ERROR_INVALID },
                { "{\"schemaVersion\": 2, \"config\": {\"digest\": \"" DIGEST_1 "\", \"mediaType\": \"text/helm\"}}",
                  ERROR_UNSUPPORTED },
                { "{\"schemaVersion\": 2, \"config\": {\"digest\": \"" DIGEST_1
                  "\"}, \"layers\": [{\"digest\": \"sha256:../../x\"}]}",
                  ERROR_INVALID },
                { "{\"schemaVersion\": 2, \"config\": {\"digest\": \"" DIGEST_1
                  "\"}, \"layers\": [{\"digest\": \"" DIGEST_1 "\", \"size\": -1}]}",
                  ERROR_INVALID },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_manifest_ Manifest manifest = { 0 };
                _cleanup_json_ json_t *document = json(rows[i].text);

                assert_int_equal(manifest_parse(document, &manifest, NULL), -(int)rows[i].kind);
        }
}

static void test_select(void **state)
{
        static const char *const rows[][2] = {
                /* asked for, chosen */
                { "linux/amd64", DIGEST_1 },  { "linux/arm64", DIGEST_2 }, { "linux/arm64/v8", DIGEST_2 },
                { "linux/arm/v7", DIGEST_3 }, { "linux/arm", DIGEST_3 },   { "linux/arm/v6", NULL },
                { "windows/amd64", NULL },
        };
        _cleanup_json_ json_t *list = json(
                "{\"manifests\": ["
                "{\"digest\": \"" DIGEST_1 "\", \"platform\": {\"os\": \"linux\", \"architecture\": \"amd64\"}},"
                "{\"digest\": \"" DIGEST_2
                "\", \"platform\": {\"os\": \"linux\", \"architecture\": \"arm64\", \"variant\": \"v8\"}},"
                "{\"digest\": \"" DIGEST_3
                "\", \"platform\": {\"os\": \"linux\", \"architecture\": \"arm\", \"variant\": \"v7\"}},"
                "{\"digest\": \"" DIGEST_3 "\", \"platform\": {\"os\": \"unknown\", \"architecture\": \"unknown\"}}]}");

        assert_true(manifest_is_list(list));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_error_ Error *error = NULL;
                _cleanup_free_ char *digest = NULL;

                if (rows[i][1]) {
                        assert_int_equal(manifest_select(list, rows[i][0], &digest, &error), 0);
                        assert_string_equal(digest, rows[i][1]);
                } else {
                        assert_int_equal(manifest_select(list, rows[i][0], &digest, &error), -ERROR_NOT_FOUND);
                        assert_non_null(strstr(error->message, "linux/amd64, linux/arm64/v8, linux/arm/v7)"));
                }
        }
}

static void test_single_entry_without_platform(void **state)
{
        _cleanup_json_ json_t *list = json("{\"manifests\": [{\"digest\": \"" DIGEST_1 "\"}]}");
        _cleanup_free_ char *digest = NULL;

        assert_int_equal(manifest_select(list, NULL, &digest, NULL), 0);
        assert_string_equal(digest, DIGEST_1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_select),
                cmocka_unit_test(test_single_entry_without_platform),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
