/* The times of commits in a stretch of the log: what a recovery to a time goes by (xact.h, xlogrecovery.c). libc only. */
#ifndef BERTH_POSTGRES_WAL_TIMES_H
#define BERTH_POSTGRES_WAL_TIMES_H

#include "postgres/wal_records.h"

/* Begin with zeros. */
typedef struct WalTimes {
        int64_t latest_ns; /* of the commits and rollbacks that were read, the latest; realtime; 0: there was none */
        WalRecords records;
} WalTimes;

/* Reads the segment that begins at start. Only records whose checksum is right count. */
void wal_times_read(WalTimes *times, Lsn start, const char *segment, size_t size);

#endif
