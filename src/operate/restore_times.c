#include "operate/restore_times.h"

#include <string.h>

#include "base/mem.h"

/* The kernel stamps files by its last tick. */
#define STAMP_NS       INT64_C(100000000)
#define MICROSECOND_NS INT64_C(1000)

int64_t restore_before_ns(int64_t latest_ns)
{
        return MAX(latest_ns - MICROSECOND_NS, INT64_C(0));
}

void restore_add_times(WalTimes *times, const WalRange *range, const WalSegment *segment, uint32_t segment_bytes,
                       char *content)
{
        if (segment->start + segment_bytes > range->end)
                memset(content + (range->end > segment->start ? range->end - segment->start : 0), 0,
                       (size_t)(segment->start + segment_bytes - MAX(range->end, segment->start)));
        wal_times_read(times, segment->start, content, segment_bytes);
}

/* The latest commit of one segment by itself. One that began in the segment before it is not seen. */
static int64_t latest_of(Repository *repository, const WalRange *range, const WalSegment *segment,
                         uint32_t segment_bytes, char *content)
{
        WalTimes times = { 0 };

        if (wal_read_segment(repository, segment->name, segment_bytes, content, NULL) == 0)
                restore_add_times(&times, range, segment, segment_bytes, content);
        return times.latest_ns;
}

int64_t restore_last_commit_ns(Repository *repository, const WalRange *range, uint32_t segment_bytes)
{
        _cleanup_free_ char *content = xmalloc(segment_bytes);
        int64_t latest_ns = 0;

        for (size_t i = range->segments.length; !latest_ns && i-- > 0;)
                latest_ns = latest_of(repository, range, &range->segments.items[i], segment_bytes, content);
        return latest_ns;
}

/* From the end on: that is where it mostly is, but for a clock that was set back. */
bool restore_has_commit_behind(Repository *repository, const WalRange *range, uint32_t segment_bytes, int64_t time_ns)
{
        _cleanup_free_ char *content = xmalloc(segment_bytes);
        bool seen = false;

        for (size_t i = range->segments.length; i-- > 0;) {
                const WalSegment *segment = &range->segments.items[i];
                int64_t latest_ns = 0;

                if (!seen || segment->modified_ns + STAMP_NS >= time_ns)
                        latest_ns = latest_of(repository, range, segment, segment_bytes, content);
                if (latest_ns > time_ns)
                        return true;
                seen |= latest_ns > 0;
        }
        return false;
}
