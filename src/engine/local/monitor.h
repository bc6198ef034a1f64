/* conmon beside each container: holds its output and terminal, writes its log and exit status, and outlives us. */
#ifndef BERTH_ENGINE_LOCAL_MONITOR_H
#define BERTH_ENGINE_LOCAL_MONITOR_H

#include "engine/local/record.h"

typedef struct MonitorStart {
        const Layout *layout;
        const ContainerRecord *record;
        const char *runtime; /* path */
        const int *port_fds; /* inherited by the monitor; ends with -1 */
        char **exit_command; /* run when the container has ended; NULL: none */
} MonitorStart;

/* Starts conmon, which has the runtime create the container from <run path>/bundle; the container's process waits to be
 * started then. The runtime's own words are in the error. */
int monitor_create(const MonitorStart *start, pid_t *ret_pid, pid_t *ret_monitor_pid, Error **err);
/* Lets the created process run. */
int monitor_start(const Layout *layout, const ContainerRecord *record, const char *runtime, Error **err);
/* Makes the runtime forget it, killing what is left of it; absent is fine. */
int monitor_delete(const Layout *layout, const ContainerRecord *record, const char *runtime, Error **err);
/* Tells a running conmon to open its log again, after it was renamed. */
int monitor_reopen_log(const ContainerRecord *record, Error **err);
/* Sets the size of the container's terminal. */
int monitor_resize(const ContainerRecord *record, int rows, int columns, Error **err);

#endif
