/* Health checks: what a service's and its image's words about it come to, and the state machine of one container. Pure: the
 * caller runs the probes and owns the clock.
 *
 * As the reference has it: `retries` failures in a row make unhealthy, one success makes healthy; failures within
 * start_period after the start do not count, and within it probes come every start_interval. Ours is the beginning: the
 * first probe runs at once and the next ones soon, with growing pauses, until the first success. Of the failures of that
 * time no more count than the reference would have seen: one at each interval after the start, none in start_period. */
#ifndef BERTH_DEPLOY_HEALTH_H
#define BERTH_DEPLOY_HEALTH_H

#include <jansson.h>

#include "base/error.h"
#include "compose/project.h"
#include "image/image.h"

typedef struct HealthConfig {
        char **test; /* starts with CMD or CMD-SHELL; owned */
        int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries;
} HealthConfig;

/* The engine's form ({"Test", "Interval", …} in nanoseconds, as Docker's inspect has it) of what the service (NULL: says
 * nothing) and the image say; NULL where there is no check. Owned by the caller. */
char *health_merge(const Healthcheck *service, const ImageHealthcheck *image);
/* NULL where json is NULL, malformed or says NONE; every default filled in. */
HealthConfig *health_config_from_json(const char *json);
void health_config_free(HealthConfig *config);
DEFINE_CLEANUP(HealthConfig, health_config_free);

typedef enum HealthStatus { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY } HealthStatus;
const char *health_status_name(HealthStatus status);    /* "starting", … */
HealthStatus health_status_from_name(const char *name); /* NULL or unknown: starting */

typedef struct Health {
        const HealthConfig *config; /* borrowed */
        HealthStatus status;
        int64_t started_ns; /* monotonic: when the container started */
        int64_t next_ns;    /* when the next probe is due */
        int64_t pause_ns;   /* the growing pause of the beginning; 0 after it */
        int64_t failures;   /* in a row, those that count */
        int64_t count_ns;   /* a failure of a probe begun before this does not count */
} Health;

/* A container has just started (status starting, first probe now), or one is taken over that runs since started_ns with
 * a known status. */
void health_start(Health *health, const HealthConfig *config, int64_t started_ns);
void health_take_over(Health *health, const HealthConfig *config, HealthStatus status, int64_t started_ns,
                      int64_t now_ns);
/* It is early: nothing has succeeded yet, and the reference would not have probed. */
bool health_is_early(const Health *health, int64_t now_ns);
/* A probe has ended (a timeout is a failure). Sets when the next one is due; true where the status changed. */
bool health_probed(Health *health, bool success, int64_t begun_ns, int64_t now_ns);

#endif
