/* From a request's model to a plan: what blocks, done on a thread of the pool. Nothing of the project is changed here, and
 * everything that can be refused is refused here: missing images, files and external resources, names and ports that others
 * have. Only templates of clusters, which belong to the installation, are made: a first fresh start waits for one here. */
#ifndef BERTH_KEEPER_PREPARE_H
#define BERTH_KEEPER_PREPARE_H

#include "compose/xberth.h"
#include "deploy/plan.h"
#include "keeper/request.h"

typedef struct MissingImage {
        char *reference, *platform, *policy, *service; /* borrowed from the project or the parameters */
        char *reason;                                  /* why it must be pulled; in the project's arena */
} MissingImage;

typedef struct Preparation {
        KeeperParts parts;        /* copied */
        const char *project_name; /* the keeper's */
        const json_t *params;     /* borrowed; not touched by anyone meanwhile */
        bool for_run, only_pull;
        Project *project;
        char **services;            /* asked for; NULL: all */
        char **selected;            /* with dependencies */
        PlanService *plan_services; /* parallel to project->services */
        Image **images;             /* the same; NULL: not selected */
        char **hashes;
        VECTOR(MissingImage) missing; /* each reference once */
        char **notes;                 /* where images come from that are new to their service */
        Found found;
        Plan *plan;
        VECTOR(PlanScale) scale;
        struct ServiceSecurity *security; /* the same as images; secure.c */
        size_t oneoff_create;             /* run: the action that makes the one-off; PLAN_NONE */
} Preparation;

void preparation_done(Preparation *preparation);

/* Loads the model, selects services, finds images. missing.length tells whether something must be pulled first; otherwise
 * call prepare_plan next. */
int prepare_load(Preparation *preparation, Error **err);
/* After pulling: finds again what was missing (ERROR_NOT_FOUND now), looks at the state, plans, checks, guards, and has
 * templates made: that may take as long as initdb. */
int prepare_plan(Preparation *preparation, Error **err);

/* x-berth of a service (NULL: of the project alone); the strings live as long as the project. */
XBerth preparation_settings(const Preparation *preparation, const Service *service);

/* prepare_images.c: finds what is not found yet. may_miss: what is missing, or of another platform, is noted for pulling;
 * otherwise that is an error. */
int preparation_find_images(Preparation *preparation, bool may_miss, Error **err);
/* Notes where images come from that a container is made of for the first time. */
void preparation_note_sources(Preparation *preparation);

/* databases.c: refuses what would put data at risk, and warns of what will disappoint: of containers that are made, started
 * or kept alike. */
int preparation_guard(Preparation *preparation, Error **err);
/* databases.c: has the templates of new clusters made, and offers them to their containers. */
void preparation_add_templates(Preparation *preparation);

/* check.c: refuses what would collide or is missing, before anything changes. */
int preparation_check(Preparation *preparation, Error **err);

#endif
