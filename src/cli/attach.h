/* `up` without -d: the output of what was started, until it ends or Ctrl-C. */
#ifndef BERTH_CLI_ATTACH_H
#define BERTH_CLI_ATTACH_H

#include "cli/output/log_view.h"
#include "cli/scope.h"

typedef struct AttachOptions {
        char **services;     /* whose output is shown; NULL: all */
        char **not_services; /* except these */
        LogStyle style;
        bool abort_on_exit;         /* stop as soon as one container ends */
        bool abort_on_failure;      /* as soon as one ends badly */
        const char *exit_code_from; /* service, or NULL */
        int64_t since_ns;           /* output of containers that ran before is shown from here */
} AttachOptions;

/* The exit status: 0, that of exit_code_from, or ERROR_CANCELLED after Ctrl-C (attach_stop was called then). */
int attach_to_project(const Invocation *invocation, const Scope *scope, const AttachOptions *options, Error **err);

/* Stops the services that scope names (all where it names none); kills them after a Ctrl-C meanwhile. */
int attach_stop(const Invocation *invocation, const Scope *scope, Error **err);

#endif
