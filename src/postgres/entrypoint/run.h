/* The ways through the entrypoint. All take arguments without the program's own name and return an exit status. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_RUN_H
#define BERTH_POSTGRES_ENTRYPOINT_RUN_H

#include "postgres/entrypoint/settings.h"

/* Prepares what is needed and becomes the command. name is what output lines begin with. */
int run_entrypoint(const char *name, char **args);
/* Initialises and ends. An initialised folder is a note, or an error where must_be_new. */
int run_initialise_only(const char *name, char **args, bool must_be_new);
/* One function of the official entrypoint. */
int run_step(const char *step, char **args);
/* The arguments of a server start, "postgres" first, or NULL where args start none. *ret is the caller's. */
char **run_server_arguments(char **args);
/* Folders as whoever started us, then the server's user for good. */
int run_prepare(const Settings *settings, Error **err);
/* Replaces this process; returns only where that fails: 127 not found, 126 not executable. */
int run_command(const char *name, char *const *argv);

#endif
