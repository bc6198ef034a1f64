/* From a service of the compose model, its image and what was there before to what an engine is asked for. Pure: nothing is
 * read or made; only names of new anonymous volumes are random. */
#ifndef BERTH_DEPLOY_SPEC_H
#define BERTH_DEPLOY_SPEC_H

#include "compose/project.h"
#include "engine/engine.h"

/* Kept with a container for its keeper, which may not know the model any more. */
#define ANNOTATION_RESTART_DELAY  "dev.berth.restart-delay-ns"
#define ANNOTATION_RESTART_WINDOW "dev.berth.restart-window-ns"
#define ANNOTATION_DATABASE       "dev.berth.database" /* "true" */
#define ANNOTATION_POST_START \
        "dev.berth.post-start" /* hooks: [{"command", "user", "working_dir", "environment", "privileged"}] */
#define ANNOTATION_PRE_STOP "dev.berth.pre-stop"
#define ANNOTATION_REMOVE   "dev.berth.remove-at-end" /* "true": a one-off of `run --rm` */
#define ANNOTATION_BOUND    "dev.berth.bound" /* "true": a one-off that is killed when the client that started it goes */

/* Berth's own defaults for databases (docs/compose.md). */
#define DATABASE_GRACE_NS  (INT64_C(60) * 1000 * 1000 * 1000)
#define DATABASE_SHM_BYTES (INT64_C(256) * 1024 * 1024)
#define DEFAULT_GRACE_NS   (INT64_C(10) * 1000 * 1000 * 1000)

/* What `run` changes; NULL members and zeroes leave the service's. All borrowed. */
typedef struct SpecOverrides {
        const char *name;
        char **command, **entrypoint;
        char **environment; /* KEY=VALUE */
        char **volumes;     /* "source:target[:ro]" */
        char **publish;     /* "[ip:]host:container[/proto]" */
        char **labels;      /* KEY=VALUE */
        const char *user, *working_dir;
        bool tty, open_stdin, service_ports, remove;
} SpecOverrides;

typedef struct SpecInput {
        const Project *project;
        const Service *service;
        const Image *image;
        const char *config_hash;
        int number;
        int postgres;                   /* x-berth's word: 1, 0, or -1 for none */
        const ContainerInfo *previous;  /* its anonymous volumes are taken over by target; NULL */
        const SpecOverrides *overrides; /* a one-off; NULL */
} SpecInput;

/* Its main process is a PostgreSQL server. NULL is none. */
bool spec_is_database(const ContainerSpec *spec);

/* ERROR_INVALID or ERROR_UNSUPPORTED name the service and the key. *ret is the caller's. */
int spec_build(const SpecInput *input, ContainerSpec **ret, Error **err);

/* What the project asks of a network and a volume. The result's strings live in arena. */
NetworkSpec *spec_network(Arena *arena, const Project *project, const Network *network);
VolumeSpec *spec_volume(Arena *arena, const Project *project, const Volume *volume);

/* Parts of spec_build, in files of their own. */
int spec_add_mounts(ContainerSpec *spec, const SpecInput *input, Error **err);
int spec_add_files(ContainerSpec *spec, const SpecInput *input, Error **err);
int spec_add_networks(ContainerSpec *spec, const SpecInput *input, Error **err);
int spec_add_ports(ContainerSpec *spec, const SpecInput *input, Error **err);
/* "key=value" of a network's or volume's driver options and labels, with the labels by which docker compose knows its own. */
char **spec_options(Arena *arena, const KeyValues *options);
char **spec_labels(Arena *arena, const KeyValues *labels, const Project *project, const char *key_label,
                   const char *key);

#endif
