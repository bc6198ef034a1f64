#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include <openssl/sha.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/sha256_pair.h"

enum { LONGEST = 330, CHUNK_BYTES = 65536, ROUNDS = 400 };

static unsigned char bytes[2 * CHUNK_BYTES + 64];

static int fill_bytes(void **state)
{
        srandom(20261122);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (unsigned char)random();
        return 0;
}

static void check(Sha256Piece first, Sha256Piece second)
{
        unsigned char digests[2][SHA256_SIZE], expected[2][SHA256_SIZE];

        sha256_pair((const Sha256Piece[]){ first, second }, digests);
        SHA256(first.data, first.size, expected[0]);
        SHA256(second.data, second.size, expected[1]);
        assert_memory_equal(digests, expected, sizeof(expected));
}

/* Five blocks and each edge of the padding in both, each length beside each other. */
static void every_length_beside_every_length(void **state)
{
        for (size_t first = 0; first <= LONGEST; first++)
                for (size_t second = 0; second <= LONGEST; second++)
                        check((Sha256Piece){ bytes + first % 16, first },
                              (Sha256Piece){ bytes + 1000 + second % 7, second });
}

static void pieces_may_lie_anywhere(void **state)
{
        for (size_t first = 0; first < 32; first++)
                for (size_t second = 0; second < 32; second++)
                        check((Sha256Piece){ bytes + first, 200 }, (Sha256Piece){ bytes + 300 + second, 200 });
}

/* In memory that ends with it: nothing behind a piece is read, which a build with sanitizers sees. */
static void pieces_of_any_size_and_content(void **state)
{
        for (int i = 0; i < ROUNDS; i++) {
                size_t first = (size_t)random() % CHUNK_BYTES, second = i % 4 ? (size_t)random() % CHUNK_BYTES : first;
                _cleanup_free_ void *one = xmemdup(bytes + random() % CHUNK_BYTES, first);
                _cleanup_free_ void *two = xmemdup(bytes + random() % CHUNK_BYTES, second);

                check((Sha256Piece){ one, first }, (Sha256Piece){ two, second });
        }
}

static void both_may_be_the_same(void **state)
{
        check((Sha256Piece){ bytes, CHUNK_BYTES }, (Sha256Piece){ bytes, CHUNK_BYTES });
        check((Sha256Piece){ NULL, 0 }, (Sha256Piece){ NULL, 0 });
        check((Sha256Piece){ NULL, 0 }, (Sha256Piece){ bytes, 2 * CHUNK_BYTES });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_length_beside_every_length),
                cmocka_unit_test(pieces_may_lie_anywhere),
                cmocka_unit_test(pieces_of_any_size_and_content),
                cmocka_unit_test(both_may_be_the_same),
        };
        return cmocka_run_group_tests(tests, fill_bytes, NULL);
}
