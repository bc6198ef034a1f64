/* Whether a PostgreSQL server in a container answers, without a process in it: postmaster.pid (its format: PostgreSQL's
 * miscadmin.h) says "ready" in its eighth line. The server that an image's entrypoint runs while it initialises the
 * cluster, which listens on no address and is not process 1, does not count. */
#ifndef BERTH_KEEPER_READINESS_H
#define BERTH_KEEPER_READINESS_H

#include "engine/engine.h"

/* "<pid>:<path in its root>"; NULL: no database, or its files cannot be reached from here. The caller's. */
char *readiness_path(const ContainerInfo *info);
/* Never blocks and never leaves the container's root, whatever the container made of that path. */
bool readiness_reached(const char *path);
/* The same for the file's text. */
bool readiness_in_text(const char *text);

#endif
