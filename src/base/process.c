#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

#define MAX_KEPT_FDS         64
#define DEFAULT_OUTPUT_LIMIT ((size_t)1024 * 1024)

char *process_find(const char *name)
{
        const char *path = getenv("PATH");
        _cleanup_free_ char *search =
                xasprintf("%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", path ? path : "");
        _cleanup_strv_ char **folders = strv_split(search, ':');

        if (strchr(name, '/'))
                return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
        STRV_FOREACH(folder, folders) {
                char *candidate;
                if (**folder != '/')
                        continue;
                candidate = path_join(*folder, name);
                if (access(candidate, X_OK) == 0 && !fs_is_directory(candidate))
                        return candidate;
                free(candidate);
        }
        return NULL;
}

/* What the child does between fork and exec: only async-signal-safe calls, no allocation. */
static _noreturn_ void child_run(const ProcessSpec *spec, const char *program, int null_fd, int report_fd)
{
        int targets[3 + MAX_KEPT_FDS], n_targets = 3, error_number;
        sigset_t none;

        targets[0] = spec->stdin_fd >= 0 ? spec->stdin_fd : null_fd;
        targets[1] = spec->stdout_fd >= 0 ? spec->stdout_fd : null_fd;
        targets[2] = spec->stderr_fd >= 0 ? spec->stderr_fd : null_fd;
        for (const int *fd = spec->keep_fds; fd && *fd >= 0 && n_targets < 3 + MAX_KEPT_FDS; fd++)
                targets[n_targets++] = *fd;

        for (int signal_number = 1; signal_number < NSIG; signal_number++)
                signal(signal_number, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        if (spec->die_with_parent)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (spec->new_session)
                setsid();
        if (spec->cgroup_procs) {
                int fd = open(spec->cgroup_procs, O_WRONLY | O_CLOEXEC);
                if (fd < 0 || write(fd, "0", 1) != 1)
                        goto fail;
        }
        if (spec->netns_fd > 0 && setns(spec->netns_fd, CLONE_NEWNET) < 0)
                goto fail;
        if (spec->directory && chdir(spec->directory) < 0)
                goto fail;

        /* First out of the way of 0…n, then into place. */
        report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, n_targets);
        for (int i = 0; i < n_targets; i++) {
                targets[i] = fcntl(targets[i], F_DUPFD_CLOEXEC, n_targets);
                if (targets[i] < 0)
                        goto fail;
        }
        for (int i = 0; i < n_targets; i++)
                if (dup2(targets[i], i) < 0)
                        goto fail;
        syscall(SYS_close_range, (unsigned)n_targets, ~0U, CLOSE_RANGE_CLOEXEC);

        execve(program, spec->argv, spec->environment ? spec->environment : environ);
fail:
        error_number = errno;
        _unused_ ssize_t n = write(report_fd, &error_number, sizeof(error_number));
        _exit(127);
}

int process_spawn(const ProcessSpec *spec, Process *ret, Error **err)
{
        _cleanup_free_ char *program = process_find(spec->argv[0]);
        _cleanup_close_ int null_fd = -1, report_read = -1, report_write = -1;
        int fds[2], error_number = 0;
        sigset_t all, previous;
        ssize_t n;
        pid_t pid;

        if (!program)
                return error_set(err, ERROR_UNAVAILABLE, "%s: not found in PATH", spec->argv[0]);
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "prepare to start %s", program);
        report_read = fds[0];
        report_write = fds[1];

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &previous);
        pid = fork();
        if (pid == 0)
                child_run(spec, program, null_fd, report_write);
        error_number = errno;
        pthread_sigmask(SIG_SETMASK, &previous, NULL);
        if (pid < 0)
                return error_set_errno(err, error_number, "start %s", program);

        report_write = fs_close(report_write);
        do
                n = read(report_read, &error_number, sizeof(error_number));
        while (n < 0 && errno == EINTR);
        if (n == sizeof(error_number)) {
                waitpid(pid, NULL, 0);
                return error_set_errno(err, error_number, "start %s", program);
        }
        ret->pid = pid;
        ret->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        return 0;
}

int process_wait(Process *process, int timeout_ms, int *ret_status, Error **err)
{
        struct pollfd poller = { .fd = process->pidfd, .events = POLLIN };
        int status;

        if (timeout_ms >= 0 && process->pidfd >= 0) {
                int r = poll(&poller, 1, timeout_ms);
                if (r == 0)
                        return error_set(err, ERROR_TIMEOUT, "process %d still runs after %d ms", (int)process->pid,
                                         timeout_ms);
        }
        while (waitpid(process->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return error_set_errno(err, errno, "wait for process %d", (int)process->pid);
        process->pidfd = fs_close(process->pidfd);
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return 0;
}

void process_kill(Process *process)
{
        int status;

        kill(process->pid, SIGKILL);
        process_wait(process, -1, &status, NULL);
}

void process_result_done(ProcessResult *result)
{
        strbuf_done(&result->output);
        strbuf_done(&result->errors);
}

/* Reads what is there; closes and forgets the descriptor at its end. */
static void drain(struct pollfd *poller, Strbuf *buffer, size_t limit)
{
        char chunk[16384];
        ssize_t n = read(poller->fd, chunk, sizeof(chunk));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                poller->fd = fs_close(poller->fd);
                return;
        }
        if (buffer->length < limit)
                strbuf_add(buffer, chunk, MIN((size_t)n, limit - buffer->length));
}

static void feed(struct pollfd *poller, const char *input, size_t size, size_t *offset)
{
        ssize_t n = *offset < size ? write(poller->fd, input + *offset, size - *offset) : -1;

        if (n > 0)
                *offset += (size_t)n;
        else if (*offset < size && (errno == EINTR || errno == EAGAIN))
                return;
        if (*offset >= size || n < 0)
                poller->fd = fs_close(poller->fd);
}

enum { OUT, ERR, IN, END, N_POLLERS };

static void converse(const ProcessRun *run, Process *process, struct pollfd *pollers, ProcessResult *result)
{
        size_t limit = run->output_limit ? run->output_limit : DEFAULT_OUTPUT_LIMIT, offset = 0;
        int64_t deadline = run->timeout_ms >= 0 ? clock_monotonic_ns() + run->timeout_ms * NSEC_PER_MSEC : 0;

        pollers[END] = (struct pollfd){ .fd = process->pidfd, .events = POLLIN };
        while (pollers[OUT].fd >= 0 || pollers[ERR].fd >= 0 || pollers[IN].fd >= 0) {
                int wait_ms = -1;
                if (deadline) {
                        int64_t left = deadline - clock_monotonic_ns();
                        if (left <= 0) {
                                result->timed_out = true;
                                return;
                        }
                        wait_ms = (int)(left / NSEC_PER_MSEC) + 1;
                }
                if (poll(pollers, N_POLLERS, wait_ms) < 0 && errno != EINTR)
                        return;
                if (pollers[OUT].fd >= 0 && pollers[OUT].revents)
                        drain(&pollers[OUT], &result->output, limit);
                if (pollers[ERR].fd >= 0 && pollers[ERR].revents)
                        drain(&pollers[ERR], &result->errors, limit);
                if (pollers[IN].fd >= 0 && pollers[IN].revents)
                        feed(&pollers[IN], run->input, run->input_size, &offset);
                /* It has ended; a grandchild may hold the pipes open for ever, so only what is there now is read. */
                if (pollers[END].fd >= 0 && pollers[END].revents && !(pollers[OUT].revents & POLLIN) &&
                    !(pollers[ERR].revents & POLLIN))
                        return;
        }
        if (deadline) {
                int64_t left = MAX(deadline - clock_monotonic_ns(), 0);
                result->timed_out = poll(&pollers[END], 1, (int)(left / NSEC_PER_MSEC) + 1) == 0;
        }
}

int process_run(const ProcessRun *run, ProcessResult *ret, Error **err)
{
        struct pollfd pollers[N_POLLERS] = { { -1, POLLIN, 0 }, { -1, POLLIN, 0 }, { -1, POLLOUT, 0 }, { -1, 0, 0 } };
        ProcessSpec spec = run->spec;
        int out[2] = { -1, -1 }, errors[2] = { -1, -1 }, in[2] = { -1, -1 };
        Process process;
        int r;

        *ret = (ProcessResult){ 0 };
        if (pipe2(out, O_CLOEXEC) < 0 || (!run->merge_errors && pipe2(errors, O_CLOEXEC) < 0) ||
            (run->input && pipe2(in, O_CLOEXEC | O_NONBLOCK) < 0)) {
                r = error_set_errno(err, errno, "make a pipe");
                goto finish;
        }
        spec.stdout_fd = out[1];
        spec.stderr_fd = run->merge_errors ? out[1] : errors[1];
        if (run->input) {
                fcntl(in[0], F_SETFL, 0);
                spec.stdin_fd = in[0];
        }
        r = process_spawn(&spec, &process, err);
        if (r < 0)
                goto finish;
        out[1] = fs_close(out[1]);
        errors[1] = fs_close(errors[1]);
        in[0] = fs_close(in[0]);
        pollers[OUT].fd = TAKE_FD(out[0]);
        pollers[ERR].fd = TAKE_FD(errors[0]);
        pollers[IN].fd = TAKE_FD(in[1]);

        converse(run, &process, pollers, ret);
        if (ret->timed_out)
                kill(process.pid, SIGKILL);
        r = process_wait(&process, -1, &ret->status, err);
finish:
        for (int i = 0; i < 2; i++) {
                fs_close(out[i]);
                fs_close(errors[i]);
                fs_close(in[i]);
        }
        for (int i = 0; i < END; i++)
                fs_close(pollers[i].fd);
        return r;
}

static char *last_line(const Strbuf *text)
{
        _cleanup_free_ char *copy = xstrdup(strbuf_text(text));
        char *newline;

        for (size_t length = strlen(copy); length > 0 && (copy[length - 1] == '\n' || copy[length - 1] == '\r');)
                copy[--length] = '\0';
        newline = strrchr(copy, '\n');
        return xstrdup(newline ? newline + 1 : copy);
}

int process_run_checked(const ProcessRun *run, ProcessResult *ret, Error **err)
{
        _cleanup_free_ char *reason = NULL;
        int r = process_run(run, ret, err);

        if (r < 0)
                return r;
        if (ret->timed_out)
                return error_set(err, ERROR_TIMEOUT, "%s: no end after %d ms", run->spec.argv[0], run->timeout_ms);
        if (ret->status == 0)
                return 0;
        reason = last_line(ret->errors.length ? &ret->errors : &ret->output);
        return error_set(err, ERROR_FAILED, "%s: exit status %d%s%s", run->spec.argv[0], ret->status,
                         *reason ? ": " : "", reason);
}
