/* A terminal of ours while its bytes go to a container: raw, its size followed. */
#ifndef BERTH_ENGINE_LOCAL_TERMINAL_H
#define BERTH_ENGINE_LOCAL_TERMINAL_H

#include <signal.h>
#include <termios.h>

#include "base/macros.h"

typedef struct Terminal {
        int fd; /* -1: it is none */
        struct termios saved;
        sigset_t saved_mask;
        int resize_fd; /* readable when its size changed; -1 */
} Terminal;

/* Leaves *ret empty where fd is not a terminal. */
void terminal_open(int fd, Terminal *ret);
void terminal_close(Terminal *terminal);
#define _cleanup_terminal_ _cleanup_(terminal_close)

bool terminal_size(const Terminal *terminal, int *ret_rows, int *ret_columns);

#endif
