#include "postgres/crc32c.h"

#include <pthread.h>
#include <string.h>

/* clang knows "+crc" for a single function since its release 16. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define WITH_ARM_CRC
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL UINT32_C(0x82f63b78)

static uint32_t add_bits(uint32_t crc, const unsigned char *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        }
        return crc;
}

/* The processor's own instruction, where it has one: some twenty times faster. */
#if defined(__x86_64__)
#define WITH_INSTRUCTION    __attribute__((target("sse4.2")))
#define add_word(sum, word) ((uint32_t)__builtin_ia32_crc32di(sum, word))
#define add_byte(sum, byte) __builtin_ia32_crc32qi(sum, byte)

static bool has_instruction(void)
{
        return __builtin_cpu_supports("sse4.2");
}
#elif defined(WITH_ARM_CRC)
#define WITH_INSTRUCTION    __attribute__((target("+crc")))
#define add_word(sum, word) __crc32cd(sum, word)
#define add_byte(sum, byte) __crc32cb(sum, byte)

static bool has_instruction(void)
{
        return getauxval(AT_HWCAP) & HWCAP_CRC32;
}
#endif

#ifdef WITH_INSTRUCTION
WITH_INSTRUCTION static uint32_t add_words(uint32_t crc, const unsigned char *bytes, size_t size)
{
        uint64_t word;

        for (; size >= sizeof(word); bytes += sizeof(word), size -= sizeof(word)) {
                memcpy(&word, bytes, sizeof(word));
                crc = add_word(crc, word);
        }
        for (; size > 0; bytes++, size--)
                crc = add_byte(crc, *bytes);
        return crc;
}

/* The instruction answers after three cycles and takes another one in each: three lanes at once keep it busy. */
#define LANE_BYTES 10920 /* thrice, and twice that, is a chunk of 64 KiB but for its last words */

static Crc32cJoin lane_join;
static pthread_once_t lane_once = PTHREAD_ONCE_INIT;

static void init_lane(void)
{
        crc32c_join_init(&lane_join, LANE_BYTES);
}

WITH_INSTRUCTION static uint32_t add_lanes(uint32_t crc, const unsigned char *bytes)
{
        uint32_t sums[3] = { ~crc, UINT32_MAX, UINT32_MAX };
        uint64_t words[3];

        for (size_t i = 0; i < LANE_BYTES; i += sizeof(words[0])) {
                for (size_t lane = 0; lane < 3; lane++)
                        memcpy(&words[lane], bytes + lane * LANE_BYTES + i, sizeof(words[0]));
                for (size_t lane = 0; lane < 3; lane++)
                        sums[lane] = add_word(sums[lane], words[lane]);
        }
        crc = crc32c_join(&lane_join, ~sums[0], ~sums[1]);
        return crc32c_join(&lane_join, crc, ~sums[2]);
}

static uint32_t add_fast(uint32_t crc, const unsigned char *bytes, size_t size)
{
        if (size >= 3 * LANE_BYTES)
                pthread_once(&lane_once, init_lane);
        for (; size >= 3 * LANE_BYTES; bytes += 3 * LANE_BYTES, size -= 3 * LANE_BYTES)
                crc = add_lanes(crc, bytes);
        return ~add_words(~crc, bytes, size);
}
#endif

uint32_t crc32c_add(uint32_t crc, const void *data, size_t size)
{
#ifdef WITH_INSTRUCTION
        if (has_instruction())
                return add_fast(crc, data, size);
#endif
        return ~add_bits(~crc, data, size);
}

uint32_t crc32c(const void *data, size_t size)
{
        return crc32c_add(0, data, size);
}

/* ---- joining: a CRC is moved past n zero bytes by multiplying with a power of a matrix over GF(2) ---- */

static uint32_t multiply(const uint32_t matrix[32], uint32_t vector)
{
        uint32_t sum = 0;

        for (int i = 0; vector; i++, vector >>= 1)
                if (vector & 1)
                        sum ^= matrix[i];
        return sum;
}

static void square(uint32_t result[32], const uint32_t matrix[32])
{
        for (int i = 0; i < 32; i++)
                result[i] = multiply(matrix, matrix[i]);
}

/* The matrix of one zero byte: that of a bit, squared three times. */
static void make_byte_matrix(uint32_t result[32])
{
        uint32_t bit[32], two[32];

        bit[0] = POLYNOMIAL;
        for (int i = 1; i < 32; i++)
                bit[i] = UINT32_C(1) << (i - 1);
        square(two, bit);
        square(bit, two);
        square(result, bit);
}

void crc32c_join_init(Crc32cJoin *join, uint64_t second_size)
{
        uint32_t power[32], next[32], product[32];

        for (int i = 0; i < 32; i++)
                join->matrix[i] = UINT32_C(1) << i;
        make_byte_matrix(power);
        for (; second_size; second_size >>= 1) {
                if (second_size & 1) {
                        for (int i = 0; i < 32; i++)
                                product[i] = multiply(power, join->matrix[i]);
                        memcpy(join->matrix, product, sizeof(product));
                }
                square(next, power);
                memcpy(power, next, sizeof(power));
        }
}

uint32_t crc32c_join(const Crc32cJoin *join, uint32_t first, uint32_t second)
{
        return multiply(join->matrix, first) ^ second;
}

uint32_t crc32c_join_pieces(const uint32_t *crcs, uint64_t size, uint32_t piece_bytes)
{
        uint64_t n = (size + piece_bytes - 1) / piece_bytes, rest = size % piece_bytes;
        uint32_t crc = n ? crcs[0] : 0;
        Crc32cJoin whole, last;

        if (n < 2)
                return crc;
        crc32c_join_init(&whole, piece_bytes);
        if (rest)
                crc32c_join_init(&last, rest);
        for (uint64_t i = 1; i < n; i++)
                crc = crc32c_join(i + 1 == n && rest ? &last : &whole, crc, crcs[i]);
        return crc;
}
