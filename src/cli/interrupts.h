/* Ctrl-C as something to wait for: SIGINT and SIGTERM are blocked and read from a descriptor. Programs that are started
 * meanwhile have them unblocked again (base/process). */
#ifndef BERTH_CLI_INTERRUPTS_H
#define BERTH_CLI_INTERRUPTS_H

#include "base/macros.h"

/* Blocks them and returns the descriptor, made once for the process's life; -1 where the system has none. */
int interrupts_open(void);
/* Takes what has come; the number of signals. Does not wait. */
int interrupts_take(void);
/* Back to the usual: Ctrl-C ends the process. */
void interrupts_close(void);

#endif
