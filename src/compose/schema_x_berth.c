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
static const Schema text_or_texts = {
        .types = T_STRING | T_LIST, .items = &text, .check = check_identifier, .expected = "some text"
};
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
static const Schema mail = { .types = T_MAP,
                             .keys = KEYS({ "to", &text }, { "from", &text }),
                             .required = WORDS("to") };
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
#define KEEP_KEYS \
        { "time", &duration }, { "last", &keep_count }, { "daily", &keep_count }, { "weekly", &keep_count }, \
                { "monthly", &keep_count }
static const Schema keep_one = {
        .types = T_STRING | T_MAP,
        .check = check_duration,
        .expected = "a duration like 7d",
        .keys = KEYS(KEEP_KEYS),
};
/* Of the local backups, or of both places: {local: 7d, offsite: 30d}. */
static const Schema keep = {
        .types = T_STRING | T_MAP,
        .check = check_duration,
        .expected = "a duration like 7d",
        .keys = KEYS(KEEP_KEYS, { "local", &keep_one }, { "offsite", &keep_one }),
};

static bool check_place(const char *url)
{
        return startswith(url, "s3://") || startswith(url, "sftp://") || startswith(url, "file:///") ||
               (*url == '/' && url[1]);
}

static bool check_offsite(const char *words)
{
        return streq(words, "off") || check_place(words);
}

static bool check_offsite_schedule(const char *line)
{
        int64_t value;
        Cron parsed;

        return (parse_duration(line, &value) && value >= INT64_C(1000000000)) || cron_parse(line, &parsed, NULL) == 0;
}

static bool check_budget(const char *line)
{
        const char *percent = strchr(line, '%');
        int64_t value;

        if (!percent)
                return check_size(line);
        return !percent[1] && *line >= '0' && *line <= '9' && (value = strtoll(line, NULL, 10)) >= 1 && value <= 100 &&
               strspn(line, "0123456789") == (size_t)(percent - line);
}

#define PLACES "s3://bucket/prefix, sftp://user@host/folder or the absolute path of a folder"
static const Schema place = { .types = T_STRING, .check = check_place, .expected = PLACES };
static const Schema offsite_schedule = { .types = T_STRING,
                                         .check = check_offsite_schedule,
                                         .expected = "a duration like 1m, or five fields like \"0 4 * * *\"" };
static const Schema budget = { .types = T_STRING,
                               .check = check_budget,
                               .expected = "a size like 50g or a part of the disk like 20%" };
static const Schema offsite = {
        .types = T_BOOL | T_STRING | T_MAP,
        .only_false = true,
        .check = check_offsite,
        .expected = "off, " PLACES,
        .keys = KEYS({ "url", &place }, { "endpoint", &text }, { "region", &text }, { "credentials", &text },
                     { "identity", &text }, { "known_hosts", &text }, { "ca", &text }, { "key", &text },
                     { "schedule", &offsite_schedule }, { "keep", &keep_one }, { "max_rate", &size }),
        .required = WORDS("url"),
};
static const Schema when_unavailable = { .types = T_STRING | T_MAP,
                                         .words = WORDS("wait"),
                                         .keys = KEYS({ "async_after", &duration }),
                                         .required = WORDS("async_after") };
static const Schema checks = { .types = T_LIST, .items = &text };
static const Schema drill = {
        .types = T_MAP,
        .keys = KEYS({ "schedule", &cron }, { "checks", &checks }, { "amcheck", &flag }),
};
static const Schema backup = {
        .types = T_BOOL | T_STRING | T_MAP,
        .words = WORDS("on", "off"),
        .keys = KEYS({ "keep", &keep }, { "max_rate", &size }, { "schedule", &cron }, { "timezone", &zone },
                     { "jitter", &duration }, { "offsite", &offsite }, { "budget", &budget }, { "synchronous", &flag },
                     { "when_unavailable", &when_unavailable }, { "drill", &drill }),
};

const Schema schema_x_berth_top = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "images", &images }, { "template", &on_off }, { "migrations", &migrations }, { "seed", &seed },
                     { "tls", &tls }, { "access", &access }, { "roles", &roles }, { "secrets", &secrets },
                     { "alerts", &alerts }, { "backup", &backup }, { "silence", &silence }),
};

const Schema schema_x_berth_service = {
        .types = T_NULL | T_MAP,
        .keys = KEYS({ "postgres", &flag }, { "images", &images }, { "template", &on_off },
                     { "migrations", &migrations }, { "seed", &seed }, { "tls", &tls }, { "access", &access },
                     { "roles", &roles }, { "backup", &backup }, { "silence", &silence }),
};
