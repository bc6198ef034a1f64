/* The contract of an engine: what runs containers. Written for three: this machine (engine/local), the Docker Engine
 * API (engine/docker), Kubernetes (engine/kubernetes); docs/engine-contract.md sets each slot beside the calls that
 * serve it there.
 *
 * - Every call blocks until it is done and may be made from any thread; calls on different containers run in parallel.
 * - Every call may be repeated: creating what exists as asked for, stopping what is stopped and removing what is absent
 *   succeed. After a crash at any point the same call, made again, leads to the same state.
 * - Names are the engine's own (container names are unique on an engine); ids are opaque.
 * - Results are the caller's and freed by the function named beside them. Specifications are borrowed for the call.
 * - An engine that cannot do something returns ERROR_UNSUPPORTED and says what. */
#ifndef BERTH_ENGINE_ENGINE_H
#define BERTH_ENGINE_ENGINE_H

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "image/image.h"

typedef struct Engine Engine;

/* ---- labels by which a project's things are found (the same that docker compose sets) ---- */
#define LABEL_PROJECT      "com.docker.compose.project"
#define LABEL_SERVICE      "com.docker.compose.service"
#define LABEL_CONFIG_HASH  "com.docker.compose.config-hash"
#define LABEL_NUMBER       "com.docker.compose.container-number"
#define LABEL_ONEOFF       "com.docker.compose.oneoff" /* "True" or "False" */
#define LABEL_WORKING_DIR  "com.docker.compose.project.working_dir"
#define LABEL_CONFIG_FILES "com.docker.compose.project.config_files"
#define LABEL_IMAGE        "com.docker.compose.image" /* id of the image it was created from */
#define LABEL_NETWORK      "com.docker.compose.network"
#define LABEL_VOLUME       "com.docker.compose.volume"

/* ---- what is asked for ---- */

typedef enum SpecMountKind { SPEC_MOUNT_BIND, SPEC_MOUNT_VOLUME, SPEC_MOUNT_TMPFS } SpecMountKind;

typedef struct SpecMount {
        SpecMountKind kind;
        char *source; /* bind: host path; volume: the engine's volume name; NULL for tmpfs */
        char *target;
        bool read_only;
        bool create_host_path; /* bind: make the folder where it is missing */
        bool nocopy;           /* volume: no copy-up of the image's content into an empty volume */
        bool anonymous;        /* volume: made for this container; source is its generated name */
        char *subpath;         /* below the volume's root; NULL */
        char *propagation;     /* NULL: rprivate */
        char *selinux;         /* NULL, "z", "Z" */
        int64_t tmpfs_size;    /* bytes; -1: the kernel's default */
        int64_t tmpfs_mode;    /* -1: 01777 */
        char **options;        /* tmpfs: further mount options; NULL */
} SpecMount;

typedef struct SpecFile { /* a secret or config */
        char *target;
        char *host_path; /* read at start time; NULL: content */
        char *content;
        size_t content_size;
        int64_t uid, gid, mode; /* -1: uid and gid of the host file or root; mode 0444 */
        char *owner;            /* instead of uid and gid: "name", "uid:gid", … of the image; NULL */
        bool secret;            /* kept in memory only */
        bool in_memory;         /* false: a config, bound from its file */
} SpecFile;

typedef struct SpecPort {
        char *host_ip;      /* NULL: all addresses */
        uint16_t host_port; /* 0: any free one, told by inspect */
        uint16_t
                host_port_last; /* the first free one of host_port to this is taken at each start; 0: host_port alone */
        uint16_t container_port;
        bool udp;
} SpecPort;

typedef struct SpecNetwork {
        char *network; /* the engine's network name */
        char **aliases;
        char *ipv4, *ipv6, *mac; /* NULL: allotted, and the same again for the same container name */
        int64_t priority;        /* the highest gives the default route */
} SpecNetwork;

typedef struct SpecUlimit {
        char *name;         /* "nofile" */
        int64_t soft, hard; /* -1: unlimited */
} SpecUlimit;

typedef struct SpecDevice {
        char *source, *target, *permissions;
} SpecDevice;

typedef struct ContainerSpec {
        Arena *arena; /* owns everything below */
        char *name;
        char *project, *service; /* also in labels; NULL for neither */
        int number;
        bool oneoff;
        char *image;        /* reference as written, for display */
        char *image_id;     /* what to run */
        char **argv;        /* entrypoint and command joined; never empty */
        char **launcher;    /* put before argv, which it becomes in the end; not shown. NULL: none */
        char **environment; /* KEY=VALUE, image's and service's merged */
        char *user;         /* "uid[:gid]" or names of the image; NULL: root */
        char *working_dir;  /* NULL: / */
        char *hostname, *domainname;
        bool tty, open_stdin, read_only, privileged, init, no_new_privileges;
        char **group_add;
        char **cap_add, **cap_drop; /* "NET_ADMIN", "ALL" */
        char **security_opt;        /* seccomp=…, apparmor=…, no-new-privileges, systempaths=unconfined */
        SpecMount *mounts;
        size_t n_mounts;
        SpecFile *files;
        size_t n_files;
        char *network_mode; /* NULL: networks; "host", "none", "container:<name>" */
        SpecNetwork *networks;
        size_t n_networks;
        SpecPort *ports;
        size_t n_ports;
        char **extra_hosts; /* "name=address"; address may be host-gateway */
        char **dns, **dns_search, **dns_options;
        char **sysctls; /* "key=value" */
        SpecUlimit *ulimits;
        size_t n_ulimits;
        SpecDevice *devices;
        size_t n_devices;
        int64_t shm_size;                                                   /* bytes; -1: 64 MiB */
        int64_t memory, memory_reservation, memory_swap, memory_swappiness; /* -1 */
        double cpus;                                                        /* -1 */
        int64_t cpu_shares, cpu_quota, cpu_period, pids;                    /* -1; pids 0 or -1: the engine's default */
        char *cpuset;
        int64_t oom_score_adj;                                /* INT64_MIN: not given */
        char *pid_mode, *ipc_mode, *uts_mode, *cgroup_parent; /* NULL: private */
        char *stop_signal;                                    /* "SIGINT"; NULL: SIGTERM */
        int64_t stop_grace_ns;                                /* how long stop waits before KILL */
        char *log_driver;                                     /* NULL or "json-file": kept; "none": thrown away */
        int64_t log_max_size;                                 /* bytes; -1: unlimited */
        int64_t log_max_files;                                /* 1 */
        char *restart; /* "no", "always", "unless-stopped", "on-failure[:N]": kept for display and boot */
        char **labels; /* KEY=VALUE */
        char **annotations;
        char *healthcheck_json; /* for engines that probe by themselves, and for inspect; NULL */
} ContainerSpec;

/* An empty specification with its own arena and every "not given" set. */
ContainerSpec *container_spec_create(void);
void container_spec_free(ContainerSpec *spec);
DEFINE_CLEANUP(ContainerSpec, container_spec_free);
/* Lossless, for state files and the wire. Secrets' contents are left out. */
json_t *container_spec_to_json(const ContainerSpec *spec);
int container_spec_from_json(const json_t *json, ContainerSpec **ret, Error **err);

typedef struct NetworkPool {
        char *subnet, *gateway, *ip_range; /* NULL: chosen */
} NetworkPool;

typedef struct NetworkSpec {
        char *name;
        char *project; /* NULL: not a project's */
        char *key;     /* name in the compose file */
        char *driver;  /* NULL: bridge */
        bool internal, enable_ipv6;
        NetworkPool *pools;
        size_t n_pools;
        char **options; /* driver_opts, KEY=VALUE */
        char **labels;
} NetworkSpec;

typedef struct VolumeSpec {
        char *name;
        char *project, *key; /* NULL */
        char *driver;        /* NULL: local */
        char **options;      /* KEY=VALUE: type, o, device */
        char **labels;
        bool anonymous;
} VolumeSpec;

/* ---- what is found ---- */

typedef enum ContainerState {
        CONTAINER_CREATED,
        CONTAINER_RUNNING,
        CONTAINER_PAUSED,
        CONTAINER_EXITED,
        CONTAINER_DEAD, /* cannot be started again: files are damaged */
} ContainerState;

const char *container_state_name(ContainerState state); /* "created", "running", … */

typedef struct ContainerAddress {
        char *network, *ipv4, *ipv6, *mac; /* NULL where there is none */
        int ipv4_prefix;
        char *gateway;
} ContainerAddress;

typedef struct ContainerPort { /* as published now */
        char *host_ip;         /* "0.0.0.0", "::", "127.0.0.1" */
        uint16_t host_port, container_port;
        bool udp;
} ContainerPort;

#define HEALTH_OF_A_START "starting"

typedef struct ContainerInfo {
        char *id, *name, *image, *image_id;
        char *project, *service;
        int number;
        bool oneoff;
        ContainerState state;
        bool manually_stopped; /* stopped by a command: restart policies leave it alone */
        bool halted;           /* stopped because the machine goes down: left alone until the next boot */
        pid_t pid;             /* 0 unless running */
        int exit_code;         /* of the last run */
        bool oom_killed;
        char *error;     /* why the last start failed; NULL */
        bool lost_files; /* contents that were kept in memory only are gone (a reboot): it must be made anew */
        char *damage;    /* which file of it cannot be read: what is told comes from a copy, or, where it is
                          * CONTAINER_DEAD, there is none and spec is empty. recover repairs it; NULL */
        int64_t created_ns, started_ns, finished_ns; /* realtime; 0: never */
        int64_t restart_count;
        char *health; /* "starting", "healthy", "unhealthy"; NULL: no check. Engines that probe by themselves;
                       * for the local engine, what its keeper wrote */
        ContainerAddress *addresses;
        size_t n_addresses;
        ContainerPort *ports;
        size_t n_ports;
        char *log_path;      /* local engine; NULL elsewhere */
        ContainerSpec *spec; /* what it was created from; owned */
} ContainerInfo;

/* Somebody told it to stop, so that its end is nothing that a restart policy answers. */
bool container_was_told_to_stop(const ContainerInfo *info);
void container_info_free(ContainerInfo *info);
DEFINE_CLEANUP(ContainerInfo, container_info_free);

typedef struct ContainerList {
        ContainerInfo **items;
        size_t length;
} ContainerList;
void container_list_done(ContainerList *list);
#define _cleanup_container_list_ _cleanup_(container_list_done)

typedef struct NetworkInfo {
        char *name, *id, *driver, *subnet, *gateway, *project, *key, *interface;
        char *subnet6, *gateway6;
        bool internal;
        int64_t created_ns;
        char **labels;
        char **endpoints; /* "container name=address" */
        char *damage;     /* which file of it cannot be read; the rest is guessed then. network_create, told what it
                           * was, repairs it; NULL */
} NetworkInfo;
void network_info_free(NetworkInfo *info);
DEFINE_CLEANUP(NetworkInfo, network_info_free);

typedef struct VolumeInfo {
        char *name, *driver, *path, *project, *key;
        bool anonymous, in_trash;
        char **labels, **options;
        int64_t created_ns, used_ns; /* last time a container had it mounted; 0: never */
        uint64_t size_bytes;         /* only where asked for */
        char **used_by;              /* container names, stopped ones too */
        char *written_by;            /* what wrote its data: "postgres 16.9, glibc 2.36, …"; NULL */
        char *damage;                /* the same: volume_create repairs it */
} VolumeInfo;
void volume_info_free(VolumeInfo *info);
DEFINE_CLEANUP(VolumeInfo, volume_info_free);

typedef struct ContainerStats {
        uint64_t cpu_ns;                           /* since start */
        uint64_t memory_bytes, memory_limit_bytes; /* without inactive file cache, as docker counts */
        uint64_t pids;
        uint64_t net_rx_bytes, net_tx_bytes, block_read_bytes, block_write_bytes;
} ContainerStats;

/* ---- doing ---- */

/* Progress of a long call, told from its own thread; NULL members are skipped. */
typedef struct EngineProgress {
        void *context;
        void (*status)(void *context, const char *text);
        void (*bytes)(void *context, const char *what, uint64_t done, uint64_t total); /* total 0: unknown */
        void (*warning)(void *context, const char *text);
        int cancel_fd; /* readable: give up with ERROR_CANCELLED; -1: never */
} EngineProgress;

typedef struct ExecSpec {
        char *const *argv;
        char *const *environment;       /* added to the container's; NULL */
        const char *user, *working_dir; /* NULL: the container's */
        bool tty, privileged;
        int stdin_fd, stdout_fd, stderr_fd; /* engine_exec_stdio; -1: none */
        int timeout_ms;                     /* past it the command is ended; 0 or -1: none */
        int cancel_fd;       /* exec_stdio: readable: the command is ended, ERROR_CANCELLED; 0 or -1: never */
        size_t output_limit; /* engine_exec: bytes kept */
} ExecSpec;

typedef struct ExecResult {
        int exit_code;
        bool timed_out;
        char *output; /* stdout and stderr as they came, cut at the limit; owned by the caller */
} ExecResult;

typedef struct LogQuery {
        bool follow;                /* until the container ends or cancel_fd is readable */
        int64_t tail;               /* lines from the end; -1: all */
        int64_t since_ns, until_ns; /* realtime; 0: none */
        int cancel_fd;              /* -1 */
} LogQuery;

/* text is not NUL-terminated and has no newline; stream is 1 or 2. A negative result ends the reading. */
typedef int (*LogSink)(void *context, int stream, int64_t time_ns, const char *text, size_t length);

typedef enum StopReason {
        STOP_RELEASE,    /* none of ours: it has ended, or its policy may start it again */
        STOP_BY_COMMAND, /* restart policies let it be, those that start after a boot in any case apart */
        STOP_FOR_HALT,   /* the machine goes down: let be until the next boot, where it counts as having run */
} StopReason;

typedef enum RemoveFlags {
        REMOVE_ANONYMOUS_VOLUMES = 1 << 0,
} RemoveFlags;

enum {                                  /* Engine.capabilities */
       ENGINE_PROBES_HEALTH = 1 << 0,   /* runs health checks by itself */
       ENGINE_RESTARTS = 1 << 1,        /* applies restart policies by itself */
       ENGINE_IN_MEMORY_FILES = 1 << 2, /* honours uid, gid and mode of secrets */
       ENGINE_FIXED_ADDRESSES = 1 << 3,
};

typedef struct EngineOperations {
        const char *name; /* "local", "docker", "kubernetes", "fake" */
        void (*free)(Engine *engine);
        /* Is it there, and may we? Message and hint say what is missing. */
        int (*probe)(Engine *engine, Error **err);

        /* Finds an image here; ERROR_NOT_FOUND: it must be pulled. policy: "auto", "host", "registry". */
        int (*image_find)(Engine *engine, const char *reference, const char *policy, Image **ret, Error **err);
        int (*image_pull)(Engine *engine, const char *reference, const char *policy, const char *platform,
                          const EngineProgress *progress, Error **err);

        int (*network_create)(Engine *engine, const NetworkSpec *spec, Error **err);
        int (*network_remove)(Engine *engine, const char *name, Error **err); /* ERROR_CONFLICT: still used */
        int (*network_inspect)(Engine *engine, const char *name, NetworkInfo **ret, Error **err);
        int (*network_list)(Engine *engine, const char *project, NetworkInfo ***ret, size_t *ret_length, Error **err);

        int (*volume_create)(Engine *engine, const VolumeSpec *spec, Error **err);
        /* To the trash where the engine has one, unless purge. ERROR_CONFLICT: a container uses it. */
        int (*volume_remove)(Engine *engine, const char *name, bool purge, Error **err);
        int (*volume_inspect)(Engine *engine, const char *name, bool with_size, VolumeInfo **ret, Error **err);
        int (*volume_list)(Engine *engine, const char *project, VolumeInfo ***ret, size_t *ret_length, Error **err);

        /* *ret_id is the caller's. A container of that name with another id of ours is ERROR_EXISTS. */
        int (*container_create)(Engine *engine, const ContainerSpec *spec, const EngineProgress *progress,
                                char **ret_id, Error **err);
        /* Starts a created or exited one. ERROR_CONFLICT for a port that is taken: the message names its holder. */
        int (*container_start)(Engine *engine, const char *id, const EngineProgress *progress, Error **err);
        /* Sends the stop signal, waits grace_ms (-1: the spec's), then KILL. The reason is remembered, durably, before.
         * On one that has ended by itself it gives back what the run held (addresses, ports, mounts): call it after
         * every exit. */
        int (*container_stop)(Engine *engine, const char *id, int grace_ms, StopReason reason, Error **err);
        int (*container_kill)(Engine *engine, const char *id, int signal_number, Error **err);
        int (*container_pause)(Engine *engine, const char *id, bool pause, Error **err);
        /* Stopped ones only (ERROR_CONFLICT otherwise). */
        int (*container_remove)(Engine *engine, const char *id, unsigned flags, Error **err);
        int (*container_rename)(Engine *engine, const char *id, const char *name, Error **err);
        /* id or name. */
        int (*container_inspect)(Engine *engine, const char *id, ContainerInfo **ret, Error **err);
        /* project NULL: all. Sorted by service, number. */
        int (*container_list)(Engine *engine, const char *project, ContainerList *ret, Error **err);
        /* A descriptor that is readable once the container does not run any more; then inspect tells how it ended.
         * ERROR_NOT_FOUND where it does not run. The caller closes it. */
        int (*container_exit_fd)(Engine *engine, const char *id, int *ret_fd, Error **err);
        /* What the keeper knows and `ps` shows: restart count and health. A start puts a health that was noted back to
         * HEALTH_OF_A_START. */
        int (*container_note)(Engine *engine, const char *id, const char *health, int64_t restart_count, Error **err);

        /* What the host files of its secrets and copied configs hold now becomes what a running container reads: in place,
         * each at once. Nothing for one that does not run: its next start reads them. */
        int (*container_refresh)(Engine *engine, const char *id, Error **err);

        /* Where the log has grown past the specification's size, begins a new file; no line is lost. Called every few
         * seconds for containers with log_max_size; NULL for engines that do so by themselves. */
        int (*container_rotate_logs)(Engine *engine, const char *id, Error **err);

        int (*exec)(Engine *engine, const char *id, const ExecSpec *spec, ExecResult *ret, Error **err);
        /* With the caller's own descriptors, a terminal among them where spec->tty. ERROR_TIMEOUT past the time. */
        int (*exec_stdio)(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err);
        /* Joins the input and output of the main process until it ends or the detach keys come. */
        int (*attach)(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err);
        int (*logs)(Engine *engine, const char *id, const LogQuery *query, LogSink sink, void *context, Error **err);
        int (*stats)(Engine *engine, const char *id, ContainerStats *ret, Error **err);
        /* Rows of columns as ps prints them; the first row is the header. Each row is a strv; the caller frees. */
        int (*top)(Engine *engine, const char *id, char ****ret_rows, size_t *ret_length, Error **err);
        /* A connected stream to a TCP port inside the container's network. */
        int (*dial)(Engine *engine, const char *id, uint16_t port, int *ret_fd, Error **err);

        /* After a reboot or an upgrade: puts back what the engine lost (rules, mounts, names), removes what has no
         * owner. Called once by a keeper when it starts. */
        int (*recover)(Engine *engine, const char *project, const EngineProgress *progress, Error **err);
} EngineOperations;

struct Engine {
        const EngineOperations *operations;
        unsigned capabilities;
        /* an implementation's own members follow */
};

static inline void engine_free(Engine *engine)
{
        if (engine)
                engine->operations->free(engine);
}
DEFINE_CLEANUP(Engine, engine_free);

#endif
