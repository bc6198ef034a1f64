#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "base/base64.h"
#include "base/mem.h"

/* RFC 4648, section 10. */
static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
};

static void vectors_of_the_standard(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                _cleanup_free_ char *text = base64_encode(vectors[i][0], strlen(vectors[i][0])), *data = NULL;
                size_t size = 99;

                assert_string_equal(text, vectors[i][1]);
                data = base64_decode(text, &size);
                assert_string_equal(data, vectors[i][0]);
                assert_int_equal(size, strlen(vectors[i][0]));
        }
}

static void every_byte_comes_back(void **state)
{
        unsigned char bytes[256];
        _cleanup_free_ char *text = NULL, *data = NULL;
        size_t size;

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (unsigned char)i;
        text = base64_encode(bytes, sizeof(bytes));
        data = base64_decode(text, &size);
        assert_int_equal(size, sizeof(bytes));
        assert_memory_equal(data, bytes, sizeof(bytes));
}

static void lines_are_joined_and_other_characters_refused(void **state)
{
        size_t size;
        _cleanup_free_ char *data = base64_decode("Zm9v\n YmFy\n", &size);

        assert_string_equal(data, "foobar");
        assert_null(base64_decode("Zm9v*", &size));
        assert_null(base64_decode("Zm9v\xc3\xa9", &size));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(vectors_of_the_standard),
                cmocka_unit_test(every_byte_comes_back),
                cmocka_unit_test(lines_are_joined_and_other_characters_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
