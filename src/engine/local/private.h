/* Between the files of the local engine. */
#ifndef BERTH_ENGINE_LOCAL_PRIVATE_H
#define BERTH_ENGINE_LOCAL_PRIVATE_H

#include "engine/local/local.h"
#include "engine/local/record.h"
#include "image/store.h"

typedef struct LocalEngine {
        Engine engine;
        const Layout *layout;
        EngineOperations operations;
} LocalEngine;

static inline const Layout *engine_layout(Engine *engine)
{
        return ((LocalEngine *)engine)->layout;
}

static inline void tell_warning(const EngineProgress *progress, const char *text)
{
        if (progress && progress->warning)
                progress->warning(progress->context, text);
}

/* ---- engine_local_read ---- */

void local_engine_free(Engine *engine);
/* Fills the slots that only look and talk. */
void local_read_operations(EngineOperations *operations);

int local_exec(Engine *engine, const char *id, const ExecSpec *spec, ExecResult *ret, Error **err);
int local_exec_stdio(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err);
int local_attach(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err);
int local_logs(Engine *engine, const char *id, const LogQuery *query, LogSink sink, void *context, Error **err);
int local_stats(Engine *engine, const char *id, ContainerStats *ret, Error **err);
int local_top(Engine *engine, const char *id, char ****ret_rows, size_t *ret_length, Error **err);
int local_volume_inspect(Engine *engine, const char *name, bool with_size, VolumeInfo **ret, Error **err);
int local_volume_list(Engine *engine, const char *project, VolumeInfo ***ret, size_t *ret_length, Error **err);

/* A running container's record; ERROR_CONFLICT where it does not run (or is paused, unless paused_too). */
int local_running(Engine *engine, const char *id, bool paused_too, ContainerRecord **ret, Error **err);

/* Where a controller's files of a container are: "/sys/fs/cgroup/memory/berth-…" (v1) or "/sys/fs/cgroup/berth-…" (v2).
 * The caller's; NULL where this host does not have the controller. */
char *cgroup_path(const char *controller, const char *cgroup);
bool cgroup_is_v2(void);
int cgroup_check(Error **err); /* ERROR_UNAVAILABLE where no hierarchy is mounted */

#endif
