
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/reference.h"
#include "image/store.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_normalize(void **state)
{
        static const char *const pairs[][2] = {
                { "postgres", "docker.io/library/postgres:latest" },
                { "postgres:16", "docker.io/library/postgres:16" },
                { "docker.io/postgres:16", "docker.io/library/postgres:16" },
                { "index.docker.io/postgres", "docker.io/library/postgres:latest" },
                { "docker.io/library/postgres", "docker.io/library/postgres:latest" },
                { "migrate/migrate:v4.18.3", "docker.io/migrate/migrate:v4.18.3" },
                { "localhost/x", "localhost/x:latest" },
                { "localhost:5000/x", "localhost:5000/x:latest" },
                { "localhost:5000/x:1.2_3-a", "localhost:5000/x:1.2_3-a" },
                { "[::1]:5000/a/b", "[::1]:5000/a/b:latest" },
                { "ghcr.io/a/b-c__d.e/f:V1", "ghcr.io/a/b-c__d.e/f:V1" },
                { "Registry/x", "Registry/x:latest" },
                { "a---b", "docker.io/library/a---b:latest" },
                { "x@sha256:" HEX, "docker.io/library/x@sha256:" HEX },
                { "q.io/x:1@sha256:" HEX, "q.io/x:1@sha256:" HEX },
        };

        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                _cleanup_free_ char *text = NULL;

                assert_int_equal(image_reference_normalize(pairs[i][0], &text, NULL), 0);
                assert_string_equal(text, pairs[i][1]);
        }
}

static void test_malformed(void **state)
{
        static const char *const texts[] = {
                "",
                ":",
                "@",
                "/",
                "x:",
                "x@",
                "x/",
                "/x",
                "x//y",
                "Postgres",
                "library/Postgres",
                "x:-a",
                "x: 1",
                "a b",
                "-x",
                "x-",
                "x.",
                ".x",
                "x..y",
                "x___y",
                "x_.y",
                "x@sha256:12",
                "x@md5:" HEX,
                HEX,
                "http://x/y",
                "a.b:/x",
                "a.b:port/x",
                "-a.b/x",
                "a.b-/x",
                "a..b/x",
                "[::1/x",
                "[]/x",
                "../x",
                "x/../y",
                "x\n",
                "x:\xc3\xa9",
                "a.b:123456/x",
                "localhost:5000/",
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_error_ Error *error = NULL;
                char *text = NULL;

                if (image_reference_normalize(texts[i], &text, &error) != -ERROR_INVALID)
                        fail_msg("\"%s\" was accepted as \"%s\"", texts[i], text);
                assert_null(text);
                assert_non_null(error);
        }
}

static void test_length_limits(void **state)
{
        char name[300], *text = NULL;

        memset(name, 'a', sizeof(name));
        name[255 - strlen("docker.io/library/")] = '\0';
        assert_int_equal(image_reference_normalize(name, &text, NULL), 0);
        free(text);
        name[256 - strlen("docker.io/library/")] = '\0';
        name[255 - strlen("docker.io/library/")] = 'a';
        assert_int_equal(image_reference_normalize(name, &text, NULL), -ERROR_INVALID);
}

static void test_familiar(void **state)
{
        static const char *const pairs[][2] = {
                { "docker.io/library/postgres:16", "postgres:16" },
                { "docker.io/migrate/migrate:v4", "migrate/migrate:v4" },
                { "localhost:5000/library/x:1", "localhost:5000/library/x:1" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                _cleanup_free_ char *text = reference_familiar(pairs[i][0]);

                assert_string_equal(text, pairs[i][1]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_normalize),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_length_limits),
                cmocka_unit_test(test_familiar),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
