/* The ways through the entrypoint. All take arguments without the program's own name and return an exit status. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_RUN_H
#define BERTH_POSTGRES_ENTRYPOINT_RUN_H

#include "base/error.h"

/* Prepares what is needed and becomes the command. name is what output lines begin with. */
int run_entrypoint(const char *name, char **args);
/* Initialises and ends. An initialised folder is a note, or an error where must_be_new. */
int run_initialise_only(const char *name, char **args, bool must_be_new);
/* One function of the official entrypoint. */
int run_step(const char *step, char **args);
/* Replaces this process; returns only where that fails: 127 not found, 126 not executable. */
int run_command(const char *name, char *const *argv);

#endif
