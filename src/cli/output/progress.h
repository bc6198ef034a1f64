/* What a long command is doing, on standard error. On a terminal a line per resource, redrawn in place, within its
 * width; on a pipe a line per change; as JSON the events as they come; or nothing. Fed with the events of
 * keeper/protocol.h. */
#ifndef BERTH_CLI_OUTPUT_PROGRESS_H
#define BERTH_CLI_OUTPUT_PROGRESS_H

#include <jansson.h>

#include "cli/invocation.h"

typedef enum ProgressMode { PROGRESS_TERMINAL, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_QUIET } ProgressMode;

typedef struct Progress Progress;

/* --progress, or COMPOSE_PROGRESS; auto looks at standard error. */
ProgressMode invocation_progress_mode(const Invocation *invocation);

/* title is borrowed: "Running", as in "[+] Running 2/3". */
Progress *progress_create(ProgressMode mode, const char *title);
void progress_free(Progress *progress);
DEFINE_CLEANUP(Progress, progress_free);

void progress_event(Progress *progress, const json_t *event);
/* A line for people, above what is drawn. */
void progress_message(Progress *progress, const char *text);
/* It wants progress_tick ten times a second. */
bool progress_is_live(const Progress *progress);
void progress_tick(Progress *progress);
/* Draws the last state and leaves it standing. */
void progress_finish(Progress *progress, bool success);

#endif
