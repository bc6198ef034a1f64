#include "base/timezone.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define ZONES               "/usr/share/zoneinfo"
#define FILE_LIMIT          ((size_t)1024 * 1024)
#define HEADER_SIZE         44
#define DAY_S               86400
#define RULE_TIME_DEFAULT_S 7200

typedef struct Change {
        int64_t at_s;
        int offset_s; /* from then on */
} Change;

typedef enum DateForm { DATE_MONTH_WEEK, DATE_JULIAN, DATE_DAY } DateForm;

typedef struct RuleDate { /* when in a year clocks change */
        DateForm form;
        int month, week, day; /* day: of the week; of the year for the other forms */
        int time_s;           /* of local time before the change */
} RuleDate;

struct Timezone {
        Change *changes;
        size_t n_changes;
        int first_offset_s;        /* before the first change */
        bool has_rule, has_summer; /* for times after the last change */
        int standard_s, summer_s;
        RuleDate begin, end; /* of summer time */
};

void timezone_free(Timezone *timezone)
{
        if (!timezone)
                return;
        free(timezone->changes);
        free(timezone);
}

/* ---- the calendar ---- */

static bool is_leap_year(int year)
{
        return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_of_month(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

        return days[month - 1] + (month == 2 && is_leap_year(year));
}

/* Years are counted from March, so that the leap day is the last one, in cycles of 400 years. */
int64_t days_from_date(int year, int month, int day)
{
        int64_t y = month <= 2 ? year - 1 : year;
        int64_t cycle = (y >= 0 ? y : y - 399) / 400, of_cycle = y - cycle * 400;
        int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

        return cycle * 146097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719468;
}

void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
        int64_t shifted = days + 719468, cycle = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
        int64_t day = shifted - cycle * 146097;
        int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
        int64_t of_year = day - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;

        *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
        *ret_month = (int)(month < 10 ? month + 3 : month - 9);
        *ret_year = (int)(year + cycle * 400 + (*ret_month <= 2));
}

static int64_t floor_divide(int64_t number, int64_t divisor)
{
        return number / divisor - (number % divisor < 0);
}

/* ---- the rule at a file's end, as POSIX writes TZ: CET-1CEST,M3.5.0,M10.5.0/3 ---- */

static bool take_number(const char **text, int *ret)
{
        if (!isdigit((unsigned char)**text))
                return false;
        for (*ret = 0; isdigit((unsigned char)**text) && *ret < 100000; (*text)++)
                *ret = *ret * 10 + (**text - '0');
        return true;
}

static bool take_char(const char **text, char c)
{
        return **text == c && (*text)++;
}

static bool take_name(const char **text)
{
        const char *start = *text;

        if (take_char(text, '<')) {
                *text += strcspn(*text, ">");
                return take_char(text, '>');
        }
        while (isalpha((unsigned char)**text))
                (*text)++;
        return *text - start >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(const char **text, int *ret_s)
{
        int sign = take_char(text, '-') ? -1 : 1, part, unit = 3600;

        if (sign > 0)
                take_char(text, '+');
        for (*ret_s = 0; unit > 0; unit /= 60) {
                if (!take_number(text, &part))
                        return false;
                *ret_s += sign * part * unit;
                if (unit == 1 || !take_char(text, ':'))
                        break;
        }
        return true;
}

static bool take_date(const char **text, RuleDate *ret)
{
        bool good;

        *ret = (RuleDate){ .form = DATE_DAY, .time_s = RULE_TIME_DEFAULT_S };
        if (take_char(text, 'M')) {
                ret->form = DATE_MONTH_WEEK;
                good = take_number(text, &ret->month) && take_char(text, '.') && take_number(text, &ret->week) &&
                       take_char(text, '.') && take_number(text, &ret->day) && ret->month >= 1 && ret->month <= 12 &&
                       ret->week >= 1 && ret->week <= 5 && ret->day <= 6;
        } else {
                if (take_char(text, 'J'))
                        ret->form = DATE_JULIAN;
                good = take_number(text, &ret->day) && ret->day <= 366;
        }
        return good && (!take_char(text, '/') || take_time(text, &ret->time_s));
}

static bool parse_rule(Timezone *timezone, const char *text)
{
        int west_s;

        if (!take_name(&text) || !take_time(&text, &west_s))
                return false;
        timezone->standard_s = -west_s;
        timezone->has_rule = true;
        if (!*text)
                return true;
        if (!take_name(&text))
                return false;
        timezone->summer_s = timezone->standard_s + 3600;
        if (*text != ',') {
                if (!take_time(&text, &west_s))
                        return false;
                timezone->summer_s = -west_s;
        }
        timezone->has_summer = true;
        return take_char(&text, ',') && take_date(&text, &timezone->begin) && take_char(&text, ',') &&
               take_date(&text, &timezone->end) && !*text;
}

static int64_t days_of_rule(const RuleDate *date, int year)
{
        int64_t first;
        int day;

        if (date->form == DATE_DAY)
                return days_from_date(year, 1, 1) + date->day;
        if (date->form == DATE_JULIAN) /* the leap day is never counted */
                return days_from_date(year, 1, 1) + date->day - 1 + (is_leap_year(year) && date->day >= 60);
        first = days_from_date(year, date->month, 1);
        day = (int)(date->day - (first + 4) % 7 + 7) % 7 + (date->week - 1) * 7;
        while (day >= days_of_month(year, date->month))
                day -= 7;
        return first + day;
}

static int offset_by_rule(const Timezone *timezone, int64_t unix_s)
{
        int64_t begin, end;
        int year, month, day;

        if (!timezone->has_summer)
                return timezone->standard_s;
        date_from_days(floor_divide(unix_s + timezone->standard_s, DAY_S), &year, &month, &day);
        begin = days_of_rule(&timezone->begin, year) * DAY_S + timezone->begin.time_s - timezone->standard_s;
        end = days_of_rule(&timezone->end, year) * DAY_S + timezone->end.time_s - timezone->summer_s;
        /* South of the equator summer goes over the new year. */
        if (begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end)
                return timezone->summer_s;
        return timezone->standard_s;
}

/* ---- the file ---- */

typedef struct Counts {
        uint32_t is_utc, is_standard, leaps, changes, types, characters;
} Counts;

static uint64_t big_endian(const unsigned char *data, size_t size)
{
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number = number << 8 | data[i];
        return number;
}

static bool read_counts(const unsigned char *header, const unsigned char *end, Counts *ret)
{
        uint32_t *const counts[] = { &ret->is_utc,  &ret->is_standard, &ret->leaps,
                                     &ret->changes, &ret->types,       &ret->characters };

        if (end - header < HEADER_SIZE || memcmp(header, "TZif", 4) != 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
                *counts[i] = (uint32_t)big_endian(header + 20 + 4 * i, 4);
        return true;
}

static uint64_t block_size(const Counts *counts, size_t time_size)
{
        return (uint64_t)counts->changes * (time_size + 1) + (uint64_t)counts->types * 6 + counts->characters +
               (uint64_t)counts->leaps * (time_size + 4) + counts->is_standard + counts->is_utc;
}

static bool read_block(Timezone *timezone, const unsigned char *block, const Counts *counts, size_t time_size)
{
        const unsigned char *indexes = block + counts->changes * time_size, *types = indexes + counts->changes;

        if (counts->types == 0)
                return false;
        timezone->first_offset_s = (int32_t)big_endian(types, 4);
        timezone->changes = counts->changes ? xcalloc(counts->changes, sizeof(Change)) : NULL;
        for (uint32_t i = 0; i < counts->changes; i++) {
                uint64_t at = big_endian(block + i * time_size, time_size);
                Change *change = &timezone->changes[timezone->n_changes++];

                if (indexes[i] >= counts->types)
                        return false;
                change->at_s = time_size == 4 ? (int32_t)at : (int64_t)at;
                change->offset_s = (int32_t)big_endian(types + 6 * indexes[i], 4);
                if (i > 0 && change->at_s <= change[-1].at_s)
                        return false;
        }
        return true;
}

/* Version 1 has one block with times of 32 bits; later ones repeat it with 64 bits, and a rule. */
static bool read_file(Timezone *timezone, const unsigned char *data, size_t size)
{
        const unsigned char *end = data + size, *block = data + HEADER_SIZE;
        char rule[256];
        Counts counts;
        size_t length;

        if (!read_counts(data, end, &counts) || block_size(&counts, 4) > (uint64_t)(end - block))
                return false;
        if (data[4] < '2')
                return read_block(timezone, block, &counts, 4);
        data = block + block_size(&counts, 4);
        block = data + HEADER_SIZE;
        if (!read_counts(data, end, &counts) || block_size(&counts, 8) > (uint64_t)(end - block) ||
            !read_block(timezone, block, &counts, 8))
                return false;
        data = block + block_size(&counts, 8);
        if (end - data < 2 || data[0] != '\n')
                return false;
        length = (size_t)(end - data) - 1;
        length = memchr(data + 1, '\n', length)
                         ? (size_t)((const unsigned char *)memchr(data + 1, '\n', length) - data) - 1
                         : sizeof(rule);
        if (length >= sizeof(rule))
                return false;
        memcpy(rule, data + 1, length);
        rule[length] = '\0';
        return length == 0 || parse_rule(timezone, rule);
}

int timezone_parse(const void *data, size_t size, Timezone **ret, Error **err)
{
        _cleanup_timezone_ Timezone *timezone = xnew(Timezone);

        if (!read_file(timezone, data, size))
                return error_set(err, ERROR_CORRUPT, "not a time zone file");
        *ret = TAKE_PTR(timezone);
        return 0;
}

static bool is_zone_name(const char *name)
{
        if (*name == '/' || strstr(name, "..") || strlen(name) > 100)
                return false;
        return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == strlen(name);
}

int timezone_load(const char *name, Timezone **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *path = NULL;
        int r;

        if (!isempty(name) && !is_zone_name(name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not the name of a time zone", name);
        path = isempty(name) ? xstrdup("/etc/localtime") : xasprintf(ZONES "/%s", name);
        r = fs_read_file(AT_FDCWD, path, FILE_LIMIT, &text, NULL);
        if (r < 0 && (isempty(name) || streq(name, "UTC"))) {
                *ret = xnew(Timezone);
                return 0;
        }
        if (r < 0)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "this machine knows no time zone \"%s\"", name),
                                  "Zones are named as in Europe/Berlin; the package tzdata has them.");
        return error_prefix(err, timezone_parse(text.data, text.length, ret, err), "%s", path);
}

/* ---- use ---- */

static int offset_at(const Timezone *timezone, int64_t unix_s)
{
        size_t low = 0, high = timezone->n_changes;

        if (high == 0)
                return timezone->has_rule ? offset_by_rule(timezone, unix_s) : timezone->first_offset_s;
        if (timezone->has_rule && unix_s >= timezone->changes[high - 1].at_s)
                return offset_by_rule(timezone, unix_s);
        while (low < high) {
                size_t middle = (low + high) / 2;
                if (timezone->changes[middle].at_s <= unix_s)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low == 0 ? timezone->first_offset_s : timezone->changes[low - 1].offset_s;
}

void timezone_local(const Timezone *timezone, int64_t unix_s, LocalTime *ret)
{
        int offset_s = offset_at(timezone, unix_s);
        int64_t days = floor_divide(unix_s + offset_s, DAY_S);
        int second = (int)(unix_s + offset_s - days * DAY_S);

        *ret = (LocalTime){ .hour = second / 3600,
                            .minute = second / 60 % 60,
                            .second = second % 60,
                            .weekday = (int)((days % 7 + 11) % 7),
                            .offset_s = offset_s };
        date_from_days(days, &ret->year, &ret->month, &ret->day);
}

int timezone_instants(const Timezone *timezone, const LocalTime *local, int64_t ret[2])
{
        int64_t wall_s = days_from_date(local->year, local->month, local->day) * DAY_S + local->hour * 3600 +
                         local->minute * 60 + local->second;
        /* No place moves its clocks twice within two days. */
        int before_s = offset_at(timezone, wall_s - DAY_S), after_s = offset_at(timezone, wall_s + DAY_S);
        int n = 0;

        if (offset_at(timezone, wall_s - before_s) == before_s)
                ret[n++] = wall_s - before_s;
        if (after_s != before_s && offset_at(timezone, wall_s - after_s) == after_s)
                ret[n++] = wall_s - after_s;
        if (n == 0)
                ret[0] = wall_s - before_s;
        if (n == 2 && ret[1] < ret[0]) {
                int64_t swapped = ret[0];
                ret[0] = ret[1];
                ret[1] = swapped;
        }
        return n;
}
