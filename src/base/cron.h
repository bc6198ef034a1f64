/* When something is due: the five fields of crontab(5), and its @names. Local time of a zone; what falls into an hour that
 * clocks skip is due as much later, what falls into one that comes twice is due the first time (both, where every hour is
 * meant). */
#ifndef BERTH_BASE_CRON_H
#define BERTH_BASE_CRON_H

#include "base/timezone.h"

typedef struct Cron {
        uint64_t minutes; /* a bit each */
        uint32_t hours, days, months, weekdays;
        bool any_day, any_weekday, any_hour; /* written as a star: a day is meant where both fit, else where one does */
} Cron;

/* "0 2 * * *", "30 4 * * mon-fri", "0,30 8-18/2 1 jan *", "@daily". ERROR_INVALID says which field is wrong, also where it
 * would never come (30 February). */
int cron_parse(const char *text, Cron *ret, Error **err);
/* The first time after after_s (seconds since 1970). */
int64_t cron_next(const Cron *cron, const Timezone *timezone, int64_t after_s);

#endif
