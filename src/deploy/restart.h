/* Restart policies: whether and when a container that ended is started again. A pure function over a table. */
#ifndef BERTH_DEPLOY_RESTART_H
#define BERTH_DEPLOY_RESTART_H

#include "compose/project.h"

typedef struct RestartEnd { /* how it ended */
        int exit_code;
        bool manual;       /* stopped by a command */
        int64_t uptime_ns; /* of the run that ended */
        int64_t attempts;  /* restarts since it last ran long enough, or was started by a command */
} RestartEnd;

typedef struct RestartVerdict {
        bool restart;
        int64_t delay_ns;
        int64_t attempts; /* to be kept, the coming restart included */
} RestartVerdict;

RestartVerdict restart_decide(const RestartPolicy *policy, const RestartEnd *end);

/* "no", "always", "unless-stopped", "on-failure[:N]", and back; the text is owned by the caller. */
char *restart_policy_to_text(const RestartPolicy *policy);
bool restart_policy_from_text(const char *text, RestartPolicy *ret); /* NULL is "no" */
/* A container that has ended so (its record's words) is between two runs: what `ps` calls "restarting", while a keeper
 * lives. policy as in ContainerSpec.restart. */
bool restart_is_due(const char *policy, int exit_code, bool manually_stopped, int64_t restart_count);
/* A boot starts it again, as it was running when the machine went down (ran) or by its policy alone. */
bool restart_at_boot(const RestartPolicy *policy, bool manually_stopped, int exit_code, bool ran);

#endif
