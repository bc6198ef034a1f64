/* A process inside a running container, started through the runtime. */
#ifndef BERTH_ENGINE_LOCAL_EXEC_PROCESS_H
#define BERTH_ENGINE_LOCAL_EXEC_PROCESS_H

#include "base/process.h"
#include "engine/local/record.h"

typedef struct ExecProcess {
        int failure;            /* 127: there is no such program, 126: it cannot be run; 0: try */
        char *reason;           /* for people, where it failed */
        char **argv;            /* of the runtime */
        char *process_path;     /* temporary files in the run folder */
        char *pid_path;
        char *directory;
} ExecProcess;

/* Writes the process description. console_socket: where the runtime sends the terminal; NULL: none. */
int exec_process_prepare(const Layout *layout, const ContainerRecord *record, const ExecSpec *spec,
                         const char *console_socket, ExecProcess *ret, Error **err);
void exec_process_done(ExecProcess *process);
#define _cleanup_exec_process_ _cleanup_(exec_process_done)

/* Its pid on this machine; 0 while it is not known. */
pid_t exec_process_pid(const ExecProcess *process);
/* Kills a process with everything that descends from it. */
void kill_process_tree(pid_t pid);

#endif
