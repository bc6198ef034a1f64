/* The life of a container on this machine: the engine's slots, and the parts they share. Every step may be repeated,
 * and whatever a kill in the middle leaves is found and cleaned by the next call or by recover. */
#ifndef BERTH_ENGINE_LOCAL_LIFECYCLE_H
#define BERTH_ENGINE_LOCAL_LIFECYCLE_H

#include "engine/local/private.h"

int local_container_create(Engine *engine, const ContainerSpec *spec, const EngineProgress *progress, char **ret_id,
                           Error **err);
int local_container_start(Engine *engine, const char *id, const EngineProgress *progress, Error **err);
int local_container_stop(Engine *engine, const char *id, int grace_ms, StopReason reason, Error **err);
int local_container_kill(Engine *engine, const char *id, int signal_number, Error **err);
int local_container_pause(Engine *engine, const char *id, bool pause, Error **err);
int local_container_remove(Engine *engine, const char *id, unsigned flags, Error **err);
int local_container_rename(Engine *engine, const char *id, const char *name, Error **err);
int local_container_note(Engine *engine, const char *id, const char *health, int64_t restart_count, Error **err);
int local_container_refresh(Engine *engine, const char *id, Error **err);
int local_container_rotate_logs(Engine *engine, const char *id, Error **err);
int local_recover(Engine *engine, const char *project, const EngineProgress *progress, Error **err);

/* Finds a container and takes its lock, under which the record was read. *ret_lock is the caller's. */
int container_lock(const Layout *layout, const char *id_or_name, ContainerRecord **ret, int *ret_lock, Error **err);

/* Creators hold <run>/create.lock shared from their first folder to the claim of the name; who sweeps up what creations
 * that were cut off have left, holds it alone. *ret_fd is the caller's. */
int create_lock(const Layout *layout, bool alone, int *ret_fd, Error **err);

/* ---- the end of a run (release.c) ---- */

/* The process has ended (or was never let run): keeps how it ended in state.json, and gives back monitor, runtime's
 * state, cgroup, network and root file system. */
int container_release(const Layout *layout, ContainerRecord *record, Error **err);
/* True where a start was cut off: the process was made and never let run. */
bool container_is_half_started(const Layout *layout, const ContainerRecord *record);
/* Removes what is kept of it, on disk and in the run folder. */
int container_erase(const Layout *layout, ContainerRecord *record, Error **err);

/* Removes the installation's own cgroups where no container is in them; waits for seconds at the most until nothing else is. */
void container_remove_parent_cgroups(const Layout *layout);

/* ---- cgroups (cgroup_change.c) ---- */

/* Names of the cgroups below one, of all hierarchies; the caller's (strv). */
char **cgroup_children(const char *cgroup);

/* Every hierarchy's folder for a cgroup: one on v2, one a controller on v1; the caller's (strv). */
char **cgroup_paths(const char *cgroup);
/* Kills everything in it. */
void cgroup_kill(const char *cgroup);
/* Removes it from every hierarchy; true where nothing is left. */
bool cgroup_remove(const char *cgroup);
/* The same without waiting for processes to go, nor taking what is below. */
bool cgroup_remove_empty(const char *cgroup);
int cgroup_freeze(const char *cgroup, bool freeze, Error **err);

/* "SIGINT", "INT" or "2"; -1 where there is none such. */
int signal_from_name(const char *name);

#endif
