#include "postgres/wal_tablespaces.h"

#include <string.h>

#include "base/mem.h"

#define PAGE_HEADER       24u /* XLogPageHeaderData, aligned */
#define LONG_HEADER       40u /* XLogLongPageHeaderData: the first of a segment */
#define AT_PAGE_ADDRESS   8u
#define AT_REMAINDER      16u /* bytes of a record that began on an earlier page */
#define AT_BLOCK_SIZE     36u
#define CONTINUES         0x0001u /* XLP_FIRST_IS_CONTRECORD */
#define IS_LONG           0x0002u /* XLP_LONG_HEADER */
#define RECORD_HEADER     24u /* XLogRecord */
#define AT_INFO           16u
#define AT_MANAGER        17u
#define TABLESPACES       5u /* RM_TBLSPC_ID */
#define CREATE            0x00u /* XLOG_TBLSPC_CREATE */
#define OPERATION         0xF0u
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

void wal_tablespaces_done(WalTablespaces *tablespaces)
{
        VECTOR_FOREACH(item, &tablespaces->found)
                free(item->location);
        vector_done(&tablespaces->found);
}

/* ---- a record ---- */

/* The record's own data, behind the headers of what comes with it; NULL: it is not as one of these. */
static const char *data_of(const char *record, uint32_t size, uint32_t *ret_size)
{
        uint32_t at = RECORD_HEADER;

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

/* xl_tblspc_create_rec: the oid, and the path with its end. */
static void take_record(WalTablespaces *tablespaces)
{
        const char *record = tablespaces->record, *data;
        uint32_t size = 0;

        if (((uint8_t)record[AT_INFO] & OPERATION) != CREATE)
                return;
        data = data_of(record, tablespaces->wanted, &size);
        if (!data || size <= sizeof(uint32_t) || data[size - 1] != '\0' || data[sizeof(uint32_t)] != '/')
                return;
        vector_add(&tablespaces->found, ((WalTablespace){ read_32(data), xstrdup(data + sizeof(uint32_t)) }));
}

/* ---- pages ---- */

/* Takes what the page has of the record in work, and returns how much that is. */
static uint32_t go_on(WalTablespaces *tablespaces, const char *from, uint32_t available)
{
        uint32_t n = MIN(tablespaces->wanted - tablespaces->filled, available);

        /* Which kind it is stands in its header, which may lie on two pages. */
        if (tablespaces->kept && tablespaces->filled < sizeof(tablespaces->record))
                memcpy(tablespaces->record + tablespaces->filled, from, MIN(n, (uint32_t)sizeof(tablespaces->record) - tablespaces->filled));
        tablespaces->filled += n;
        if (tablespaces->kept && tablespaces->filled >= RECORD_HEADER)
                tablespaces->kept = (uint8_t)tablespaces->record[AT_MANAGER] == TABLESPACES &&
                                    tablespaces->wanted <= sizeof(tablespaces->record);
        if (tablespaces->filled == tablespaces->wanted) {
                if (tablespaces->kept)
                        take_record(tablespaces);
                tablespaces->wanted = 0;
        }
        return n;
}

static void begin_record(WalTablespaces *tablespaces, uint32_t size)
{
        tablespaces->wanted = size;
        tablespaces->filled = 0;
        tablespaces->kept = true;
}

/* false: the log ends here. */
static bool read_page(WalTablespaces *tablespaces, Lsn address, const char *page, uint32_t size)
{
        uint16_t info = read_16(page + 2);
        uint32_t at = info & IS_LONG ? LONG_HEADER : PAGE_HEADER, remainder = read_32(page + AT_REMAINDER);

        if (read_64(page + AT_PAGE_ADDRESS) != address)
                return false;
        if (!(info & CONTINUES))
                tablespaces->wanted = 0; /* what had begun was given up */
        else if (tablespaces->wanted && remainder == tablespaces->wanted - tablespaces->filled)
                at += go_on(tablespaces, page + at, size - at);
        else { /* of one whose beginning is not here */
                tablespaces->wanted = 0;
                at += MIN(remainder, size - at);
        }
        for (at = (at + 7) & ~7u; at + 8 <= size && !tablespaces->wanted; at = (at + 7) & ~7u) {
                uint32_t length = read_32(page + at);

                if (length < RECORD_HEADER)
                        return length == 0; /* a segment that was left early is zeros from here on */
                begin_record(tablespaces, length);
                at += go_on(tablespaces, page + at, size - at);
        }
        return true;
}

void wal_tablespaces_read(WalTablespaces *tablespaces, Lsn start, const char *segment, size_t size)
{
        uint32_t page_size = size > LONG_HEADER ? read_32(segment + AT_BLOCK_SIZE) : 0;

        if (start != tablespaces->next)
                tablespaces->wanted = 0;
        tablespaces->next = start + size;
        if (page_size < 1024 || page_size > 65536 || (page_size & (page_size - 1)))
                return;
        for (size_t at = 0; at + page_size <= size; at += page_size)
                if (!read_page(tablespaces, start + at, segment + at, page_size))
                        return;
}
