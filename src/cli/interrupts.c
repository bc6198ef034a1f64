#include "cli/interrupts.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int interrupts_fd = -1;

static sigset_t interrupt_signals(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        return set;
}

int interrupts_open(void)
{
        sigset_t set = interrupt_signals();

        if (interrupts_fd >= 0)
                return interrupts_fd;
        sigprocmask(SIG_BLOCK, &set, NULL);
        interrupts_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return interrupts_fd;
}

int interrupts_take(void)
{
        struct signalfd_siginfo info;
        int count = 0;

        while (interrupts_fd >= 0 && read(interrupts_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                count++;
        return count;
}

void interrupts_close(void)
{
        sigset_t set = interrupt_signals();

        if (interrupts_fd < 0)
                return;
        close(interrupts_fd);
        interrupts_fd = -1;
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}
