#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include <openssl/sha.h>

#include "repository/chunk.h"

static void names_of_two_are_those_of_each(void **state)
{
        static unsigned char content[2 * 65536];
        static const size_t sizes[][2] = { { 65536, 65536 }, { 65536, 8192 }, { 1, 65536 }, { 0, 55 } };
        unsigned char expected[SHA256_SIZE];

        for (size_t i = 0; i < sizeof(content); i++)
                content[i] = (unsigned char)(i * i >> 7);
        for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
                for (size_t n = 0; n <= 2; n++) {
                        const Sha256Piece pieces[2] = { { content, sizes[s][0] }, { content + 65536, sizes[s][1] } };
                        ChunkId ids[3] = { 0 };

                        chunk_ids_compute(pieces, n, (ChunkId *[]){ &ids[0], &ids[1] });
                        for (size_t i = 0; i < n; i++) {
                                SHA256(pieces[i].data, pieces[i].size, expected);
                                assert_memory_equal(ids[i].bytes, expected, sizeof(expected));
                        }
                        assert_memory_equal(&ids[n], &(ChunkId){ 0 }, sizeof(ids[n]));
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_of_two_are_those_of_each),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
