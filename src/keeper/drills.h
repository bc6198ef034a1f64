/* Drills: restores of a database's backup to a throwaway copy, by the clock or because somebody asks. They run beside the
 * requests of the project, one at a time for each service, on a thread of the pool. */
#ifndef BERTH_KEEPER_DRILLS_H
#define BERTH_KEEPER_DRILLS_H

#include <jansson.h>

#include "keeper/request.h"

/* report is the file's content (operate/drill.h), NULL where there is none; error NULL: it passed. */
typedef void (*DrillDone)(void *context, const char *service, const json_t *report, const Error *error);

/* By x-berth.backup.drill of the service. ERROR_CONFLICT: one is at work. */
int drills_begin(Keeper *keeper, const char *service, DrillDone done, void *context, Error **err);

/* "drill" {"service", "to"?} → the report. It does not wait for other requests, nor they for it. */
void method_drill(Request *request);

#endif
