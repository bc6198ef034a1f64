/* The keys of x-berth. schema/x-berth.json says the same to editors, docs/x-berth.md to people. */
#include "base/parse.h"
#include "compose/schema.h"

#define KEYS(...)  ((const SchemaKey[]){ __VA_ARGS__, { NULL, NULL } })
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static bool check_duration(const char *text)
{
        int64_t value;

        return parse_duration(text, &value) && value >= 0;
}

static bool check_identifier(const char *text)
{
        return *text;
}

static const Schema text = { .types = T_STRING, .check = check_identifier, .expected = "some text" };
static const Schema flag = { .types = T_BOOL };
static const Schema duration = { .types = T_STRING, .check = check_duration, .expected = "a duration like 30s or 5m" };
static const Schema images = { .types = T_STRING, .words = WORDS("auto", "host", "registry") };
static const Schema on_off = { .types = T_STRING | T_BOOL, .words = WORDS("on", "off") };
static const Schema silence = { .types = T_LIST, .items = &text, .unique = true };
static const Schema migrations = {
        .types = T_MAP,
        .keys = KEYS({ "path", &text }, { "table", &text }, { "lock_timeout", &duration }, { "on_up", &flag }),
};

const Schema schema_x_berth_top = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "images", &images }, { "template", &on_off }, { "migrations", &migrations },
                     { "silence", &silence }),
};

const Schema schema_x_berth_service = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "postgres", &flag }, { "images", &images }, { "template", &on_off },
                     { "migrations", &migrations }, { "silence", &silence }),
};
