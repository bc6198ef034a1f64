#include "base/sha256_pair.h"

#include "base/mem.h"

static void hash_plainly(const Sha256Piece *piece, unsigned char ret[SHA256_SIZE])
{
        Sha256 hash;

        sha256_init(&hash);
        sha256_add(&hash, piece->data, piece->size);
        sha256_finish(&hash, ret);
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>

#define FAST __attribute__((target("sha,sse4.1")))
/* In registers all the way: of a lane nothing goes through memory within a block. */
#define FAST_INLINE static inline __attribute__((always_inline, target("sha,sse4.1")))

#define BLOCK_BYTES  64
#define LENGTH_BYTES 8 /* at the end of the last block */

typedef struct Lane {
        __m128i abef, cdgh; /* the state as the instructions want it: A and B first, E and F behind them */
        const unsigned char *at;
        size_t blocks; /* whole ones from at on */
} Lane;

/* Content that fills no block, the bit behind it, zeros and the length. */
typedef struct Tail {
        unsigned char bytes[2 * BLOCK_BYTES];
        size_t blocks;
} Tail;

FAST_INLINE __m128i read_words(const unsigned char *bytes)
{
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

        return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)bytes), big_endian);
}

FAST_INLINE void four_rounds(Lane *lane, __m128i words, size_t round)
{
        const __m128i sum = _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)(sha256_round_constants + round)));

        lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
        lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The four words after sixteen, of which a are the oldest: they take a's place. */
FAST_INLINE __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
        return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)), d);
}

/* A block of each lane; other: NULL where there is one lane. The processor overlaps what the lanes do by itself, as long as
 * they stay close to one another. */
FAST_INLINE void add_block(Lane *lane, Lane *other)
{
        const Lane before = *lane, other_before = other ? *other : before;
        __m128i words[4], other_words[4] = { 0 };

#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
                words[i] = read_words(lane->at + 16 * i);
                four_rounds(lane, words[i], 4 * i);
                if (!other)
                        continue;
                other_words[i] = read_words(other->at + 16 * i);
                four_rounds(other, other_words[i], 4 * i);
        }
#pragma GCC unroll 12
        for (size_t i = 4; i < 16; i++) {
                words[i % 4] = next_words(words[i % 4], words[(i + 1) % 4], words[(i + 2) % 4], words[(i + 3) % 4]);
                four_rounds(lane, words[i % 4], 4 * i);
                if (!other)
                        continue;
                other_words[i % 4] = next_words(other_words[i % 4], other_words[(i + 1) % 4], other_words[(i + 2) % 4],
                                                other_words[(i + 3) % 4]);
                four_rounds(other, other_words[i % 4], 4 * i);
        }
        lane->abef = _mm_add_epi32(lane->abef, before.abef);
        lane->cdgh = _mm_add_epi32(lane->cdgh, before.cdgh);
        lane->at += BLOCK_BYTES;
        if (!other)
                return;
        other->abef = _mm_add_epi32(other->abef, other_before.abef);
        other->cdgh = _mm_add_epi32(other->cdgh, other_before.cdgh);
        other->at += BLOCK_BYTES;
}

FAST static void add_to_one(Lane *lane)
{
        Lane work = *lane;

        for (; work.blocks > 0; work.blocks--)
                add_block(&work, NULL);
        *lane = work;
}

/* As many blocks of both as both have. */
FAST static void add_to_both(Lane lanes[2])
{
        size_t blocks = MIN(lanes[0].blocks, lanes[1].blocks);
        Lane first = lanes[0], second = lanes[1];

        for (size_t i = 0; i < blocks; i++)
                add_block(&first, &second);
        first.blocks -= blocks;
        second.blocks -= blocks;
        lanes[0] = first;
        lanes[1] = second;
}

static void add_all(Lane lanes[2])
{
        add_to_both(lanes);
        add_to_one(&lanes[0]);
        add_to_one(&lanes[1]);
}

FAST static void lane_begin(Lane *lane, const Sha256Piece *piece)
{
        Sha256 start;
        const uint32_t *s = start.state;

        sha256_init(&start);
        *lane = (Lane){ .abef = _mm_setr_epi32((int)s[5], (int)s[4], (int)s[1], (int)s[0]),
                        .cdgh = _mm_setr_epi32((int)s[7], (int)s[6], (int)s[3], (int)s[2]),
                        .at = piece->data,
                        .blocks = piece->size / BLOCK_BYTES };
}

static void tail_begin(Tail *tail, const Sha256Piece *piece)
{
        size_t rest = piece->size % BLOCK_BYTES;
        uint64_t bits = __builtin_bswap64((uint64_t)piece->size * 8);

        *tail = (Tail){ .blocks = rest < BLOCK_BYTES - LENGTH_BYTES ? 1 : 2 };
        if (rest)
                memcpy(tail->bytes, (const unsigned char *)piece->data + piece->size - rest, rest);
        tail->bytes[rest] = 0x80;
        memcpy(tail->bytes + tail->blocks * BLOCK_BYTES - sizeof(bits), &bits, sizeof(bits));
}

FAST static void lane_end(const Lane *lane, unsigned char ret[SHA256_SIZE])
{
        uint32_t feba[4], hgdc[4];

        _mm_storeu_si128((__m128i *)feba, lane->abef);
        _mm_storeu_si128((__m128i *)hgdc, lane->cdgh);
        const uint32_t state[8] = { feba[3], feba[2], hgdc[3], hgdc[2], feba[1], feba[0], hgdc[1], hgdc[0] };
        for (size_t i = 0; i < ARRAY_SIZE(state); i++) {
                uint32_t word = __builtin_bswap32(state[i]);
                memcpy(ret + sizeof(word) * i, &word, sizeof(word));
        }
}

static void hash_pair(const Sha256Piece pieces[2], unsigned char ret[2][SHA256_SIZE])
{
        Lane lanes[2];
        Tail tails[2];

        for (size_t i = 0; i < 2; i++)
                lane_begin(&lanes[i], &pieces[i]);
        add_all(lanes);
        for (size_t i = 0; i < 2; i++) {
                tail_begin(&tails[i], &pieces[i]);
                lanes[i].at = tails[i].bytes;
                lanes[i].blocks = tails[i].blocks;
        }
        add_all(lanes);
        for (size_t i = 0; i < 2; i++)
                lane_end(&lanes[i], ret[i]);
}

static bool is_fast;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Once: in a virtual machine the question leaves it. */
static void look_at_processor(void)
{
        unsigned a = 0, b = 0, c = 0, d = 0;

        is_fast = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_SHA;
}

bool sha256_pair_is_fast(void)
{
        pthread_once(&once, look_at_processor);
        return is_fast;
}
#else
static void hash_pair(const Sha256Piece pieces[2], unsigned char ret[2][SHA256_SIZE])
{
}

bool sha256_pair_is_fast(void)
{
        return false;
}
#endif

void sha256_pair(const Sha256Piece pieces[2], unsigned char ret[2][SHA256_SIZE])
{
        if (sha256_pair_is_fast()) {
                hash_pair(pieces, ret);
                return;
        }
        hash_plainly(&pieces[0], ret[0]);
        hash_plainly(&pieces[1], ret[1]);
}
