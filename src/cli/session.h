/* This process joined to the input and output of a container's main process. */
#ifndef BERTH_CLI_SESSION_H
#define BERTH_CLI_SESSION_H

#include <pthread.h>

#include "engine/engine.h"

typedef struct Session { /* a thread that is joined to the container */
        Engine *engine;
        const char *id;
        const ExecSpec *spec;
        pthread_t thread;
        int done_fd; /* readable at the end */
        int result, exit_code;
        Error *error;
} Session;

/* Begins; the container may still have to be started. id and spec are borrowed until session_end. From here on Ctrl-C does
 * not end this process. */
int session_begin(Session *session, Engine *engine, const char *id, const ExecSpec *spec, Error **err);
/* Waits for its end. pass_interrupts: Ctrl-C is for the command in the container; otherwise ERROR_CANCELLED, at once, and the
 * thread goes on: end the process. */
int session_end(Session *session, bool pass_interrupts, int *ret_exit_code, Error **err);

#endif
