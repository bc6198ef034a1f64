#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"

static int64_t read_clock(clockid_t id)
{
        struct timespec now;

        clock_gettime(id, &now);
        return (int64_t)now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

int64_t clock_monotonic_ns(void)
{
        return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_realtime_ns(void)
{
        return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic(_unused_ void *context)
{
        return clock_monotonic_ns();
}

static int64_t system_realtime(_unused_ void *context)
{
        return clock_realtime_ns();
}

const Clock system_clock = { system_monotonic, system_realtime, NULL };

char *clock_format_local(int64_t realtime_ns)
{
        time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
        char text[64];
        struct tm local;

        localtime_r(&seconds, &local);
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &local);
        return xstrdup(text);
}

char *clock_format_exact(int64_t realtime_ns)
{
        time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
        char text[64], zone[16];
        struct tm local;

        localtime_r(&seconds, &local);
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
        strftime(zone, sizeof(zone), "%z", &local);
        return xasprintf("%s.%06d %s", text, (int)(realtime_ns % NSEC_PER_SEC / 1000), zone);
}

char *clock_format_rfc3339(int64_t realtime_ns)
{
        time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
        char text[32];
        struct tm broken;

        gmtime_r(&seconds, &broken);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &broken);
        return xasprintf("%s.%09lldZ", text, (long long)(realtime_ns % NSEC_PER_SEC));
}

/* Reads ".123456789" of any length; returns what follows. */
static const char *parse_fraction(const char *text, int64_t *ret_ns)
{
        int64_t scale = NSEC_PER_SEC / 10;

        *ret_ns = 0;
        if (*text != '.')
                return text;
        for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10)
                *ret_ns += (*text - '0') * scale;
        return text;
}

/* Times beyond what nanoseconds can hold (the year 2262) are the last one they can. */
static int64_t nanoseconds_of(int64_t seconds, int64_t fraction)
{
        if (seconds >= INT64_MAX / NSEC_PER_SEC)
                return INT64_MAX;
        if (seconds <= INT64_MIN / NSEC_PER_SEC)
                return INT64_MIN;
        return seconds * NSEC_PER_SEC + fraction;
}

/* "Z", "+01:00", "+0100", or, as PostgreSQL prints it, "+01"; a blank may stand before it. */
static bool parse_offset(const char *text, int64_t *ret_seconds)
{
        int sign, hours = 0, minutes = 0, length = 0;

        text += *text == ' ';
        *ret_seconds = 0;
        if (streq(text, "Z"))
                return true;
        if ((*text != '+' && *text != '-') || strspn(text + 1, "0123456789:") != strlen(text + 1))
                return false;
        sign = *text == '-' ? -1 : 1;
        if (sscanf(text + 1, "%2d%n", &hours, &length) != 1 || length != 2)
                return false;
        text += 1 + length;
        text += *text == ':';
        length = 0;
        if (*text && (sscanf(text, "%2d%n", &minutes, &length) != 1 || length != 2 || text[length]))
                return false;
        *ret_seconds = (int64_t)sign * (hours * 3600 + minutes * 60);
        return hours <= 15 && minutes < 60;
}

bool clock_parse_time(const char *text, int64_t *ret_realtime_ns)
{
        static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                               "%Y-%m-%d %H:%M", "%Y-%m-%d" };
        int64_t fraction, offset;
        const char *rest = NULL;
        struct tm broken;

        for (size_t i = 0; i < ARRAY_SIZE(formats) && !rest; i++) {
                broken = (struct tm){ .tm_isdst = -1, .tm_mday = 1 };
                rest = strptime(text, formats[i], &broken);
        }
        if (!rest)
                return false;
        rest = parse_fraction(rest, &fraction);
        if (streq(rest, "")) {
                *ret_realtime_ns = nanoseconds_of(mktime(&broken), fraction);
                return true;
        }
        if (!parse_offset(rest, &offset))
                return false;
        *ret_realtime_ns = nanoseconds_of((int64_t)timegm(&broken) - offset, fraction);
        return true;
}

/* "10 minutes ago", "-10m". */
static bool parse_ago(const char *text, int64_t now_ns, int64_t *ret_realtime_ns)
{
        static const struct {
                const char *word, *letter;
                int64_t seconds;
        } units[] = { { "second", "s", 1 },
                      { "minute", "m", 60 },
                      { "hour", "h", 3600 },
                      { "day", "d", 86400 },
                      { "week", "w", 7 * 86400 } };
        bool minus = *text == '-';
        char *rest;
        long count;

        if (text[minus] < '0' || text[minus] > '9')
                return false;
        count = strtol(text + minus, &rest, 10);
        if (count < 0 || count > 1000000)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                const char *end =
                        minus ? startswith(rest, units[i].letter) : startswith(rest + strspn(rest, " "), units[i].word);

                if (!minus && end)
                        end = startswith(end + (*end == 's'), " ago");
                if (!end || *end)
                        continue;
                *ret_realtime_ns = now_ns - count * units[i].seconds * NSEC_PER_SEC;
                return true;
        }
        return false;
}

/* A time of a day that is counted from today's; clocks that are set in between are mktime's to know. */
static bool parse_clock(const char *text, int64_t now_ns, int64_t *ret_realtime_ns)
{
        static const struct {
                const char *word;
                int days;
        } words[] = { { "today ", 0 }, { "yesterday ", -1 }, { "tomorrow ", 1 }, { "", 0 } };
        static const char *const formats[] = { "%H:%M:%S", "%H:%M" };
        time_t now = (time_t)(now_ns / NSEC_PER_SEC);
        const char *rest = NULL;
        struct tm local, given;
        size_t i = 0;

        while (!startswith(text, words[i].word))
                i++;
        text += strlen(words[i].word);
        for (size_t k = 0; k < ARRAY_SIZE(formats) && !(rest && !*rest); k++) {
                given = (struct tm){ 0 };
                rest = strptime(text, formats[k], &given);
        }
        if (!rest || *rest || *text < '0' || *text > '9')
                return false;
        localtime_r(&now, &local);
        local.tm_mday += words[i].days;
        local.tm_hour = given.tm_hour;
        local.tm_min = given.tm_min;
        local.tm_sec = given.tm_sec;
        local.tm_isdst = -1;
        *ret_realtime_ns = (int64_t)mktime(&local) * NSEC_PER_SEC;
        return true;
}

bool clock_parse_moment(const char *text, int64_t now_ns, int64_t *ret_realtime_ns)
{
        return clock_parse_time(text, ret_realtime_ns) || parse_ago(text, now_ns, ret_realtime_ns) ||
               parse_clock(text, now_ns, ret_realtime_ns);
}

char *clock_format_ago(int64_t duration_ns)
{
        static const struct {
                int64_t seconds;
                const char *unit;
        } units[] = { { 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" }, { 86400, "day" },
                      { 3600, "hour" },        { 60, "minute" },        { 1, "second" } };
        int64_t seconds = MAX(duration_ns, 0) / NSEC_PER_SEC;

        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                int64_t count = seconds / units[i].seconds;
                if (count >= 1)
                        return xasprintf("%lld %s%s", (long long)count, units[i].unit, count == 1 ? "" : "s");
        }
        return xstrdup("less than a second");
}
