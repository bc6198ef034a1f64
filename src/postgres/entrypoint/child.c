#include "postgres/entrypoint/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define OUTPUT_LIMIT ((size_t)1024 * 1024)

/* A process has one set of signals, so this is one descriptor for it. */
static int signal_fd = -1;
static int stop_signal;

int child_watch_signals(Error **err)
{
        sigset_t set;

        if (signal_fd >= 0)
                return 0;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGQUIT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signal_fd < 0)
                return error_set_errno(err, errno, "watch signals");
        return 0;
}

int child_stop_signal(void)
{
        struct signalfd_siginfo information;

        if (!stop_signal && signal_fd >= 0 && read(signal_fd, &information, sizeof(information)) == sizeof(information))
                stop_signal = (int)information.ssi_signo;
        return stop_signal;
}

int child_start(char *const *argv, char *const *environment, int stdin_fd, int stdout_fd, int fd3, Process *ret,
                Error **err)
{
        int keep[] = { fd3, -1 };
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.argv = argv;
        spec.environment = environment;
        spec.stdin_fd = stdin_fd;
        spec.stdout_fd = stdout_fd;
        spec.stderr_fd = STDERR_FILENO;
        spec.keep_fds = keep;
        spec.new_session = true;
        spec.die_with_parent = true;
        return process_spawn(&spec, ret, err);
}

int child_poll(const Process *process, int fd, int timeout_ms, Error **err)
{
        struct pollfd pollers[] = { { .fd = signal_fd, .events = POLLIN },
                                    { .fd = process->pidfd, .events = POLLIN },
                                    { .fd = fd, .events = POLLIN } };

        if (child_stop_signal())
                return error_set(err, ERROR_CANCELLED, "stopped by signal %d", stop_signal);
        if (poll(pollers, ARRAY_SIZE(pollers), timeout_ms) < 0 && errno != EINTR)
                return error_set_errno(err, errno, "wait for a program");
        if (child_stop_signal())
                return error_set(err, ERROR_CANCELLED, "stopped by signal %d", stop_signal);
        return pollers[1].revents != 0;
}

void child_kill(Process *process)
{
        kill(-process->pid, SIGKILL);
        process_kill(process);
}

int child_wait(Process *process, int *ret_status, Error **err)
{
        for (;;) {
                int r = child_poll(process, -1, -1, err);
                if (r < 0) {
                        child_kill(process);
                        return r;
                }
                if (r > 0)
                        return process_wait(process, -1, ret_status, err);
        }
}

int child_run(char *const *argv, char *const *environment, int *ret_status, Error **err)
{
        Process process;
        int r;

        r = child_start(argv, environment, -1, STDOUT_FILENO, -1, &process, err);
        if (r < 0)
                return r;
        return child_wait(&process, ret_status, err);
}

int child_capture(char *const *argv, Strbuf *ret, int *ret_status, Error **err)
{
        _cleanup_close_ int read_fd = -1;
        Process process;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        read_fd = fds[0];
        r = child_start(argv, NULL, -1, fds[1], -1, &process, err);
        fs_close(fds[1]);
        if (r < 0)
                return r;
        r = fs_read_fd(read_fd, OUTPUT_LIMIT, ret, err);
        if (r < 0) {
                child_kill(&process);
                return r;
        }
        r = child_wait(&process, ret_status, err);
        if (r == 0 && *ret_status != 0)
                r = error_set(err, ERROR_FAILED, "%s ended with exit status %d", argv[0], *ret_status);
        return r;
}
