/* Everything of ours out of a running cluster: settings, slot. The repository stays. */
#ifndef BERTH_OPERATE_RELEASE_H
#define BERTH_OPERATE_RELEASE_H

#include <jansson.h>

#include "postgres/connect.h"

typedef struct ReleaseOptions {
        PostgresTarget target;
        const char *folder; /* "<data>/backups/<project>/<service>" */
        const char *slot;
} ReleaseOptions;

/* *ret: {"changes": [{"what": "setting"|"slot", "name", "done": "taken back"|"dropped"|"left", "value"?, "before"?, "reason"?}],
 * "repository": path}; a second time there are none. ERROR_CONFLICT: the slot is in use: the receiver has not ended.
 * Commits wait for no receiver of ours behind it, also where it fails over the rest. */
int cluster_release(const ReleaseOptions *options, json_t **ret, Error **err);
/* synchronous_standby_names alone, whatever else is broken (synchronous_let_go.h). */
int cluster_release_synchronous(const ReleaseOptions *options, Error **err);

#endif
