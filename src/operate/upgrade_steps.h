/* The steps of postgres/upgrade/steps.h, carried out in a container. */
#ifndef BERTH_OPERATE_UPGRADE_STEPS_H
#define BERTH_OPERATE_UPGRADE_STEPS_H

#include <pthread.h>

#include "engine/engine.h"

/* Runs a step with its arguments (a strv; NULL: none). *ret is what it printed, owned by the caller; NULL: not wanted.
 * A step that fails is ERROR_FAILED with what it said. */
int upgrade_step(Engine *engine, const char *container, const char *step, char *const *arguments, char **ret,
                 Error **err);
/* As another user than the container's root. */
int upgrade_step_as(Engine *engine, const char *container, const char *user, const char *step, char *const *arguments,
                    char **ret, Error **err);

/* Writers of all databases wait while it exists, readers go on. It ends with this process, however that ends. */
typedef struct UpgradeHold {
        int limit_s; /* how long to wait until everything is held */
        /* Told, now and then, for which session it waits (NULL: no news); ends the wait where it is false. May be NULL. */
        bool (*waits)(void *context, const char *session);
        void *context;
        Engine *engine;
        const char *container, *what;
        int input_fd, output_fd; /* our ends: its standard input, and what it says */
        int container_input_fd, container_output_fd;
        pthread_t thread;
        bool running;
        int exit_code; /* once it has ended; -1: it did not get so far */
} UpgradeHold;

#define UPGRADE_HOLD_LIMIT_S 60
#define UPGRADE_HOLD_INIT { .limit_s = UPGRADE_HOLD_LIMIT_S, .exit_code = -1, .input_fd = -1, .output_fd = -1, .container_input_fd = -1, .container_output_fd = -1 }

/* what: "tables", or, once they are copied, "objects"; or "snapshot", a backup that is under way. Returns once everything is held. Strings are borrowed for its life.
 * ERROR_TIMEOUT, with the sessions that are waited for, where that takes longer than limit_s; ERROR_CANCELLED by waits. */
int upgrade_hold_begin(Engine *engine, const char *container, const char *what, UpgradeHold *ret, Error **err);
/* Ends it, and *ret is what it said at its end. Owned by the caller. */
int upgrade_hold_end(UpgradeHold *hold, char **ret, Error **err);
void upgrade_hold_done(UpgradeHold *hold);
#define _cleanup_upgrade_hold_ _cleanup_(upgrade_hold_done)

#endif
