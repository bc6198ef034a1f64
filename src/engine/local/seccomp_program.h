/* A runtime's seccomp section as the program that the kernel takes, for processes that enter a running container
 * without the runtime. Programs are kept in <run>/seccomp/<hash of the section>.bpf, made once a boot. */
#ifndef BERTH_ENGINE_LOCAL_SECCOMP_PROGRAM_H
#define BERTH_ENGINE_LOCAL_SECCOMP_PROGRAM_H

#include <jansson.h>

#include "base/error.h"
#include "state/layout.h"

/* Where the section's program is or would be; the caller's. (engine_local_read) */
char *seccomp_program_path(const Layout *layout, const json_t *section);
/* Makes it unless it exists. (engine_local: links libseccomp) */
int seccomp_program_make(const Layout *layout, const json_t *section, Error **err);

#endif
