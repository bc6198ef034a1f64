/* A process inside a running container, entered directly where that is as safe, else started by the runtime. */
#ifndef BERTH_ENGINE_LOCAL_EXEC_PROCESS_H
#define BERTH_ENGINE_LOCAL_EXEC_PROCESS_H

#include "base/process.h"
#include "engine/local/enter.h"
#include "engine/local/record.h"

typedef struct ExecProcess {
        int failure;  /* 127: there is no such program, 126: it cannot be run; 0: try */
        char *reason; /* for people, where it failed */
        bool direct;  /* enter is used, not the runtime */
        Enter enter;
        char **argv;        /* of the runtime, or of berth-enter */
        char *process_path; /* temporary files in the run folder */
        char *pid_path;
        char *directory;
} ExecProcess;

/* Describes the process. by_runtime: not directly in any case. */
int exec_process_prepare(const Layout *layout, const ContainerRecord *record, const ExecSpec *spec, bool by_runtime,
                         ExecProcess *ret, Error **err);
/* Takes over program and descriptors into a child's specification; kept is for its keep_fds. */
void exec_process_fill(const ExecProcess *process, ProcessSpec *child, int kept[3]);
void exec_process_done(ExecProcess *process);
#define _cleanup_exec_process_ _cleanup_(exec_process_done)

/* Its pid on this machine; 0 while it is not known. */
pid_t exec_process_pid(const ExecProcess *process);
/* Tells the command to end; started: what was spawned of it here. */
void exec_process_terminate(const ExecProcess *process, const Process *started);
/* Ends it with everything that descends from it, without a child left to the container's first process where that can be. started is
 * still to be waited for. */
void exec_process_kill(const ExecProcess *process, const Process *started);

#endif
