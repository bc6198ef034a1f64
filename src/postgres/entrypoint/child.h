/* Programs run while a first start is under way: a stop signal ends them at once, and nothing outlives this process. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_CHILD_H
#define BERTH_POSTGRES_ENTRYPOINT_CHILD_H

#include "base/process.h"

/* Blocks TERM, INT and QUIT and opens a descriptor for them; once, before the first child. */
int child_watch_signals(Error **err);
/* The stop signal that came, or 0. */
int child_stop_signal(void);

/* Starts argv with the given descriptors (-1: /dev/null) in a session of its own that dies with this process.
 * fd3 becomes descriptor 3 unless negative. environment NULL: ours. */
int child_start(char *const *argv, char *const *environment, int stdin_fd, int stdout_fd, int fd3, Process *ret,
                Error **err);
/* Waits for its end. A stop signal kills its whole session and gives ERROR_CANCELLED. */
int child_wait(Process *process, int *ret_status, Error **err);
/* Waits up to timeout_ms for the end of process, or for something to read on fd (-1: none), or for a stop signal
 * (ERROR_CANCELLED, the process is left alone). 1: it has ended (not reaped), 0 otherwise. */
int child_poll(const Process *process, int fd, int timeout_ms, Error **err);
/* Sends KILL to its whole session and reaps it. */
void child_kill(Process *process);
/* child_start with our own output, then child_wait. */
int child_run(char *const *argv, char *const *environment, int *ret_status, Error **err);
/* Collects what argv prints; a status other than 0 is ERROR_FAILED, and *ret_status has it. */
int child_capture(char *const *argv, Strbuf *ret, int *ret_status, Error **err);

#endif
