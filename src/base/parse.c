#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

bool parse_int64(const char *text, int64_t low, int64_t high, int64_t *ret)
{
        char *end;
        long long value;

        if (!isdigit((unsigned char)*text) && !(*text == '-' && isdigit((unsigned char)text[1])))
                return false;
        errno = 0;
        value = strtoll(text, &end, 10);
        if (errno || *end || value < low || value > high)
                return false;
        *ret = value;
        return true;
}

bool parse_bool(const char *text, bool *ret)
{
        static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                if (strcasecmp(text, yes[i]) == 0)
                        return *ret = true, true;
                if (strcasecmp(text, no[i]) == 0)
                        return *ret = false, true;
        }
        return false;
}

/* An unsigned decimal number with an optional fraction; returns what follows, or NULL. */
static const char *parse_decimal(const char *text, double *ret)
{
        char *end;
        const char *digit = *text == '.' ? text + 1 : text;

        if (!isdigit((unsigned char)*digit))
                return NULL;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
                return NULL;
        *ret = strtod(text, &end);
        return end;
}

bool parse_size(const char *text, int64_t *ret_bytes)
{
        static const char prefixes[] = "bkmgtp";
        double number;
        const char *unit = parse_decimal(text, &number);
        int power = 0;

        if (!unit)
                return false;
        while (*unit == ' ')
                unit++;
        if (*unit) {
                const char *prefix = strchr(prefixes, tolower((unsigned char)*unit));
                if (!prefix)
                        return false;
                power = (int)(prefix - prefixes);
                unit++;
                if (power && (*unit == 'i' || *unit == 'I')) {
                        unit++;
                        if (*unit != 'b' && *unit != 'B')
                                return false;
                }
                if (power && (*unit == 'b' || *unit == 'B'))
                        unit++;
                if (*unit)
                        return false;
        }
        number = ldexp(number, 10 * power);
        if (number >= 9.2e18)
                return false;
        *ret_bytes = (int64_t)number;
        return true;
}

static bool duration_unit(const char **text, double *ret_ns)
{
        static const struct {
                const char *name;
                double ns;
        } units[] = { { "ns", 1 },   { "us", 1e3 },   { "µs", 1e3 },    { "ms", 1e6 },       { "s", 1e9 },
                      { "m", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 }, { "w", 7 * 86400e9 } };
        size_t length = strcspn(*text, "0123456789.");

        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strlen(units[i].name) == length && strncmp(*text, units[i].name, length) == 0) {
                        *text += length;
                        *ret_ns = units[i].ns;
                        return true;
                }
        return false;
}

bool parse_duration(const char *text, int64_t *ret_ns)
{
        bool negative = *text == '-';
        double total = 0;

        if (*text == '-' || *text == '+')
                text++;
        if (streq(text, "0")) {
                *ret_ns = 0;
                return true;
        }
        if (!*text)
                return false;
        while (*text) {
                double number, unit;
                const char *rest = parse_decimal(text, &number);
                if (!rest || !duration_unit(&rest, &unit))
                        return false;
                total += number * unit;
                text = rest;
        }
        if (total >= 9.2e18)
                return false;
        *ret_ns = (int64_t)llround(negative ? -total : total);
        return true;
}

static char *format_fraction(int64_t value, int64_t unit, const char *name)
{
        int64_t whole = value / unit, rest = value % unit;
        char digits[24];
        int length;

        if (!rest)
                return xasprintf("%lld%s", (long long)whole, name);
        for (length = 0; unit > 1; unit /= 10) {
                digits[length++] = (char)('0' + rest / (unit / 10));
                rest %= unit / 10;
        }
        while (length && digits[length - 1] == '0')
                length--;
        return xasprintf("%lld.%.*s%s", (long long)whole, length, digits, name);
}

char *format_duration(int64_t duration_ns)
{
        _cleanup_free_ char *seconds = NULL;
        const char *sign = duration_ns < 0 ? "-" : "";
        int64_t value = duration_ns < 0 ? -duration_ns : duration_ns;
        int64_t minutes = value / (60 * NSEC_PER_SEC);

        if (value == 0)
                return xstrdup("0s");
        if (value < 1000)
                seconds = xasprintf("%lldns", (long long)value);
        else if (value < NSEC_PER_MSEC)
                seconds = format_fraction(value, 1000, "µs");
        else if (value < NSEC_PER_SEC)
                seconds = format_fraction(value, NSEC_PER_MSEC, "ms");
        else
                seconds = format_fraction(value % (60 * NSEC_PER_SEC), NSEC_PER_SEC, "s");
        if (minutes >= 60)
                return xasprintf("%s%lldh%lldm%s", sign, (long long)(minutes / 60), (long long)(minutes % 60), seconds);
        if (minutes)
                return xasprintf("%s%lldm%s", sign, (long long)minutes, seconds);
        return xasprintf("%s%s", sign, seconds);
}

char *format_size(uint64_t bytes)
{
        static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
        double value = (double)bytes;
        size_t unit = 0;

        while (value >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
                value /= 1000;
                unit++;
        }
        return xasprintf("%.4g%s", value, units[unit]);
}
