#include "base/cron.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"

/* A leap day may be eight years away. */
#define DAYS_AHEAD (8 * 366 + 2)

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

typedef struct CronField {
        const char *name;
        int low, high;
        const char *const *names; /* the first is low */
        size_t n_names;
} CronField;

enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, N_FIELDS };

static const CronField fields[N_FIELDS] = {
        [FIELD_MINUTE] = { "minute", 0, 59, NULL, 0 },
        [FIELD_HOUR] = { "hour", 0, 23, NULL, 0 },
        [FIELD_DAY] = { "day of the month", 1, 31, NULL, 0 },
        [FIELD_MONTH] = { "month", 1, 12, month_names, ARRAY_SIZE(month_names) },
        [FIELD_WEEKDAY] = { "day of the week", 0, 7, weekday_names, ARRAY_SIZE(weekday_names) },
};

static const struct {
        const char *name, *text;
} shorthands[] = {
        { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
        { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
        { "@hourly", "0 * * * *" },
};

static bool parse_value(const CronField *field, const char *text, int *ret)
{
        int64_t number;

        for (size_t i = 0; i < field->n_names; i++)
                if (strcasecmp(text, field->names[i]) == 0) {
                        *ret = field->low + (int)i;
                        return true;
                }
        if (!parse_int64(text, field->low, field->high, &number))
                return false;
        *ret = (int)number;
        return true;
}

/* A star, a value or a range, with an optional step. */
static bool parse_item(const CronField *field, char *text, uint64_t *bits)
{
        char *slash = strchr(text, '/'), *dash;
        int first = field->low, last = field->high;
        int64_t step = 1;

        if (slash) {
                *slash = '\0';
                if (!parse_int64(slash + 1, 1, field->high, &step))
                        return false;
        }
        dash = strchr(text, '-');
        if (dash)
                *dash = '\0';
        if (!streq(text, "*") || dash) {
                if (!parse_value(field, text, &first))
                        return false;
                last = slash ? field->high : first;
                if (dash && (!parse_value(field, dash + 1, &last) || last < first))
                        return false;
        }
        for (int64_t value = first; value <= last; value += step)
                *bits |= UINT64_C(1) << value;
        return true;
}

static bool parse_field(const CronField *field, const char *text, uint64_t *ret)
{
        _cleanup_strv_ char **items = strv_split(text, ',');

        *ret = 0;
        STRV_FOREACH(item, items)
                if (!parse_item(field, *item, ret))
                        return false;
        return *ret != 0;
}

static bool has_a_day(const Cron *cron)
{
        if (!cron->any_weekday)
                return true;
        for (int month = 1; month <= 12; month++)
                for (int day = 1; day <= days_of_month(2024, month); day++)
                        if (cron->months & UINT32_C(1) << month && cron->days & UINT32_C(1) << day)
                                return true;
        return false;
}

static int parse_words(char **words, const char *text, Cron *ret, Error **err)
{
        uint64_t bits[N_FIELDS];

        for (size_t i = 0; i < N_FIELDS; i++)
                if (!parse_field(&fields[i], words[i], &bits[i]))
                        return error_set(err, ERROR_INVALID, "\"%s\": \"%s\" is no %s", text, words[i], fields[i].name);
        /* Sunday is 0 and 7. */
        bits[FIELD_WEEKDAY] = (bits[FIELD_WEEKDAY] | bits[FIELD_WEEKDAY] >> 7) & 0x7f;
        *ret = (Cron){ .minutes = bits[FIELD_MINUTE],
                       .hours = (uint32_t)bits[FIELD_HOUR],
                       .days = (uint32_t)bits[FIELD_DAY],
                       .months = (uint32_t)bits[FIELD_MONTH],
                       .weekdays = (uint32_t)bits[FIELD_WEEKDAY],
                       .any_day = *words[FIELD_DAY] == '*',
                       .any_weekday = *words[FIELD_WEEKDAY] == '*',
                       .any_hour = *words[FIELD_HOUR] == '*' };
        if (!has_a_day(ret))
                return error_set(err, ERROR_INVALID, "\"%s\": this day never comes", text);
        return 0;
}

int cron_parse(const char *text, Cron *ret, Error **err)
{
        _cleanup_strv_ char **words = NULL;
        const char *meant = text;

        for (size_t i = 0; i < ARRAY_SIZE(shorthands); i++)
                if (streq(text, shorthands[i].name))
                        meant = shorthands[i].text;
        words = strv_split_words(meant);
        if (*meant == '@' || strv_length(words) != N_FIELDS)
                return error_hint(
                        err, error_set(err, ERROR_INVALID, "\"%s\" is no schedule", text),
                        "Write minute, hour, day of the month, month and day of the week, as in \"0 2 * * *\", "
                        "or @hourly, @daily, @weekly, @monthly, @yearly.");
        return parse_words(words, text, ret, err);
}

static bool day_is_meant(const Cron *cron, const LocalTime *day)
{
        bool of_month = cron->days & UINT32_C(1) << day->day, of_week = cron->weekdays & UINT32_C(1) << day->weekday;

        if (!(cron->months & UINT32_C(1) << day->month))
                return false;
        return cron->any_day || cron->any_weekday ? of_month && of_week : of_month || of_week;
}

/* The earliest instant of this local minute after after_s, or INT64_MAX. */
static int64_t instant_after(const Cron *cron, const Timezone *timezone, const LocalTime *local, int64_t after_s)
{
        int64_t instants[2];
        int n = timezone_instants(timezone, local, instants);

        if (n == 0)
                n = cron->any_hour ? 0 : 1;
        if (n == 2 && !cron->any_hour)
                n = 1;
        for (int i = 0; i < n; i++)
                if (instants[i] > after_s)
                        return instants[i];
        return INT64_MAX;
}

static int64_t first_of_day(const Cron *cron, const Timezone *timezone, LocalTime local, int64_t after_s)
{
        int64_t first = INT64_MAX;

        for (local.hour = 0; local.hour < 24; local.hour++)
                for (local.minute = 0; local.minute < 60; local.minute++) {
                        int64_t instant;
                        if (!(cron->hours & UINT32_C(1) << local.hour) ||
                            !(cron->minutes & UINT64_C(1) << local.minute))
                                continue;
                        instant = instant_after(cron, timezone, &local, after_s);
                        first = MIN(first, instant);
                }
        return first;
}

int64_t cron_next(const Cron *cron, const Timezone *timezone, int64_t after_s)
{
        LocalTime local;
        int64_t days;

        timezone_local(timezone, after_s, &local);
        days = days_from_date(local.year, local.month, local.day);
        /* What a skipped hour puts off may belong to the day before. */
        for (int64_t day = days - 1; day < days + DAYS_AHEAD; day++) {
                int64_t instant;
                local = (LocalTime){ .weekday = (int)((day % 7 + 11) % 7) };
                date_from_days(day, &local.year, &local.month, &local.day);
                instant = day_is_meant(cron, &local) ? first_of_day(cron, timezone, local, after_s) : INT64_MAX;
                if (instant != INT64_MAX)
                        return instant;
        }
        return INT64_MAX;
}
