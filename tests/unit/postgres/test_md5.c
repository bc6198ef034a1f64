#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "base/macros.h"
#include "postgres/md5.h"

/* Around the length of a block, where padding differs. Digests: md5sum's. */
static void test_verifiers_are_postgresqls(void **state)
{
        static const struct {
                const char *password, *user, *verifier;
        } cases[] = {
                { "secret", "postgres", "md553f48b7c4b76a86ce72276c5755f217d" },
                { "", "", "md5d41d8cd98f00b204e9800998ecf8427e" },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b",
                  "md5645f42061082548915c9fa5571f9d819" },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "",
                  "md53b0c8ac703f828b04c6c197006d17218" },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b",
                  "md5f49ba78618bb562229aea6252e2b834b" },
                { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                  "md552e99a8ecbb967bca9277fd66267111b" },
                { "pässwörd '\"", "user", "md5fba19a1c734d90b165d49f8af10d4f6c" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char verifier[MD5_VERIFIER_LENGTH + 1];

                md5_build_verifier(cases[i].password, cases[i].user, verifier);
                assert_string_equal(verifier, cases[i].verifier);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_verifiers_are_postgresqls) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
