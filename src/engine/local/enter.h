/* A process inside a running container without the runtime: some 30 ms of processor time less than the runtime's exec.
 * berth-enter (a small static program, run from a sealed copy in memory, so that nothing inside can change it) joins
 * cgroup and namespaces, takes on the container's limits, capabilities, seccomp program and user, and executes the
 * command. Only where that is as safe: not with a terminal, not privileged, not where the container may trace
 * processes, and only where the seccomp program is there. */
#ifndef BERTH_ENGINE_LOCAL_ENTER_H
#define BERTH_ENGINE_LOCAL_ENTER_H

#include <jansson.h>

#include "base/process.h"
#include "engine/local/record.h"

typedef struct Enter {
        int program_fd; /* kept for the life of the process; not to be closed */
        int parameters_fd, pidfd;
        char *program; /* "/proc/self/fd/…" */
} Enter;

/* True where the process can be entered so; *ret is then to be given to enter_done. config: the bundle's, process: the
 * description to run. */
bool enter_prepare(const Layout *layout, const ContainerRecord *record, const json_t *config, const json_t *process,
                   Enter *ret);
void enter_done(Enter *enter);
#define _cleanup_enter_ _cleanup_(enter_done)

/* What berth-enter is given on descriptor 3: records "<tag><text>\0". */
enum {
        ENTER_ARGUMENT = 'a',
        ENTER_ENVIRONMENT = 'e',
        ENTER_FOLDER = 'w',
        ENTER_UID = 'u',
        ENTER_GID = 'g',
        ENTER_GROUP = 'G',
        ENTER_CAPABILITIES = 'C',
        ENTER_LIMIT = 'l',
        ENTER_CGROUP = 'c',
        ENTER_SECCOMP = 'S',
        ENTER_NO_NEW_PRIVILEGES = 'n',
        ENTER_OOM_SCORE = 'o',
};
#define ENTER_PARAMETERS_FD 3
#define ENTER_PIDFD         4
#define ENTER_FAILED        125 /* exit status where the container could not be entered; its words begin so: */
#define ENTER_PREFIX        "berth-enter: "

#endif
