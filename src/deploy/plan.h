/* What has to be done: a list of actions with reasons, and which must be done before which. Made by pure functions from
 * the model, the state found and options; carried out by the keeper, or printed (`up --dry-run`). */
#ifndef BERTH_DEPLOY_PLAN_H
#define BERTH_DEPLOY_PLAN_H

#include <jansson.h>

#include "base/vector.h"
#include "deploy/found.h"
#include "deploy/spec.h"

typedef enum PlanVerb {
        PLAN_NETWORK_CREATE,
        PLAN_NETWORK_REMOVE,
        PLAN_VOLUME_CREATE,
        PLAN_VOLUME_REMOVE,
        PLAN_CONTAINER_CREATE,
        PLAN_CONTAINER_RENAME, /* out of the way of its successor */
        PLAN_CONTAINER_START,
        PLAN_CONTAINER_STOP,
        PLAN_CONTAINER_REMOVE,
        PLAN_MIGRATE, /* what is pending of the migrations of `service`, in a container that runs */
        PLAN_SECURE,  /* who may connect and which roles there are, in the database of `service`, which runs */
        PLAN_CONTAINER_REFRESH, /* its secrets have other contents now: it gets them, and reads its configuration again */
        PLAN_WAIT,              /* until the containers of `service` satisfy `condition` */
} PlanVerb;

#define PLAN_NONE SIZE_MAX

/* What MIGRATE needs, filled in by who carries the plan out. */
typedef struct PlanMigration {
        char *folder;
        char *table;             /* NULL: the default */
        char *role;              /* that it runs as; NULL: the container's user. Its password is the action's task's */
        int64_t lock_timeout_ns; /* -1: the default */
} PlanMigration;

typedef struct PlanAction {
        PlanVerb verb;
        char *name;              /* of the resource; WAIT: of the service that is waited for */
        char *service;           /* containers, WAIT; else NULL */
        char *id;                /* of a container that exists; NULL: what action `creator` made */
        size_t creator;          /* PLAN_NONE */
        char *reason;            /* why; never NULL */
        ContainerSpec *spec;     /* CREATE; owned by the plan */
        NetworkSpec *network;    /* NETWORK_CREATE */
        VolumeSpec *volume;      /* VOLUME_CREATE */
        char *new_name;          /* RENAME */
        PlanMigration migration; /* MIGRATE; strings in the plan's arena */
        json_t *task;  /* SECURE: {"access", "roles"}; MIGRATE: {"password"}; filled in by who carries the plan
                        * out; owned, erased */
        bool recreate; /* part of replacing a container by a new one */
        bool oneoff;
        bool remove_volumes;           /* REMOVE: anonymous volumes too */
        bool optional;                 /* its failure, and that of what it waits for, is a warning */
        bool running_is_enough;        /* WAIT, HEALTHY: a container without a check need only run */
        bool at_end;                   /* WAIT of `--wait`, and of a boot: its time is limited */
        DependencyCondition condition; /* WAIT */
        VECTOR(size_t) after;          /* indices of actions that must have succeeded */
} PlanAction;

/* A container of `up` that is as the file wants it. */
typedef struct PlanKept {
        char *service;       /* in the plan's arena */
        ContainerSpec *spec; /* as it would be made now; owned by the plan */
        bool runs;
} PlanKept;

typedef struct Plan {
        Arena *arena; /* the strings */
        VECTOR(PlanAction) actions;
        char **warnings;       /* owned */
        VECTOR(PlanKept) kept; /* of up */
        char **containers;     /* names of the containers that the command is about, in order; owned */
} Plan;

Plan *plan_create(void);
void plan_free(Plan *plan);
DEFINE_CLEANUP(Plan, plan_free);

/* A service of the model with what was found out about it. */
typedef struct PlanService {
        const Service *service;
        const Image *image;
        const char *config_hash;
        int postgres; /* as SpecInput.postgres */
        bool secure;  /* the same for access rules and roles, before the migrations */
        bool migrate; /* where it is a database: its migrations run once it is healthy, before what depends on it */
} PlanService;

typedef struct PlanScale {
        const char *service;
        int64_t count; /* -1: whatever there is stays as it is */
} PlanScale;

typedef struct PlanOptions {
        char **services; /* NULL: all */
        bool force_recreate, no_recreate, no_deps, remove_orphans, no_start, renew_anon_volumes, wait;
        bool remove_volumes; /* down, rm */
        const PlanScale *scale;
        size_t n_scale;
} PlanOptions;

typedef struct PlanInput {
        const Project *project;      /* NULL where only the state found is known (not for plan_up) */
        const PlanService *services; /* of project->services, in that order */
        const Found *found;
        const PlanOptions *options;
} PlanInput;

/* The services that a command on options->services (with their dependencies unless no_deps) is about; a strv, owned by the
 * caller. ERROR_NOT_FOUND `no such service: x`. */
int plan_select(const Project *project, char *const *services, bool no_deps, char ***ret, Error **err);

int plan_up(const PlanInput *input, Plan **ret, Error **err);
int plan_down(const PlanInput *input, Plan **ret, Error **err);
/* From the state found alone: dependencies are read from the containers' labels. */
int plan_start(const PlanInput *input, Plan **ret, Error **err);
int plan_stop(const PlanInput *input, Plan **ret, Error **err);
int plan_restart(const PlanInput *input, Plan **ret, Error **err);
int plan_rm(const PlanInput *input, Plan **ret, Error **err); /* stopped containers */
/* The machine goes down: everything that runs, one-offs too. What cannot be stopped is told and keeps nothing waiting. */
int plan_halt(const PlanInput *input, Plan **ret, Error **err);
/* It was started: what restart policies want (restart_at_boot), in the order of dependencies among these alone. One that
 * fails is told and keeps the others from nothing: those that depend on it start all the same and have their own policies. */
int plan_boot(const PlanInput *input, Plan **ret, Error **err);

/* [{"action", "kind", "name", "reason"}], WAITs left out; a new reference. */
json_t *plan_to_json(const Plan *plan);
const char *plan_verb_name(PlanVerb verb); /* "create", … */
const char *plan_verb_kind(PlanVerb verb); /* "network", "volume", "container" */

/* For the planners. All copy their strings. */
PlanAction *plan_at(Plan *plan, size_t index);
size_t plan_add(Plan *plan, PlanVerb verb, const char *name, const char *service, const char *id, const char *format,
                ...) _printf_(6, 7);
void plan_after(Plan *plan, size_t action, size_t earlier); /* PLAN_NONE for either does nothing */

/* It has ended, but its restart policy may start it at any moment: who is done with it stops it all the same. */
bool plan_may_come_back(const ContainerInfo *container);

/* A dependency as a container's label has it. */
typedef struct LabelDependency {
        char *service;
        DependencyCondition condition;
        bool restart;
} LabelDependency;
/* *ret and its services are in arena. */
size_t plan_label_dependencies(Arena *arena, const ContainerInfo *container, LabelDependency **ret);

#endif
