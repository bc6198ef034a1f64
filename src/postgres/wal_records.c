#include "postgres/wal_records.h"

#include <string.h>

#include "postgres/crc32c.h"

#define PAGE_HEADER       24u /* XLogPageHeaderData, aligned */
#define LONG_HEADER       40u /* XLogLongPageHeaderData: the first of a segment */
#define AT_PAGE_ADDRESS   8u
#define AT_REMAINDER      16u /* bytes of a record that began on an earlier page */
#define AT_BLOCK_SIZE     36u
#define CONTINUES         0x0001u /* XLP_FIRST_IS_CONTRECORD */
#define IS_LONG           0x0002u /* XLP_LONG_HEADER */
#define RECORD_HEADER     24u     /* XLogRecord */
#define AT_INFO           16u
#define AT_MANAGER        17u
#define AT_SUM            20u  /* over all behind the header, and then the header before it */
#define BLOCK_SHORT       255u /* XLR_BLOCK_ID_DATA_SHORT: a length of one byte */
#define BLOCK_LONG        254u /* of four */
#define BLOCK_ORIGIN      253u /* two bytes */
#define BLOCK_TRANSACTION 252u /* four */

static uint16_t read_16(const char *at)
{
        uint16_t value;

        memcpy(&value, at, sizeof(value));
        return value;
}

static uint32_t read_32(const char *at)
{
        uint32_t value;

        memcpy(&value, at, sizeof(value));
        return value;
}

static uint64_t read_64(const char *at)
{
        uint64_t value;

        memcpy(&value, at, sizeof(value));
        return value;
}

/* ---- a record ---- */

uint8_t wal_record_info(const WalRecords *records)
{
        return (uint8_t)records->record[AT_INFO];
}

const char *wal_record_data(const WalRecords *records, uint32_t *ret_size)
{
        const char *record = records->record;
        uint32_t at = RECORD_HEADER, size = records->wanted;

        while (at + 5 <= size) {
                uint8_t block = (uint8_t)record[at];

                if (block == BLOCK_SHORT || block == BLOCK_LONG) {
                        uint32_t length = block == BLOCK_SHORT ? (uint8_t)record[at + 1] : read_32(record + at + 1);

                        at += block == BLOCK_SHORT ? 2 : 5;
                        *ret_size = length;
                        return length <= size - at ? record + at : NULL;
                }
                if (block != BLOCK_ORIGIN && block != BLOCK_TRANSACTION)
                        return NULL;
                at += block == BLOCK_ORIGIN ? 3 : 5;
        }
        return NULL;
}

bool wal_record_is_whole(const WalRecords *records)
{
        uint32_t sum = crc32c(records->record + RECORD_HEADER, records->wanted - RECORD_HEADER);

        return crc32c_add(sum, records->record, AT_SUM) == read_32(records->record + AT_SUM);
}

/* ---- pages ---- */

typedef struct Reading {
        WalRecords *records;
        void (*take)(void *context, const WalRecords *records);
        void *context;
} Reading;

/* Takes what the page has of the record in work, and returns how much that is. */
static uint32_t go_on(const Reading *reading, const char *from, uint32_t available)
{
        WalRecords *records = reading->records;
        uint32_t n = MIN(records->wanted - records->filled, available);

        /* Which kind it is stands in its header, which may lie on two pages. */
        if (records->kept && records->filled < sizeof(records->record))
                memcpy(records->record + records->filled, from,
                       MIN(n, (uint32_t)sizeof(records->record) - records->filled));
        records->filled += n;
        if (records->kept && records->filled >= RECORD_HEADER)
                records->kept = (uint8_t)records->record[AT_MANAGER] == records->manager &&
                                records->wanted <= sizeof(records->record);
        if (records->filled == records->wanted) {
                if (records->kept)
                        reading->take(reading->context, records);
                records->wanted = 0;
        }
        return n;
}

static void begin_record(WalRecords *records, uint32_t size)
{
        records->wanted = size;
        records->filled = 0;
        records->kept = true;
}

/* false: the log ends here. */
static bool read_page(const Reading *reading, Lsn address, const char *page, uint32_t size)
{
        WalRecords *records = reading->records;
        uint16_t info = read_16(page + 2);
        uint32_t at = info & IS_LONG ? LONG_HEADER : PAGE_HEADER, remainder = read_32(page + AT_REMAINDER);

        if (read_64(page + AT_PAGE_ADDRESS) != address)
                return false;
        if (!(info & CONTINUES))
                records->wanted = 0; /* what had begun was given up */
        else if (records->wanted && remainder == records->wanted - records->filled)
                at += go_on(reading, page + at, size - at);
        else { /* of one whose beginning is not here */
                records->wanted = 0;
                at += MIN(remainder, size - at);
        }
        for (at = (at + 7) & ~7u; at + 8 <= size && !records->wanted; at = (at + 7) & ~7u) {
                uint32_t length = read_32(page + at);

                if (length < RECORD_HEADER)
                        return length == 0; /* a segment that was left early is zeros from here on */
                begin_record(records, length);
                at += go_on(reading, page + at, size - at);
        }
        return true;
}

void wal_records_read(WalRecords *records, Lsn start, const char *segment, size_t size,
                      void (*take)(void *context, const WalRecords *records), void *context)
{
        const Reading reading = { records, take, context };
        uint32_t page_size = size > LONG_HEADER ? read_32(segment + AT_BLOCK_SIZE) : 0;

        if (start != records->next)
                records->wanted = 0;
        records->next = start + size;
        if (page_size < 1024 || page_size > 65536 || (page_size & (page_size - 1)))
                return;
        for (size_t at = 0; at + page_size <= size; at += page_size)
                if (!read_page(&reading, start + at, segment + at, page_size))
                        return;
}
