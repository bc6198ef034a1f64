/* A worker's job with its progress shown. Ctrl-C tells it to give up. */
#ifndef BERTH_CLI_WORK_H
#define BERTH_CLI_WORK_H

#include <jansson.h>

#include "cli/invocation.h"

typedef struct Work {
        const char *job;               /* of berth-worker */
        const char *title;             /* "Backing up" */
        const char *kind, *name;       /* "database", "db": what is worked on */
        const char *state, *end_state; /* "creating", "created" */
} Work;

/* params are taken. *ret is a new reference. */
int work_run(const Invocation *invocation, const Work *work, json_t *params, json_t **ret, Error **err);
/* Without a word of progress, for jobs that only look. */
int work_ask(const Invocation *invocation, const char *job, json_t *params, json_t **ret, Error **err);

#endif
