/* Carrying out a plan: actions run on the pool as soon as what they come after is done, waits are answered by what the
 * watch sees. After the first failure nothing new begins; what runs is let finish. */
#ifndef BERTH_KEEPER_EXECUTE_H
#define BERTH_KEEPER_EXECUTE_H

#include "deploy/plan.h"
#include "keeper/request.h"

/* error is borrowed; NULL: all is done. ids of created containers: execution_created_id. */
typedef void (*ExecutionDone)(void *context, Execution *execution, const Error *error);

typedef struct ExecutionOptions {
        int stop_timeout_ms; /* -1: each container's own */
        int wait_timeout_ms; /* of the waits that have a limit (at_end); -1: none */
        bool purge;          /* volumes: no trash */
        bool halt;           /* the machine goes down: what is stopped was not stopped by a person */
} ExecutionOptions;

/* Begins; becomes keeper->execution until done was called. plan is taken. */
void execution_begin(Request *request, Plan *plan, const ExecutionOptions *options, ExecutionDone done, void *context);
/* What waits for a condition looks again. Nothing where no plan is carried out. */
void execution_poke(Keeper *keeper);
/* Waits that have a limit have reached it. */
void execution_end_waits(Keeper *keeper);
/* Nothing new begins; it ends with ERROR_CANCELLED. */
void execution_cancel(Keeper *keeper);

/* For done: the names of the containers that were started, a new array; and the id that CREATE action made. */
json_t *execution_started(const Execution *execution);
const char *execution_created_id(const Execution *execution, size_t action);
const Plan *execution_plan(const Execution *execution);

#endif
