/* Another password for a role: in the database, in its secret's file, and in what runs. What is under way is written down
 * first, so that it can be killed anywhere and asked for again:
 *
 *   <data>/projects/<project>/rotations/<service>.<digits>.json, 0600, format 1: "service", "role", "secret", "password"
 *
 * 1. the journal, 2. the database (a verifier; the old password is refused from here on), 3. the secret's file, by rename,
 * with its owner and mode, 4. what later `up`s compare with. The caller brings it to the containers and ends with
 * rotation_finish. */
#ifndef BERTH_OPERATE_ROTATE_H
#define BERTH_OPERATE_ROTATE_H

#include "engine/engine.h"
#include "state/layout.h"

typedef struct Rotation {
        const Layout *layout;
        Engine *engine;
        const ContainerInfo *database; /* it runs */
        const char *role;
        const char *secret; /* the file, absolute; NULL with adopt: there is none to write */
        const char *adopt;  /* this password, and the file stays as it is; NULL: a new one */
} Rotation;

/* Held while passwords of the project are changed: one change at a time. Sweeps up what a killed one left half written.
 * ERROR_CONFLICT where another takes longer than a minute. The caller closes *ret_fd at the end. */
int rotation_lock(const Layout *layout, const char *project, int *ret_fd, Error **err);
/* *ret_resumed: one that was cut off was brought to its end, with the password that it had chosen. */
int rotation_run(const Rotation *rotation, bool *ret_resumed, Error **err);
int rotation_finish(const Rotation *rotation, Error **err);

#endif
