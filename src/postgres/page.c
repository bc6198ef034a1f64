#include "postgres/page.h"

#include "base/mem.h"

/* The algorithm of PostgreSQL's storage/checksum_impl.h: 32 interleaved FNV-1a sums, folded. */
#define N_SUMS          32
#define FNV_PRIME       UINT32_C(16777619)
#define CHECKSUM_OFFSET 8

static const uint32_t base_offsets[N_SUMS] = {
        0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
        0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
        0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
        0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};

static uint32_t mix(uint32_t sum, uint32_t value)
{
        uint32_t mixed = sum ^ value;

        return mixed * FNV_PRIME ^ mixed >> 17;
}

/* A row holds one word for each sum. Pages lie anywhere. */
#define ROWS (PAGE_SIZE_BYTES / 4 / N_SUMS)
typedef uint32_t Word __attribute__((may_alias, aligned(1)));

static inline __attribute__((always_inline)) uint32_t add_rows(const Word *page)
{
        uint32_t sums[N_SUMS], first[N_SUMS], result = 0;

        memcpy(first, page, sizeof(first));
        memset((char *)first + CHECKSUM_OFFSET, 0, 2);
        for (size_t i = 0; i < N_SUMS; i++)
                sums[i] = mix(base_offsets[i], first[i]);
        for (size_t row = 1; row < ROWS; row++)
                for (size_t i = 0; i < N_SUMS; i++)
                        sums[i] = mix(sums[i], page[row * N_SUMS + i]);
        for (int round = 0; round < 2; round++)
                for (size_t i = 0; i < N_SUMS; i++)
                        sums[i] = mix(sums[i], 0);
        for (size_t i = 0; i < N_SUMS; i++)
                result ^= sums[i];
        return result;
}

#ifdef __x86_64__
/* Eight sums at a time; the compiler makes of it what it can elsewhere. */
__attribute__((target("avx2"))) static uint32_t add_rows_avx2(const Word *page)
{
        return add_rows(page);
}
#endif

static uint32_t add_rows_plain(const Word *page)
{
        return add_rows(page);
}

uint16_t page_checksum(const void *page, uint32_t block_number)
{
        uint32_t result;

#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2"))
                result = add_rows_avx2(page);
        else
#endif
                result = add_rows_plain(page);
        result ^= block_number;
        return (uint16_t)(result % 65535 + 1);
}

uint16_t page_stored_checksum(const void *page)
{
        uint16_t checksum;

        memcpy(&checksum, (const char *)page + CHECKSUM_OFFSET, sizeof(checksum));
        return checksum;
}

void page_store_checksum(void *page, uint16_t checksum)
{
        memcpy((char *)page + CHECKSUM_OFFSET, &checksum, sizeof(checksum));
}

/* PageHeaderData (bufpage.h): the LSN as two halves, the higher one first. */
#define UPPER_OFFSET 14

static bool is_zero(const char *page)
{
        for (size_t i = 0; i < PAGE_SIZE_BYTES; i++)
                if (page[i])
                        return false;
        return true;
}

bool page_is_sound(const void *page, uint32_t block_number, uint64_t written_since)
{
        uint32_t high, low;
        uint16_t upper;

        memcpy(&high, page, sizeof(high));
        memcpy(&low, (const char *)page + sizeof(high), sizeof(low));
        memcpy(&upper, (const char *)page + UPPER_OFFSET, sizeof(upper));
        if (((uint64_t)high << 32 | low) >= written_since)
                return true;
        if (upper == 0)
                return is_zero(page);
        return page_checksum(page, block_number) == page_stored_checksum(page);
}
