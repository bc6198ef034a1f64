/* Up to which moment the log is known to be complete. The server is asked now and then where it is. Two answers that name
 * the same place, with nothing between them, say that it had sent all it had when the first was asked for: it sends what
 * there is before it looks at the next question.
 *
 * A server that always has something to send, maybe one transaction for hours, is never asked in vain: there what it sends says
 * it, when it is all that the server has. What was written a second before was synced by then, and so was sent. */
#include <stdlib.h>

#include "base/clock.h"
#include "operate/receiver_private.h"
#include "repository/caught_up.h"

#define PULSE_NS (1 * NSEC_PER_SEC)

void pulse_forget(Pulse *pulse)
{
        *pulse = (Pulse){ .asked_ns = pulse->asked_ns, .busy = pulse->busy, .busy_ns = pulse->busy_ns };
}

int64_t pulse_due_in_ns(const Pulse *pulse)
{
        return MAX(pulse->asked_ns + PULSE_NS - clock_monotonic_ns(), INT64_C(0));
}

void pulse_asked(Pulse *pulse)
{
        pulse->asked_ns = clock_monotonic_ns();
        if (!pulse->open_ns) /* an answer that has not come yet is as old as its question */
                pulse->open_ns = clock_realtime_ns();
}

void pulse_came(Pulse *pulse, Lsn server, int64_t sent_ns)
{
        pulse->busy = (CaughtUp){ .lsn = server, .at_ns = MIN(sent_ns, clock_realtime_ns()) - PULSE_NS };
}

bool pulse_synced(Pulse *pulse, Lsn flushed, CaughtUp *ret)
{
        if (!pulse->busy.lsn || pulse->busy.lsn > flushed || llabs(pulse->busy.at_ns - pulse->busy_ns) < PULSE_NS)
                return false;
        *ret = pulse->busy;
        pulse->busy_ns = ret->at_ns;
        return true;
}

bool pulse_answered(Pulse *pulse, Lsn server, CaughtUp *ret)
{
        bool same = pulse->before_ns && pulse->before == server;

        if (!pulse->open_ns)
                return false;
        *ret = (CaughtUp){ .lsn = server, .at_ns = pulse->before_ns };
        pulse->before = server;
        pulse->before_ns = pulse->open_ns;
        pulse->open_ns = 0;
        return same;
}
