/* What the log says of times. A server that recovers to a time stops at the first commit behind it, so what certainly leads to a
 * time is a log that has such a commit, or one that is known to be complete until then. When a segment came, or its file was
 * written, tells neither: it may have come hours after it was written, or be a copy's copy. */
#ifndef BERTH_OPERATE_RESTORE_TIMES_H
#define BERTH_OPERATE_RESTORE_TIMES_H

#include "postgres/wal_times.h"
#include "repository/wal_archive.h"

/* The newest moment to which a log certainly leads whose latest commit is this one; 0: none. */
int64_t restore_before_ns(int64_t latest_ns);
/* Adds a segment of range to times, as far as range leads. content holds segment_bytes, and is cut there. */
void restore_add_times(WalTimes *times, const WalRange *range, const WalSegment *segment, uint32_t segment_bytes,
                       char *content);

/* Of the last segment of range that has any, the latest commit; 0: there is none that can be read. */
int64_t restore_last_commit_ns(Repository *repository, const WalRange *range, uint32_t segment_bytes);
/* Whether range has a commit behind time_ns. Segments that were there before it are not looked at for one. */
bool restore_has_commit_behind(Repository *repository, const WalRange *range, uint32_t segment_bytes, int64_t time_ns);

#endif
