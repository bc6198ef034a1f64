/* Places in a cluster's log and the names of its files, as PostgreSQL writes them (xlog_internal.h, pg_lsn.c). libc only.
 *
 * An Lsn counts bytes since the cluster was made. A segment's name is timeline, high and low part of its number, 8
 * hexadecimal digits each; how many segments share a high part depends on their size. */
#ifndef BERTH_POSTGRES_WAL_NAME_H
#define BERTH_POSTGRES_WAL_NAME_H

#include "base/error.h"
#include "base/vector.h"

typedef uint64_t Lsn;

#define LSN_TEXT_SIZE 18 /* "FFFFFFFF/FFFFFFFF" and its end */
#define WAL_NAME_SIZE 25 /* 24 digits and the end */

/* "16/B374D848" ; false where the text is no such thing. */
bool lsn_parse(const char *text, Lsn *ret);
/* Into text, which it returns. */
char *lsn_format(Lsn lsn, char text[LSN_TEXT_SIZE]);

/* The start of the segment that holds lsn. segment_bytes is a power of two. */
Lsn wal_segment_start(Lsn lsn, uint32_t segment_bytes);
char *wal_segment_name(uint32_t timeline, Lsn lsn, uint32_t segment_bytes, char name[WAL_NAME_SIZE]);
/* false where it is not exactly 24 upper-case digits. *ret_start is the segment's first byte. */
bool wal_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *ret_timeline, Lsn *ret_start);

/* One line of a timeline's history file: parent was left at switch_lsn. */
typedef struct TimelineStep {
        uint32_t parent;
        Lsn switch_lsn;
} TimelineStep;

typedef struct TimelineHistory {
        VECTOR(TimelineStep) steps; /* oldest first */
} TimelineHistory;

void timeline_history_done(TimelineHistory *history);
#define _cleanup_timeline_history_ _cleanup_(timeline_history_done)

/* ERROR_CORRUPT where a line is not as timeline.c writes it. Timeline 1 has no file: an empty text is an empty history. */
int timeline_history_parse(const char *text, TimelineHistory *ret, Error **err);

#endif
