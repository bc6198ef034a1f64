
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/sha256.h"

static void check(const char *text, const char *expected)
{
        _cleanup_free_ char *hex = sha256_hex(text, strlen(text));

        assert_string_equal(hex, expected);
}

static void test_vectors_of_the_standard(void **state)
{
        check("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_a_million_in_uneven_pieces(void **state)
{
        unsigned char digest[SHA256_SIZE];
        _cleanup_free_ char *hex = NULL;
        char piece[997];
        size_t left = 1000000;
        Sha256 hash;

        memset(piece, 'a', sizeof(piece));
        sha256_init(&hash);
        while (left) {
                size_t n = MIN(left, sizeof(piece));
                sha256_add(&hash, piece, n);
                left -= n;
        }
        sha256_finish(&hash, digest);
        hex = hex_encode(digest, sizeof(digest));
        assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Lengths around the padding's edge of 55, 56 and 64 bytes, against one another: pieces or whole give the same. */
static void test_every_length_around_a_block(void **state)
{
        char text[200];

        memset(text, 'z', sizeof(text));
        for (size_t length = 50; length < 135; length++) {
                _cleanup_free_ char *whole = sha256_hex(text, length), *pieces = NULL;
                unsigned char digest[SHA256_SIZE];
                Sha256 hash;

                sha256_init(&hash);
                for (size_t i = 0; i < length; i++)
                        sha256_add(&hash, text + i, 1);
                sha256_finish(&hash, digest);
                pieces = hex_encode(digest, sizeof(digest));
                assert_string_equal(whole, pieces);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vectors_of_the_standard),
                cmocka_unit_test(test_a_million_in_uneven_pieces),
                cmocka_unit_test(test_every_length_around_a_block),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
