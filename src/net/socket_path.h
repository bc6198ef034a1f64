/* Addresses of unix sockets. sun_path holds 107 bytes; a longer path is reached through its opened folder. */
#ifndef BERTH_NET_SOCKET_PATH_H
#define BERTH_NET_SOCKET_PATH_H

#include <sys/un.h>

#include "base/error.h"

/* Fills *ret for bind or connect. *ret_folder_fd (-1 where none was needed) must stay open until that call is done.
 * ERROR_NOT_FOUND where the folder is absent. */
int socket_path_prepare(const char *path, struct sockaddr_un *ret, int *ret_folder_fd, Error **err);

#endif
