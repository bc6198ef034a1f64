/* The folders a server needs, and whose they are. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_DIRECTORIES_H
#define BERTH_POSTGRES_ENTRYPOINT_DIRECTORIES_H

#include <sys/types.h>

#include "postgres/entrypoint/settings.h"

#define SOCKET_DIR "/var/run/postgresql"

/* Makes the data folder (0700), the socket folder (03775) and the WAL folder (0700); as root everything in them that
 * is not owner's is given to owner. Rights that cannot be set are let be: the server judges them itself. */
int directories_prepare(const Settings *settings, uid_t owner, Error **err);

#endif
