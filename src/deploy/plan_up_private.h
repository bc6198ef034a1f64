/* What the parts of plan_up share: plan_up.c (the whole), plan_resources.c (networks and volumes), plan_containers.c
 * (one container), plan_services.c (one service with its migrations, waits and restarts). */
#ifndef BERTH_DEPLOY_PLAN_UP_PRIVATE_H
#define BERTH_DEPLOY_PLAN_UP_PRIVATE_H

#include "base/strv.h"
#include "deploy/plan.h"

typedef struct ServicePlan {
        const PlanService *input;
        bool selected, planned, explicit;
        bool updated; /* a container of it was made anew */
        bool is_database;
        size_t migrate; /* the last step before it is ready for its users; PLAN_NONE */
        VECTOR(size_t) creates, starts, stops;
} ServicePlan;

typedef struct Planner {
        const PlanInput *input;
        const Project *project;
        const Found *found;
        const PlanOptions *options;
        Plan *plan;
        ServicePlan *services; /* parallel to project->services */
        size_t *networks;      /* parallel to project->networks: the action that makes it, or PLAN_NONE */
        size_t *network_removals;
        size_t *volumes;
} Planner;

/* ---- plan_up.c ---- */
ServicePlan *planner_find_service(Planner *planner, const char *name);
/* Named by the command, or all are. */
bool planner_names_service(const Planner *planner, const char *name);

/* ---- plan_resources.c: what the command's services use is made, or made anew where it differs ---- */
int planner_network(Planner *planner, size_t index, Error **err);
int planner_volume(Planner *planner, size_t index, Error **err);

/* ---- plan_containers.c ---- */
int planner_build_spec(Planner *planner, ServicePlan *service, int number, const ContainerInfo *previous,
                       ContainerSpec **ret, Error **err);
/* Why a container must be replaced; NULL: it is as it should be. */
const char *planner_recreate_reason(Planner *planner, ServicePlan *service, const ContainerInfo *container,
                                    const ContainerSpec *wanted);
size_t planner_add_create(Planner *planner, ServicePlan *service, ContainerSpec *spec, const char *reason);
size_t planner_add_start(Planner *planner, ServicePlan *service, const char *name, const char *id, size_t creator,
                         const char *reason);
size_t planner_add_stop(Planner *planner, ServicePlan *service, const ContainerInfo *container, const char *reason);
void planner_add_removal(Planner *planner, ServicePlan *service, const ContainerInfo *container, bool remove_volumes,
                         const char *reason);
void planner_add_recreate(Planner *planner, ServicePlan *service, const ContainerInfo *container, ContainerSpec *spec,
                          const char *reason);

/* ---- plan_services.c ---- */
int64_t planner_wanted_count(const Planner *planner, const Service *service);
int planner_service(Planner *planner, ServicePlan *service, Error **err);

#endif
