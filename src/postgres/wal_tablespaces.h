/* Tablespaces that a stretch of the log makes: whoever replays it needs their folders. libc only.
 *
 * Format (xlog_internal.h, xlogrecord.h, tablespace.h; the same from 9.5 to 18): pages with a header each, records one behind the
 * other at multiples of eight, going on behind the next page's header. */
#ifndef BERTH_POSTGRES_WAL_TABLESPACES_H
#define BERTH_POSTGRES_WAL_TABLESPACES_H

#include "base/vector.h"
#include "postgres/wal_name.h"

typedef struct WalTablespace {
        uint32_t oid;
        char *location; /* absolute, as it was asked for */
} WalTablespace;

/* Begin with zeros. */
typedef struct WalTablespaces {
        VECTOR(WalTablespace) found; /* in the order of the log; one made inside the data folder is left out */
        Lsn next;                    /* where the segment goes on that would continue the last one */
        uint32_t wanted, filled;     /* a record that is in work: its length, and what is there of it; 0: none */
        bool kept;                   /* it is one of those looked for */
        char record[4096];
} WalTablespaces;

void wal_tablespaces_done(WalTablespaces *tablespaces);
#define _cleanup_wal_tablespaces_ _cleanup_(wal_tablespaces_done)

/* Reads the segment that begins at start. Ends without a word where its log does: what follows there is another time's. */
void wal_tablespaces_read(WalTablespaces *tablespaces, Lsn start, const char *segment, size_t size);

#endif
