/* The one door for starting programs: an argv, never a shell; descriptors closed on exec, signals reset,
 * a pidfd to wait on, bounded output, a deadline. Safe to call from any thread; every main ignores SIGPIPE. */
#ifndef BERTH_BASE_PROCESS_H
#define BERTH_BASE_PROCESS_H

#include <sys/types.h>

#include "base/error.h"
#include "base/strbuf.h"

typedef struct ProcessSpec {
        char *const *argv;        /* argv[0] is looked up in PATH unless it has a '/' */
        char *const *environment; /* NULL: the caller's */
        const char *directory;    /* NULL: the caller's */
        int stdin_fd;             /* -1: /dev/null. 0 is inherited as it is */
        int stdout_fd;            /* -1: /dev/null */
        int stderr_fd;            /* -1: /dev/null */
        const int *keep_fds;      /* become 3, 4, … in the child; ends with -1; NULL: none */
        const char *cgroup_procs; /* a cgroup.procs file the child writes itself into before exec; or NULL */
        bool new_session;         /* setsid */
        bool die_with_parent;     /* PR_SET_PDEATHSIG KILL: bound to the calling thread's life */
        int netns_fd;             /* setns(CLONE_NEWNET) before exec; 0 or -1: none */
} ProcessSpec;

#define PROCESS_SPEC_INIT { .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .netns_fd = -1 }

typedef struct Process {
        pid_t pid;
        int pidfd; /* readable once it has ended; -1 where the kernel has none */
} Process;

/* ERROR_UNAVAILABLE where the program is missing ("crun: not found in PATH"). The caller must process_wait. */
int process_spawn(const ProcessSpec *spec, Process *ret, Error **err);
/* Waits for the end (timeout_ms -1: for ever; ERROR_TIMEOUT leaves it running). *ret_status is the exit status,
 * or 128 + the signal. Closes pidfd. */
int process_wait(Process *process, int timeout_ms, int *ret_status, Error **err);
/* Sends KILL and waits; for cleanups. */
void process_kill(Process *process);

typedef struct ProcessResult {
        int status;     /* exit status, or 128 + signal */
        bool timed_out; /* it was killed at the deadline */
        Strbuf output;  /* stdout (and stderr where merged), cut at the limit */
        Strbuf errors;  /* stderr */
} ProcessResult;

typedef struct ProcessRun {
        ProcessSpec spec;  /* its stdout_fd and stderr_fd are ignored */
        const void *input; /* NULL: spec.stdin_fd */
        size_t input_size;
        size_t output_limit; /* bytes kept of each; 0: 1 MiB. More is read and thrown away */
        int timeout_ms;      /* -1: none; past it the process is killed */
        bool merge_errors;   /* stderr into output */
} ProcessRun;

#define PROCESS_RUN_INIT { .spec = PROCESS_SPEC_INIT, .timeout_ms = -1 }

void process_result_done(ProcessResult *result);
#define _cleanup_process_result_ _cleanup_(process_result_done)

/* Runs to the end and collects the output. Fails only where it could not be started or read;
 * a non-zero status is for the caller to judge. */
int process_run(const ProcessRun *run, ProcessResult *ret, Error **err);
/* The same, but a status other than 0 is ERROR_FAILED with the last line of stderr as its reason. */
int process_run_checked(const ProcessRun *run, ProcessResult *ret, Error **err);

/* The full path of a program in PATH (or /usr/sbin, /sbin), or NULL; owned by the caller. */
char *process_find(const char *name);

#endif
