#include "deploy/health.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"

#define DEFAULT_INTERVAL_NS       (30 * NSEC_PER_SEC)
#define DEFAULT_TIMEOUT_NS        (30 * NSEC_PER_SEC)
#define DEFAULT_START_INTERVAL_NS (5 * NSEC_PER_SEC)
#define DEFAULT_RETRIES           3
#define FIRST_PAUSE_NS            (15 * NSEC_PER_MSEC)

static int64_t choose(int64_t service_value, int64_t image_value)
{
        return service_value >= 0 ? service_value : image_value > 0 ? image_value : 0;
}

char *health_merge(const Healthcheck *service, const ImageHealthcheck *image)
{
        static const Healthcheck silent = { NULL, false, -1, -1, -1, -1, -1 };
        static const ImageHealthcheck none = { 0 };
        _cleanup_json_ json_t *object = json_object();
        char **test;

        if (!service)
                service = &silent;
        if (!image)
                image = &none;
        test = service->test ? service->test : image->test;
        if (service->disable || !test || !test[0] || streq(test[0], "NONE"))
                return NULL;
        json_object_set_new(object, "Test", json_from_strv(test));
        json_object_set_new(object, "Interval", json_integer(choose(service->interval_ns, image->interval_ns)));
        json_object_set_new(object, "Timeout", json_integer(choose(service->timeout_ns, image->timeout_ns)));
        json_object_set_new(object, "StartPeriod",
                            json_integer(choose(service->start_period_ns, image->start_period_ns)));
        json_object_set_new(object, "StartInterval",
                            json_integer(choose(service->start_interval_ns, image->start_interval_ns)));
        json_object_set_new(object, "Retries", json_integer(choose(service->retries, image->retries)));
        return json_dumps(object, JSON_COMPACT);
}

void health_config_free(HealthConfig *config)
{
        if (config) {
                strv_free(config->test);
                free(config);
        }
}

static int64_t get_positive(const json_t *object, const char *key, int64_t fallback)
{
        int64_t value = json_get_int(object, key, 0);

        return value > 0 ? value : fallback;
}

HealthConfig *health_config_from_json(const char *json)
{
        _cleanup_json_ json_t *object = json ? json_loads(json, 0, NULL) : NULL;
        _cleanup_(health_config_freep) HealthConfig *config = xnew(HealthConfig);

        if (!object)
                return NULL;
        config->test = json_get_strv(object, "Test");
        if (strv_length(config->test) < 2 || streq(config->test[0], "NONE"))
                return NULL;
        config->interval_ns = get_positive(object, "Interval", DEFAULT_INTERVAL_NS);
        config->timeout_ns = get_positive(object, "Timeout", DEFAULT_TIMEOUT_NS);
        config->start_period_ns = get_positive(object, "StartPeriod", 0);
        config->start_interval_ns = get_positive(object, "StartInterval", DEFAULT_START_INTERVAL_NS);
        config->retries = get_positive(object, "Retries", DEFAULT_RETRIES);
        return TAKE_PTR(config);
}

static const char *const status_names[] = { "starting", "healthy", "unhealthy" };

const char *health_status_name(HealthStatus status)
{
        return status_names[status];
}

HealthStatus health_status_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(status_names); i++)
                if (name && streq(name, status_names[i]))
                        return (HealthStatus)i;
        return HEALTH_STARTING;
}

void health_start(Health *health, const HealthConfig *config, int64_t started_ns)
{
        *health = (Health){
                .config = config,
                .status = HEALTH_STARTING,
                .started_ns = started_ns,
                .next_ns = started_ns,
                .pause_ns = MIN(FIRST_PAUSE_NS, config->interval_ns),
                .count_ns = started_ns + MAX(config->interval_ns, config->start_period_ns),
        };
}

void health_take_over(Health *health, const HealthConfig *config, HealthStatus status, int64_t started_ns,
                      int64_t now_ns)
{
        health_start(health, config, started_ns);
        health->status = status;
        health->next_ns = now_ns;
        if (status != HEALTH_STARTING || now_ns - started_ns > config->interval_ns) {
                health->pause_ns = 0;
                health->count_ns = MIN(health->count_ns, now_ns);
        }
        if (status == HEALTH_HEALTHY) /* it was probed a moment ago, by whoever is taken over from */
                health->next_ns = now_ns + config->interval_ns;
}

bool health_is_early(const Health *health, int64_t now_ns)
{
        return health->status == HEALTH_STARTING && health->pause_ns &&
               now_ns - health->started_ns < health->config->interval_ns;
}

/* In the beginning probes come thick: only those count that the reference would have made, too. */
static bool failure_counts(Health *health, int64_t begun_ns)
{
        if (!health->pause_ns && health->status != HEALTH_STARTING)
                return true;
        if (begun_ns < health->count_ns)
                return false;
        health->count_ns = health->pause_ns ? health->count_ns + health->config->interval_ns : 0;
        return true;
}

/* The pause before the next probe. The early pauses grow by a quarter until they reach what the reference would wait. */
static int64_t next_pause_ns(Health *health, int64_t now_ns)
{
        const HealthConfig *config = health->config;
        bool in_start_period =
                now_ns - health->started_ns < config->start_period_ns && health->status == HEALTH_STARTING;
        int64_t regular_ns =
                in_start_period ? MIN(config->start_interval_ns, config->interval_ns) : config->interval_ns;
        int64_t pause_ns = health->pause_ns;

        if (!pause_ns)
                return regular_ns;
        if (pause_ns >= regular_ns) {
                if (!in_start_period)
                        health->pause_ns = 0;
                return regular_ns;
        }
        health->pause_ns += pause_ns / 4;
        return pause_ns;
}

bool health_probed(Health *health, bool success, int64_t begun_ns, int64_t now_ns)
{
        HealthStatus before = health->status;

        if (success) {
                health->failures = 0;
                health->status = HEALTH_HEALTHY;
                health->pause_ns = 0;
                health->count_ns = 0;
        } else if (failure_counts(health, begun_ns) && ++health->failures >= health->config->retries) {
                health->status = HEALTH_UNHEALTHY;
        }
        health->next_ns = now_ns + next_pause_ns(health, now_ns);
        return health->status != before;
}
