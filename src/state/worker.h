/* Starting a berth-worker: one job in a process of its own, with the heavy libraries, that ends with it.
 *
 * `berth-worker JOB` reads its parameters, a JSON object, from descriptor 3 and writes JSON objects to its standard output,
 * one a line: any number of events, then {"result": {…}} or {"error": {…}}. It gives up at SIGTERM and when nobody reads
 * its output any more. */
#ifndef BERTH_STATE_WORKER_H
#define BERTH_STATE_WORKER_H

#include <jansson.h>

#include "state/layout.h"

typedef struct WorkerRun {
        const char *job; /* "pull"; `berth-worker` without arguments lists them */
        const json_t *params;
        int input_fd;  /* the job's standard input; -1: none */
        int cancel_fd; /* readable: the job is told to give up; -1: never */
        int grace_ms;  /* how long it may take then before it is killed; 0: ten seconds */
        void *context;
        void (*event)(void *context, const json_t *event); /* from the caller's thread; NULL: not wanted */
} WorkerRun;

/* Blocks until the job has ended. *ret is its result, a new reference; on failure the job's own error.
 * ERROR_CANCELLED where it was told to give up. */
int worker_run(const Layout *layout, const WorkerRun *run, json_t **ret, Error **err);

#endif
