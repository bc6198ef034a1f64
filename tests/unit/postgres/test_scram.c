
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "postgres/scram.h"

/* Vector: RFC 7677's example (password "pencil", its salt, 4096 rounds), keys as PostgreSQL derives them. */
static void test_rfc7677_vector(void **state)
{
        static const unsigned char salt[SCRAM_SALT_SIZE] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                                             0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };
        _cleanup_free_ char *verifier = NULL;

        assert_int_equal(scram_build_verifier("pencil", salt, 4096, &verifier, NULL), 0);
        assert_string_equal(verifier, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
        assert_int_equal(strlen(verifier), SCRAM_VERIFIER_LENGTH);
}

static void test_salts_differ(void **state)
{
        _cleanup_free_ char *a = NULL, *b = NULL;

        assert_int_equal(scram_build_verifier("x", NULL, 4096, &a, NULL), 0);
        assert_int_equal(scram_build_verifier("x", NULL, 4096, &b, NULL), 0);
        assert_string_not_equal(a, b);
}

static void test_what_must_be_normalised_is_refused(void **state)
{
        char *verifier = NULL;

        static const char
                *const plain[] = { "pässword", "\x01\x7f", "Ключ", "λόγος", "密码パスワード비밀번호", "zł€ß" },
                       *const others[] = { "a\u0308",  "\u00a0",   "\u00aa", "ﬁ", "\u05d0",
                                           "\xff\xfe", "\xc0\xaf", "\xe4",   "Ⅳ", "😀" };

        for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
                assert_true(scram_is_plain(plain[i]));
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                assert_false(scram_is_plain(others[i]));
                assert_int_equal(scram_build_verifier(others[i], NULL, 4096, &verifier, NULL), -ERROR_UNSUPPORTED);
                assert_null(verifier);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rfc7677_vector),
                cmocka_unit_test(test_salts_differ),
                cmocka_unit_test(test_what_must_be_normalised_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
