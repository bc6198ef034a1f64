/* Where a project's files, folder, variables, profiles and name come from. */
#ifndef BERTH_COMPOSE_DISCOVER_H
#define BERTH_COMPOSE_DISCOVER_H

#include "compose/loader.h"

typedef struct Discovered {
        char **files; /* absolute, "-" for standard input */
        char **profiles;
        char *working_dir; /* absolute */
} Discovered;

void discovered_done(Discovered *discovered);

/* Fills loader->variables too. Fails with one error: nothing found, a missing or wrong env file. */
int discover(Loader *loader, Discovered *ret, Error **err);
/* The project's name by -p, COMPOSE_PROJECT_NAME, `name:` and the folder; sets it in the loader and as a variable.
 * Reads the files: mistakes in them go to the loader's list. */
int discover_name(Loader *loader, const Discovered *discovered, Error **err);

#endif
