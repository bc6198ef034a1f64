#include "engine/local/enter_reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/local/enter.h"

#define AGAIN_NS 20000000 /* what was killed may have left others */

/* Its own children, those that it has adopted among them. Those of another user may not be ours to kill: whoever runs the command
 * kills from outside, too. */
static void kill_children(void)
{
        char text[4096], *rest = text;
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (fd >= 0)
                close(fd);
        if (n <= 0)
                return;
        text[n] = '\0';
        for (long pid; (pid = strtol(rest, &rest, 10)) > 1;)
                kill((pid_t)pid, SIGKILL);
}

/* Takes what has ended. *code: the command's, once it is among them. False: nobody is left. */
static bool reap(pid_t command, int *code)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == command)
                        *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return pid == 0;
}

/* Until the command has ended, or, where it was told to, everybody. */
static int guard(pid_t command, const sigset_t *signals)
{
        bool killing = false, told = false;
        struct timespec until = { 0 };
        int code = -1;

        for (;;) {
                const struct timespec wait = { .tv_sec = killing ? 0
                                                         : told  ? 1
                                                                 : 3600,
                                               .tv_nsec = killing ? AGAIN_NS : 0 };
                int number = sigtimedwait(signals, NULL, &wait);
                struct timespec now;
                bool anybody = reap(command, &code);

                if (!anybody || (code >= 0 && !told))
                        return code >= 0 ? code : ENTER_FAILED;
                clock_gettime(CLOCK_MONOTONIC, &now);
                if (number == SIGTERM || number == ENTER_KILL) {
                        if (!told)
                                until = (struct timespec){ now.tv_sec + ENTER_GRACE_S, now.tv_nsec };
                        told = true;
                        killing |= number == ENTER_KILL;
                        if (number == SIGTERM && code < 0)
                                kill(command, SIGTERM);
                }
                killing |= told && (code >= 0 || now.tv_sec > until.tv_sec ||
                                    (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
                if (killing)
                        kill_children();
        }
}

void enter_reap(void (*command)(void))
{
        sigset_t all, before;
        pid_t pid;
        int code;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        prctl(PR_SET_NAME, "berth-exec");
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        /* Whoever waits for us is killed: then the command ends, too. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        pid = fork();
        if (pid < 0) {
                dprintf(2, ENTER_PREFIX "fork: %s\n", "no process more");
                _exit(ENTER_FAILED);
        }
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                sigprocmask(SIG_SETMASK, &before, NULL);
                setsid();
                command();
                _exit(ENTER_FAILED);
        }
        /* The command's, not ours. */
        for (int fd = 0; fd < 3; fd++)
                close(fd);
        code = guard(pid, &all);
        _exit(code);
}
