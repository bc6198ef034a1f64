/* measure PROGRAM ARGUMENT...: runs it without its output and prints "seconds peak-resident-bytes exit-status".
 *
 * A program of its own, and a small one: the peak that the kernel tells of a process is never below that of the process
 * it was forked from, which of an interpreter is several megabytes. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int child(char **argv)
{
        int nothing = open("/dev/null", O_RDWR);

        dup2(nothing, STDIN_FILENO);
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        execvp(argv[0], argv);
        return 127;
}

int main(int argc, char **argv)
{
        struct rusage usage;
        double begun = now();
        pid_t pid;
        int status;

        if (argc < 2)
                return 2;
        pid = fork();
        if (pid == 0)
                _exit(child(argv + 1));
        if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
                perror("measure");
                return 1;
        }
        printf("%.6f %ld %d\n", now() - begun, usage.ru_maxrss * 1024, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        return 0;
}
