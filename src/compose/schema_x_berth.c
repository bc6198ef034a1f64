/* The keys of x-berth. schema/x-berth.json says the same to editors, docs/x-berth.md to people. */
#include "base/cron.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/timezone.h"
#include "compose/schema.h"

#define KEYS(...)  ((const SchemaKey[]){ __VA_ARGS__, { NULL, NULL } })
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static bool check_duration(const char *text)
{
        int64_t value;

        return parse_duration(text, &value) && value >= 0;
}

static bool check_size(const char *text)
{
        int64_t value;

        return parse_size(text, &value) && value > 0;
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
static const Schema texts = { .types = T_LIST, .items = &text, .unique = true };
static const Schema text_or_texts = { .types = T_STRING | T_LIST,
                                      .items = &text,
                                      .check = check_identifier,
                                      .expected = "some text" };
static const Schema days = { .types = T_INT, .bounded = true, .low = 1, .high = 3650 };
static const Schema tls_mode = { .types = T_STRING | T_BOOL, .words = WORDS("on", "off", "required") };
static const Schema tls = {
        .types = T_BOOL | T_STRING | T_MAP,
        .words = WORDS("on", "off", "required"),
        .keys = KEYS({ "mode", &tls_mode }, { "path", &text }, { "names", &texts }, { "days", &days }),
};
static const Schema method = { .types = T_STRING, .words = WORDS("scram-sha-256", "cert", "reject") };
static const Schema access_rule = {
        .types = T_MAP,
        .keys = KEYS({ "databases", &text_or_texts }, { "roles", &text_or_texts }, { "networks", &text_or_texts },
                     { "method", &method }),
};
static const Schema access = { .types = T_LIST, .items = &access_rule };
static const Schema kind = { .types = T_STRING, .words = WORDS("owner", "app", "readonly", "monitor") };
static const Schema role = {
        .types = T_MAP,
        .keys = KEYS({ "kind", &kind }, { "secret", &text }, { "databases", &text_or_texts }),
        .required = WORDS("kind", "secret"),
};
static const Schema roles = { .types = T_MAP, .names = NAMES_ANY, .values = &role };
static const Schema command = { .types = T_LIST, .items = &text };
static const Schema mail = { .types = T_MAP, .keys = KEYS({ "to", &text }, { "from", &text }), .required = WORDS("to") };
static const Schema alerts = {
        .types = T_MAP,
        .keys = KEYS({ "command", &command }, { "webhook", &text }, { "mail", &mail }),
};
static const Schema secret = {
        .types = T_MAP,
        .keys = KEYS({ "command", &command }, { "timeout", &duration }, { "file", &text }),
};
static const Schema secrets = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &secret };

static const Schema seed = {
        .types = T_STRING | T_MAP,
        .check = check_identifier,
        .expected = "a folder",
        .keys = KEYS({ "path", &text }, { "service", &text }, { "command", &command }),
};
static const Schema size = { .types = T_STRING, .check = check_size, .expected = "a size like 64m" };
static bool check_cron(const char *line)
{
        Cron parsed;

        return streq(line, "off") || cron_parse(line, &parsed, NULL) == 0;
}

static bool check_timezone(const char *name)
{
        _cleanup_timezone_ Timezone *timezone = NULL;

        return *name && timezone_load(name, &timezone, NULL) == 0;
}

static const Schema zone = { .types = T_STRING,
                             .check = check_timezone,
                             .expected = "a time zone that this machine knows, like Europe/Berlin" };
static const Schema cron = { .types = T_STRING,
                             .check = check_cron,
                             .expected = "five fields like \"0 2 * * *\", @daily and its like, or off" };
static const Schema keep_count = { .types = T_INT, .bounded = true, .low = 1, .high = 100000 };
static const Schema keep = {
        .types = T_STRING | T_MAP,
        .check = check_duration,
        .expected = "a duration like 7d",
        .keys = KEYS({ "time", &duration }, { "last", &keep_count }, { "daily", &keep_count }, { "weekly", &keep_count },
                     { "monthly", &keep_count }),
};
static const Schema backup = {
        .types = T_BOOL | T_STRING | T_MAP,
        .words = WORDS("on", "off"),
        .keys = KEYS({ "keep", &keep }, { "max_rate", &size }, { "schedule", &cron }, { "timezone", &zone }, { "jitter", &duration }),
};

const Schema schema_x_berth_top = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "images", &images }, { "template", &on_off }, { "migrations", &migrations }, { "seed", &seed },
                     { "tls", &tls }, { "access", &access }, { "roles", &roles }, { "secrets", &secrets }, { "alerts", &alerts },
                     { "backup", &backup },
                     { "silence", &silence }),
};

const Schema schema_x_berth_service = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "postgres", &flag }, { "images", &images }, { "template", &on_off },
                     { "migrations", &migrations }, { "seed", &seed }, { "tls", &tls }, { "access", &access },
                     { "roles", &roles }, { "backup", &backup }, { "silence", &silence }),
};
