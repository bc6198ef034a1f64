/* postgresql.auto.conf in its data folder, and the server that reads it, without a connection. The folder may be the container's to
 * change: nothing in it is followed anywhere. */
#ifndef BERTH_POSTGRES_AUTO_CONF_FILE_H
#define BERTH_POSTGRES_AUTO_CONF_FILE_H

#include <sys/types.h>

#include "base/error.h"

/* The data folder of a running container (pid: its first process), the caller's to close; -1: there is none. */
int auto_conf_open_running(pid_t pid, const char *data_dir);
/* 1: it makes a receiver of ours the synchronous standby; 0: it does not, or there is no such file. */
int auto_conf_is_synchronous(int folder_fd, Error **err);
/* Takes that out, durably. 1: there was something. What a server that runs changes in it at the same instant may be lost: for one that
 * does not run, or cannot be asked. */
int auto_conf_clear_synchronous(int folder_fd, Error **err);
/* The server of the folder reads its settings again. ERROR_NOT_FOUND: none runs on it among the processes that pid sees. */
int auto_conf_reload(int folder_fd, pid_t pid, Error **err);

#endif
