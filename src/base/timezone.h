/* Local time at any place, from the system's time zone files (RFC 8536, with the rule at their end for times past the last
 * entry). libc knows one zone for the whole process, and threads share it: this one is a value. */
#ifndef BERTH_BASE_TIMEZONE_H
#define BERTH_BASE_TIMEZONE_H

#include "base/error.h"

typedef struct Timezone Timezone;

typedef struct LocalTime {
        int year, month, day; /* month and day from 1 */
        int hour, minute, second;
        int weekday;  /* 0: Sunday; not read by timezone_instants */
        int offset_s; /* east of UTC; not read by timezone_instants */
} LocalTime;

/* A name such as "Europe/Berlin", or "UTC". NULL or "": this machine's (/etc/localtime, UTC without one).
 * ERROR_INVALID for a name that is none, ERROR_NOT_FOUND for a zone that this machine does not know. *ret is the caller's
 * and immutable. */
int timezone_load(const char *name, Timezone **ret, Error **err);
/* The same from a file's content. */
int timezone_parse(const void *data, size_t size, Timezone **ret, Error **err);
void timezone_free(Timezone *timezone);
DEFINE_CLEANUP(Timezone, timezone_free);
#define _cleanup_timezone_ _cleanup_(timezone_freep)

void timezone_local(const Timezone *timezone, int64_t unix_s, LocalTime *ret);
/* The instants at which clocks there show this, the earlier first: 1, or 2 where an hour comes twice. Where clocks jump
 * past it: 0, and ret[0] is the instant it would have been without the jump. */
int timezone_instants(const Timezone *timezone, const LocalTime *local, int64_t ret[2]);

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back. */
int64_t days_from_date(int year, int month, int day);
void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);
int days_of_month(int year, int month);

#endif
