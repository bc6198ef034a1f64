/* berth-init: process 1 of a container whose service says `init: true`. Starts the command, passes every signal on to
 * it, reaps whatever else ends, and exits as the command did. Static and without allocation: it runs in any image.
 *
 *   berth-init [--] COMMAND [ARGUMENT…]
 *   berth-init --version                    the engine's try of a runtime */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void complain(const char *text, const char *what)
{
        dprintf(2, "berth-init: %s%s: %s\n", text, what, strerror(errno));
}

static void run_command(char **argv, const sigset_t *mask)
{
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(argv[0], argv);
        complain("start ", argv[0]);
        _exit(errno == ENOENT ? 127 : 126);
}

/* Reaps what has ended; true with its exit code where the command has. */
static int reap(pid_t command, int *ret_code)
{
        int status, ended = 0;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == command) {
                        *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                        ended = 1;
                }
        return ended;
}

int main(int argc, char **argv)
{
        sigset_t all, previous;
        int code = 1, first = 1;
        pid_t command;

        if (argc == 2 && strcmp(argv[1], "--version") == 0)
                return 0;
        if (argc > 1 && strcmp(argv[1], "--") == 0)
                first = 2;
        if (first >= argc) {
                dprintf(2, "berth-init: no command\n");
                return 2;
        }
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &previous);
        command = fork();
        if (command < 0) {
                complain("fork", "");
                return 1;
        }
        if (command == 0)
                run_command(argv + first, &previous);
        for (;;) {
                int number = sigwaitinfo(&all, NULL);
                if (number == SIGCHLD) {
                        if (reap(command, &code))
                                return code;
                } else if (number > 0) {
                        kill(command, number);
                }
        }
}
