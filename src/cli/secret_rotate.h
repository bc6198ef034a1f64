/* Another password for a role of a database: `secret rotate` and `role rotate`. */
#ifndef BERTH_CLI_SECRET_ROTATE_H
#define BERTH_CLI_SECRET_ROTATE_H

#include "cli/invocation.h"

#define ROTATE_OPTIONS                                                                                                  \
        { "adopt", 0, OPTION_FLAG, NULL, "Take the password that the secret holds now, instead of a new one" },         \
        { "no-restart", 0, OPTION_FLAG, NULL, "Tell which services read the secret, and restart none" }

/* service NULL: the project's only database; role NULL: the user that its container was given. */
int secret_rotate(Invocation *invocation, const char *service, const char *role, Error **err);

extern const Command command_secret_rotate;

#endif
