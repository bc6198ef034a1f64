/* The typed model of a compose project: what the rooms above act on. It lives in one arena and never changes once
 * loaded. Semantics of each field: the compose specification. Durations are nanoseconds, sizes bytes; -1 means "not
 * given" for numbers, NULL for strings and vectors. Everything that is accepted but not acted on stays in `model`. */
#ifndef BERTH_COMPOSE_PROJECT_H
#define BERTH_COMPOSE_PROJECT_H

#include "base/arena.h"
#include "base/error.h"

typedef struct Node Node; /* compose/node.h: the tree with positions */

typedef struct KeyValue {
        char *key;
        char *value; /* NULL: given without a value (environment: unset it) */
} KeyValue;

typedef struct KeyValues {
        KeyValue *items;
        size_t length;
} KeyValues;

/* The value of key, or NULL. */
const char *key_values_get(const KeyValues *values, const char *key);

typedef struct Port {
        char *host_ip;   /* NULL: all addresses */
        char *published; /* "8080", a range "8000-8010", or NULL: any free port */
        uint16_t target;
        char *protocol; /* "tcp" or "udp" */
        char *mode;     /* "ingress" or "host" */
} Port;

typedef enum MountType { MOUNT_TYPE_BIND, MOUNT_TYPE_VOLUME, MOUNT_TYPE_TMPFS, MOUNT_TYPE_OTHER } MountType;

typedef struct Mount {
        MountType type;
        char *source; /* bind: absolute path; volume: key of Project.volumes, NULL: anonymous */
        char *target; /* absolute */
        bool read_only;
        bool create_host_path; /* bind */
        bool nocopy;           /* volume */
        char *subpath;         /* volume */
        char *propagation;     /* bind: "rprivate", "rshared", … or NULL */
        char *selinux;         /* bind: "z", "Z" or NULL */
        int64_t tmpfs_size;    /* -1 */
        int64_t tmpfs_mode;    /* -1 */
        char *other_type;      /* MOUNT_TYPE_OTHER: "image", "npipe", "cluster" */
} Mount;

typedef struct ServiceNetwork {
        char *network; /* key of Project.networks */
        char **aliases;
        char *ipv4_address, *ipv6_address, *mac_address;
        int64_t priority; /* gw_priority, else priority; 0 */
} ServiceNetwork;

typedef struct FileReference { /* a secret or config in a service */
        char *source;          /* key of Project.secrets or .configs */
        char *target;          /* absolute path in the container */
        int64_t uid, gid;      /* -1: not given */
        int64_t mode;          /* -1: not given */
} FileReference;

typedef struct Healthcheck {
        char **test; /* starts with CMD, CMD-SHELL or NONE; NULL: the image's */
        bool disable;
        int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries; /* -1 */
} Healthcheck;

typedef enum DependencyCondition {
        DEPENDENCY_STARTED,
        DEPENDENCY_HEALTHY,
        DEPENDENCY_COMPLETED,
} DependencyCondition;

typedef struct Dependency {
        char *service;
        DependencyCondition condition;
        bool restart;   /* restart this one when the dependency is updated */
        bool required;  /* default true */
        bool list_form; /* written as a plain list: DEPENDENCY_STARTED by default, not by choice */
} Dependency;

typedef enum RestartKind { RESTART_NO, RESTART_ALWAYS, RESTART_UNLESS_STOPPED, RESTART_ON_FAILURE } RestartKind;

typedef struct RestartPolicy {
        RestartKind kind;
        int64_t max_attempts; /* -1: no limit */
        int64_t delay_ns;     /* -1: the back-off */
        int64_t window_ns;    /* -1 */
} RestartPolicy;

typedef struct Ulimit {
        char *name;         /* "nofile" */
        int64_t soft, hard; /* -1: unlimited */
} Ulimit;

typedef struct ExtraHost {
        char *host;
        char *address; /* an IP, or "host-gateway" */
} ExtraHost;

typedef struct Device {
        char *source, *target, *permissions; /* "rwm" */
} Device;

typedef struct Resources {
        double cpus;                               /* -1 */
        int64_t cpu_shares, cpu_quota, cpu_period; /* -1 */
        char *cpuset;
        int64_t memory, memory_reservation, memory_swap, memory_swappiness; /* -1 */
        int64_t pids;                                                       /* -1 */
} Resources;

typedef struct Hook { /* post_start, pre_stop */
        char **command;
        char *user, *working_dir;
        KeyValues environment;
        bool privileged;
} Hook;

typedef struct Service {
        char *name;
        char *container_name; /* NULL: <project>-<service>-<number> */
        char *image;          /* NULL where only build is given */
        bool has_build;
        char *pull_policy; /* "always", "never", "missing", "build"; NULL */
        char *platform;
        char **command; /* with has_command: NULL clears the image's */
        char **entrypoint;
        bool has_command, has_entrypoint;
        KeyValues environment; /* env_file folded in */
        Port *ports;
        size_t n_ports;
        char **expose;
        Mount *mounts; /* `volumes:`; parents before children is the engine's matter */
        size_t n_mounts;
        char **tmpfs; /* "/run:size=64m" */
        char **volumes_from;
        ServiceNetwork *networks;
        size_t n_networks;
        char *network_mode; /* "host", "none", "bridge", "service:X", "container:X"; NULL: networks */
        FileReference *secrets, *configs;
        size_t n_secrets, n_configs;
        Healthcheck *healthcheck; /* NULL: the image's */
        Dependency *depends_on;   /* implicit ones (links, service: namespaces, volumes_from) included */
        size_t n_depends_on;
        RestartPolicy restart;
        char *stop_signal;            /* NULL: the image's */
        int64_t stop_grace_period_ns; /* -1 */
        char *user, *working_dir, *hostname, *domainname, *mac_address;
        char **group_add;
        bool read_only, privileged, tty, stdin_open;
        int init; /* -1 not given, 0, 1 */
        char **cap_add, **cap_drop, **security_opt;
        Ulimit *ulimits;
        size_t n_ulimits;
        int64_t shm_size; /* -1 */
        KeyValues sysctls, labels, annotations;
        ExtraHost *extra_hosts;
        size_t n_extra_hosts;
        Device *devices;
        size_t n_devices;
        char **dns, **dns_search, **dns_opt;
        char *ipc, *pid, *uts, *userns_mode, *cgroup, *cgroup_parent, *runtime, *isolation;
        int64_t oom_score_adj; /* INT64_MIN: not given */
        bool oom_kill_disable;
        char *log_driver; /* NULL: the default */
        KeyValues log_options;
        Resources resources; /* of deploy.resources and the older keys */
        int64_t scale;       /* deploy.replicas or scale; 1 by default */
        bool attach;         /* `up` shows its logs; default true */
        char **profiles;
        Hook *post_start, *pre_stop;
        size_t n_post_start, n_pre_stop;
        const Node *x_berth; /* NULL */
        const Node *node;    /* the service in Project.model */
} Service;

typedef struct IpamPool {
        char *subnet, *gateway, *ip_range;
        KeyValues aux_addresses;
} IpamPool;

typedef struct Network {
        char *key, *name; /* name: what the engine calls it */
        char *driver;     /* NULL: bridge */
        KeyValues driver_opts, labels;
        bool external, internal, attachable, enable_ipv6;
        IpamPool *pools;
        size_t n_pools;
        const Node *node;
} Network;

typedef struct Volume {
        char *key, *name;
        char *driver; /* NULL: local */
        KeyValues driver_opts, labels;
        bool external;
        const Node *node;
} Volume;

typedef struct FileSource { /* a top-level secret or config; at most one of file, environment, content is set */
        char *key, *name;
        bool external;
        char *file;        /* absolute */
        char *environment; /* name of the variable */
        char *content;     /* configs; and what `environment` resolved to when the model was loaded */
        char **command;    /* prints the content: an external secret that x-berth tells how to get; NULL */
        int64_t command_timeout_ns;
        KeyValues labels;
        const Node *node;
} FileSource;

typedef struct Project {
        Arena *arena;
        char *name;
        bool name_given;   /* by -p, COMPOSE_PROJECT_NAME or `name:`, not by the folder */
        char *working_dir; /* absolute */
        char **files;      /* absolute paths of the files that were read */
        char **profiles;   /* active */
        Service *services; /* enabled by profile, sorted by name */
        size_t n_services;
        Service *disabled_services; /* not enabled by any active profile */
        size_t n_disabled_services;
        Network *networks; /* used ones only, sorted by key; "default" where it is used */
        size_t n_networks;
        Volume *volumes;
        size_t n_volumes;
        FileSource *secrets, *configs;
        size_t n_secrets, n_configs;
        const Node *model;   /* canonical tree: what `config` prints */
        const Node *x_berth; /* top level; NULL */
        bool is_template; /* loaded without interpolation: values may be variables still, and only `model` is there */
        char **warnings;  /* of loading (unset variables, obsolete keys), for the user, each once */
        char **ignored;   /* keys that are accepted and not acted on, each once, by name: for `up`, not for `config` */
        char **variables; /* KEY=VALUE that interpolation saw, sorted by name; NULL after project_from_json */
        const Node *root; /* the tree before it was typed; NULL after project_from_json */
} Project;

const Service *project_find_service(const Project *project, const char *name); /* enabled ones; NULL */
const Network *project_find_network(const Project *project, const char *key);
const Volume *project_find_volume(const Project *project, const char *key);
const FileSource *project_find_secret(const Project *project, const char *key);
const FileSource *project_find_config(const Project *project, const char *key);

/* "<project>-<service>-<number>" or the service's container_name; owned by the caller. */
char *service_container_name(const Project *project, const Service *service, int number);

/* What the command line and the caller's environment say about loading. All borrowed. */
typedef struct LoadOptions {
        char *const *files;       /* -f, in order; "-" is standard input; NULL: found by search */
        const char *project_dir;  /* --project-directory */
        const char *project_name; /* -p */
        char *const *env_files;   /* --env-file */
        char *const *profiles;    /* --profile */
        char *const *services;    /* named on the command line: their profiles are enabled */
        char *const *environment; /* the process's, KEY=VALUE */
        const char *working_dir;  /* where the search starts; NULL: getcwd */
        bool untyped;             /* of the project only name, files, profiles and `model` are wanted */
        bool all_resources, no_interpolate, no_normalize, no_path_resolution, no_consistency, no_env_resolution;
} LoadOptions;

/* Finds, reads, interpolates, merges and validates. On failure *err holds all errors of the files (Error.next).
 * On success *ret is the caller's (project_free). */
int project_load(const LoadOptions *options, Project **ret, Error **err);
void project_free(Project *project);
DEFINE_CLEANUP(Project, project_free);

/* Ports in the short form, as `run -p` has them: "[ip:]host:container[/protocol]", ranges too. One of them per port of the
 * container, in the arena. ERROR_USAGE. */
int ports_parse(Arena *arena, const char *text, Port **ret, size_t *ret_length, Error **err);

/* How a project travels to its keeper: the canonical model with every x-*, as one line of JSON, owned by the caller.
 * project_from_json makes an equal project of it. What variables of secrets and configs held does not travel. */
char *project_to_json(const Project *project);
int project_from_json(const char *json, size_t size, const char *working_dir, Project **ret, Error **err);

/* The images that the services of the model name, each once; a vector of the caller's. */
char **project_images(const Project *project);
/* Puts pinned[i] in the place of images[i] in the model (not in `services`). */
void project_replace_images(Project *project, char *const *images, char *const *pinned);
/* Leaves nothing but services with their images: an override that fixes them. */
void project_keep_images(Project *project);

/* What `config` prints: the model as the reference prints it, as JSON or YAML, $ escaped as $$. In pieces. */
void project_print(const Project *project, bool json, void (*write)(void *context, const char *text, size_t length),
                   void *context);
/* The same as one text, owned by the caller. */
char *project_config_text(const Project *project, bool json);

/* A hash over everything in a service that means a new container when it changes; 64 hex digits, owned by the caller.
 */
char *service_hash(const Project *project, const Service *service);
/* The hash that `config --hash` prints, equal to the reference's. */
char *service_config_hash(const Service *service);

#endif
