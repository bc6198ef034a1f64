#include "base/mem.h"
#include "base/parse.h"
#include "repository/retention.h"
#include "state/document.h"

#define COUNT_LIMIT 100000

static int wrong(Error **err, const char *what)
{
        return error_set(err, ERROR_INVALID, "keep: %s", what);
}

static int read_time(const json_t *value, RetentionPolicy *ret, Error **err)
{
        if (!json_is_string(value) || !parse_duration(json_string_value(value), &ret->keep_ns) || ret->keep_ns <= 0)
                return wrong(err, "a time like 7d or 4w is expected");
        return 0;
}

static int read_count(const char *name, const json_t *value, RetentionPolicy *ret, Error **err)
{
        const struct {
                const char *name;
                unsigned *place;
        } counts[] = { { "last", &ret->last },
                       { "daily", &ret->daily },
                       { "weekly", &ret->weekly },
                       { "monthly", &ret->monthly } };

        for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
                if (!streq(name, counts[i].name))
                        continue;
                if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > COUNT_LIMIT)
                        return error_set(err, ERROR_INVALID, "keep.%s: a number from 1 on is expected", name);
                *counts[i].place = (unsigned)json_integer_value(value);
                return 0;
        }
        return error_set(err, ERROR_INVALID, "keep.%s: there are time, last, daily, weekly and monthly", name);
}

int retention_policy_parse(const json_t *value, RetentionPolicy *ret, Error **err)
{
        const char *name;
        json_t *item;

        *ret = (RetentionPolicy){ 0 };
        if (!value) {
                ret->keep_ns = RETENTION_DEFAULT_NS;
                return 0;
        }
        if (!json_is_object(value))
                return read_time(value, ret, err);
        if (!json_object_size(value))
                return wrong(err, "it says nothing");
        json_object_foreach((json_t *)value, name, item) {
                int r = streq(name, "time") ? read_time(item, ret, err) : read_count(name, item, ret, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
