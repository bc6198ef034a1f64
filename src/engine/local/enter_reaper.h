/* The process between berth-enter and the command, inside the container's process namespace. What the command leaves behind when
 * it ends badly would otherwise become the children of the container's first process. PostgreSQL's postmaster takes any child
 * that it does not know and that ends by a signal or with more than 1 for a crashed backend, and throws all its clients out. */
#ifndef BERTH_ENGINE_LOCAL_ENTER_REAPER_H
#define BERTH_ENGINE_LOCAL_ENTER_REAPER_H

#include "base/macros.h"

/* To be sent to it from outside. SIGTERM goes on to the command, and ENTER_GRACE_S later the rest is killed, as at once by this: */
#define ENTER_KILL    SIGQUIT
#define ENTER_GRACE_S 3

/* Becomes that process: runs command, which does not return, in a child of its own, waits for it, and ends as it did. Where nobody has
 * told the command to end, what it has left in the background stays; otherwise nothing stays. */
_noreturn_ void enter_reap(void (*command)(void));

#endif
