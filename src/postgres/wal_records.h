/* The records of a stretch of the log that are of one kind. libc only.
 *
 * Format (xlog_internal.h, xlogrecord.h; the same from 9.5 to 18): pages with a header each, records one behind the other at
 * multiples of eight, going on behind the next page's header. */
#ifndef BERTH_POSTGRES_WAL_RECORDS_H
#define BERTH_POSTGRES_WAL_RECORDS_H

#include "postgres/wal_name.h"

/* Begin with zeros, and manager. */
typedef struct WalRecords {
        uint8_t manager;         /* whose records are looked for (rmgrlist.h) */
        Lsn next;                /* where the segment goes on that would continue the last one */
        uint32_t wanted, filled; /* a record that is in work: its length, and what is there of it; 0: none */
        bool kept;               /* it is one of those looked for */
        char record[4096];       /* longer ones are passed over */
} WalRecords;

/* Reads the segment that begins at start: take gets each record that is looked for and complete, in order. Ends without a word where
 * the segment's log does: what follows there is another time's. */
void wal_records_read(WalRecords *records, Lsn start, const char *segment, size_t size,
                      void (*take)(void *context, const WalRecords *records), void *context);

/* For take. The record's own data, behind the headers of what comes with it; NULL: it has none, or not by itself. */
const char *wal_record_data(const WalRecords *records, uint32_t *ret_size);
uint8_t wal_record_info(const WalRecords *records);
/* Whether its checksum is right. */
bool wal_record_is_whole(const WalRecords *records);

#endif
