/* What is kept of a container, and how it is found. In the project's folder <data>/projects/<project>/containers/<id>/
 * (project "_" for containers without one):
 *   container.json   what it was created from: never changes but by rename. Durable.
 *   state.json       how its runs began and ended, and whether a person stopped it.
 * In <run>/projects/<project>/containers/<id>/:
 *   run.json         the present run: boot id, process ids, addresses, ports.
 *   note.json        what the keeper says: health, restart count.
 *   exit             the exit code, written by the monitor.
 *   lock, bundle/, merged/, netns, …
 * <data>/names/<name> is a link to "<project>/<id>": container names are unique over all projects, and claiming one is
 * one atomic call. Reading takes no lock. */
#ifndef BERTH_ENGINE_LOCAL_RECORD_H
#define BERTH_ENGINE_LOCAL_RECORD_H

#include "engine/engine.h"
#include "state/layout.h"

#define NO_PROJECT "_"

typedef struct ContainerRun { /* run.json */
        char *boot_id;
        int64_t pid, pid_start; /* start: ticks since boot, so that a reused pid is told apart */
        int64_t monitor_pid;
        int64_t started_ns;
        bool paused;
        char *runtime;                                  /* path of the runtime that made it */
        char *cgroup;                                   /* "/berth-a1b2c3/<id>" */
        char *netns;                                    /* NULL: the host's */
        char *hosts_path, *resolv_path, *hostname_path; /* the network's files, for containers that join it */
        ContainerAddress *addresses;
        size_t n_addresses;
        ContainerPort *ports;
        size_t n_ports;
} ContainerRun;

typedef struct ContainerPast { /* state.json */
        int64_t started_ns, finished_ns;
        int exit_code;
        bool oom_killed, manually_stopped, halted;
        char *error; /* why the last start failed */
} ContainerPast;

typedef struct ContainerRecord {
        Arena *arena; /* owns the strings of past and run, and layers and binds */
        char *id;     /* 64 hexadecimal digits */
        char *folder; /* of the project: its name or "_" */
        char *data_path, *run_path;
        int64_t created_ns;
        ContainerSpec *spec;
        char **layers; /* of the image, topmost first */
        char *origin;  /* where the image came from, for volumes it writes: "postgres:15 from …, glibc 2.36" */
        ImageBind *binds;
        size_t n_binds;
        ContainerPast past;
        bool has_run; /* there is a run.json of this boot */
        ContainerRun run;
        char *health;
        int64_t restart_count;
        char *damage; /* what could not be read and was taken from a copy or left at its default; NULL */
} ContainerRecord;

void container_record_free(ContainerRecord *record);
DEFINE_CLEANUP(ContainerRecord, container_record_free);
#define _cleanup_record_ _cleanup_(container_record_freep)

/* A new record with its paths set, nothing written. */
ContainerRecord *container_record_create(const Layout *layout, const char *folder, const char *id);

/* By full id, unique beginning of an id (at least 3 digits), or name. A file that cannot be read is named in damage; for
 * container.json the copy in the run folder serves. ERROR_NOT_FOUND, ERROR_CORRUPT where there is no copy. */
int container_record_find(const Layout *layout, const char *id_or_name, ContainerRecord **ret, Error **err);
int container_record_load(const Layout *layout, const char *folder, const char *id, ContainerRecord **ret, Error **err);
/* Writes container.json, durably. */
int container_record_save(const ContainerRecord *record, Error **err);
/* Writes state.json: durably where asked for, else as fast as can be. On a full disk it is kept in the run folder until it
 * is written again: stopping and removing are what makes room there. */
int container_record_save_past(const ContainerRecord *record, bool durable, Error **err);
/* Writes run.json with the boot id set. */
int container_record_save_run(ContainerRecord *record, Error **err);
int container_record_save_note(const ContainerRecord *record, Error **err);

/* Every folder of a project below <data>/projects, and every container id in it. The caller frees (strv). */
int container_record_folders(const Layout *layout, char ***ret, Error **err);
int container_record_ids(const Layout *layout, const char *folder, char ***ret, Error **err);

/* ---- names ---- */

bool container_name_is_valid(const char *name);
/* The folder and id a name stands for; both the caller's. ERROR_NOT_FOUND. */
int container_name_resolve(const Layout *layout, const char *name, char **ret_folder, char **ret_id, Error **err);
/* The name that stands for them, found by looking at all; NULL. The caller's. */
char *container_name_of(const Layout *layout, const char *folder, const char *id);
/* Claims name for a container. ERROR_EXISTS where another container has it: the message names its project. A claim
 * whose container does not exist any more is taken over. The shared lock is held by the caller. */
int container_name_claim(const Layout *layout, const char *name, const char *folder, const char *id, Error **err);
/* Gives it back where it is this container's. */
void container_name_release(const Layout *layout, const char *name, const char *id);

/* ---- how it is ---- */

/* Looks at the kernel and at the monitor's exit file; waits a moment for the latter where the process has just ended.
 */
ContainerState container_record_state(ContainerRecord *record);
/* True while its main process runs (a process that has ended and not yet been reaped does not run). */
bool process_is_alive(pid_t pid, int64_t start_ticks);
/* 0 where there is no such process. */
int64_t process_start_ticks(pid_t pid);

/* Takes the record apart into what the contract tells; the record is left without its spec. */
ContainerInfo *container_record_take_info(ContainerRecord *record);

#endif
