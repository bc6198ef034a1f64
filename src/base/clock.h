/* Time. Times are int64_t nanoseconds; a Clock can be replaced, so that tests let hours pass in milliseconds. */
#ifndef BERTH_BASE_CLOCK_H
#define BERTH_BASE_CLOCK_H

#include "base/macros.h"

#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)

typedef struct Clock {
        int64_t (*monotonic_ns)(void *context); /* since boot, suspended time included */
        int64_t (*realtime_ns)(void *context);  /* since 1970 UTC */
        void *context;
} Clock;

extern const Clock system_clock;

int64_t clock_monotonic_ns(void);
int64_t clock_realtime_ns(void);
/* "2026-11-21T12:00:00.123456789Z" (nanoseconds, UTC); owned by the caller. */
char *clock_format_rfc3339(int64_t realtime_ns);
/* "2026-11-21 15:30:12 +0100": in the zone of whoever runs this; owned by the caller. */
char *clock_format_local(int64_t realtime_ns);
/* The same with microseconds: "2026-11-21 15:30:12.123456 +0100". */
char *clock_format_exact(int64_t realtime_ns);
/* RFC 3339 or "2006-01-02[T15:04[:05]]" (local time where no zone is given), a blank for the T, and zones as PostgreSQL
 * ("+01") and strftime (" +0100") print them; false where it is none of these. */
bool clock_parse_time(const char *text, int64_t *ret_realtime_ns);
/* The same, and what people say, in local time: "14:29[:05]" (today's), "today 14:29", "yesterday 14:29", "tomorrow 14:29", "10
 * minutes ago", "1 hour ago", "-10m" (s, m, h, d, w). */
bool clock_parse_moment(const char *text, int64_t now_ns, int64_t *ret_realtime_ns);
/* "Up 5 minutes" style: "3 seconds", "2 hours"; owned by the caller. */
char *clock_format_ago(int64_t duration_ns);

#endif
