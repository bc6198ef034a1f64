/* A local engine of its own for tests: folders below /tmp, a network namespace of its own, an image made of this
 * machine's PostgreSQL packages (it has a shell and coreutils). */
#ifndef BERTH_TESTS_ENGINE_LOCAL_SETUP_H
#define BERTH_TESTS_ENGINE_LOCAL_SETUP_H

#include "engine/engine.h"
#include "state/layout.h"

#define SKIPPED 77

typedef struct LocalSetup {
        char *folder;
        const char *image;
        Layout *layout;
        Engine *engine;
} LocalSetup;

extern LocalSetup setup;

/* 0, or SKIPPED where this machine cannot run containers (said on stderr). */
int local_setup_open(void);
void local_setup_close(void);

/* ---- short forms; they fail the test by themselves ---- */

/* A container of the image that runs `sh -c script`, in no network, not created yet. */
ContainerSpec *local_spec(const char *name, const char *script);
/* Creates and starts; *ret_id may be NULL. Frees the specification. */
char *local_start(ContainerSpec *spec);
/* Output of `sh -c script` inside; the exit code must be 0. */
char *local_output(const char *id, const char *script);
/* All lines of its log, each with a newline. */
char *local_log(const char *id);
/* Waits until it has ended; its exit code. */
int local_wait(const char *id);
void local_end(const char *id);
SpecMount *local_add_mount(ContainerSpec *spec, SpecMountKind kind, const char *source, const char *target);

#endif
