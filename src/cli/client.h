/* A request to a project's keeper, with its progress shown while it runs. Ctrl-C: the keeper is told to cancel and
 * brings the work to a safe point; a second Ctrl-C does not wait for that. */
#ifndef BERTH_CLI_CLIENT_H
#define BERTH_CLI_CLIENT_H

#include <jansson.h>

#include "cli/invocation.h"
#include "cli/output/progress.h"

/* params are taken. title: "Running". ret may be NULL, otherwise a new reference. ERROR_CANCELLED after Ctrl-C,
 * whatever the keeper answered; no message is set then. */
int client_request(const Invocation *invocation, const char *project, const char *method, json_t *params,
                   const char *title, json_t **ret, Error **err);
/* The same without progress, for use inside something that draws by itself. */
int client_request_quietly(const Invocation *invocation, const char *project, const char *method, json_t *params,
                           json_t **ret, Error **err);

#endif
