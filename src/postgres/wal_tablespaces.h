/* Tablespaces that a stretch of the log makes (tablespace.h; the same from 9.5 to 18): whoever replays it needs their folders. libc
 * only. */
#ifndef BERTH_POSTGRES_WAL_TABLESPACES_H
#define BERTH_POSTGRES_WAL_TABLESPACES_H

#include "base/vector.h"
#include "postgres/wal_records.h"

typedef struct WalTablespace {
        uint32_t oid;
        char *location; /* absolute, as it was asked for */
} WalTablespace;

/* Begin with zeros. */
typedef struct WalTablespaces {
        VECTOR(WalTablespace) found; /* in the order of the log; one made inside the data folder is left out */
        WalRecords records;
} WalTablespaces;

void wal_tablespaces_done(WalTablespaces *tablespaces);
#define _cleanup_wal_tablespaces_ _cleanup_(wal_tablespaces_done)

/* Reads the segment that begins at start. Ends without a word where its log does. */
void wal_tablespaces_read(WalTablespaces *tablespaces, Lsn start, const char *segment, size_t size);

#endif
