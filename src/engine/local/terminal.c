#include "engine/local/terminal.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

void terminal_open(int fd, Terminal *ret)
{
        struct termios raw;
        sigset_t resize;

        *ret = (Terminal){ .fd = -1, .resize_fd = -1 };
        if (fd < 0 || tcgetattr(fd, &ret->saved) < 0)
                return;
        raw = ret->saved;
        cfmakeraw(&raw);
        if (tcsetattr(fd, TCSANOW, &raw) < 0)
                return;
        ret->fd = fd;
        sigemptyset(&resize);
        sigaddset(&resize, SIGWINCH);
        pthread_sigmask(SIG_BLOCK, &resize, &ret->saved_mask);
        ret->resize_fd = signalfd(-1, &resize, SFD_CLOEXEC | SFD_NONBLOCK);
}

void terminal_close(Terminal *terminal)
{
        if (terminal->fd < 0)
                return;
        tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
        if (terminal->resize_fd >= 0)
                close(terminal->resize_fd);
        pthread_sigmask(SIG_SETMASK, &terminal->saved_mask, NULL);
        terminal->fd = -1;
}

bool terminal_size(const Terminal *terminal, int *ret_rows, int *ret_columns)
{
        struct winsize size;

        if (terminal->fd < 0 || ioctl(terminal->fd, TIOCGWINSZ, &size) < 0 || !size.ws_row)
                return false;
        *ret_rows = size.ws_row;
        *ret_columns = size.ws_col;
        return true;
}
