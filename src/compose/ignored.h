/* Which keys of a project are accepted and not acted on. */
#ifndef BERTH_COMPOSE_IGNORED_H
#define BERTH_COMPOSE_IGNORED_H

#include "compose/project.h"

/* A message for each such key, once, with the services (or networks, …) that have it; NULL where there is none. In the
 * arena. */
char **ignored_keys(Arena *arena, const Project *project);

#endif
