/* The containers that a command on the state found is about (down, start, stop, …), each with its part of the plan. Which
 * service depends on which is read from the containers' labels, so that no compose file is needed. */
#ifndef BERTH_DEPLOY_PLAN_ITEMS_H
#define BERTH_DEPLOY_PLAN_ITEMS_H

#include "deploy/plan.h"

typedef struct PlanItem { /* a container that the command is about */
        const ContainerInfo *container;
        size_t first, last; /* its first and last action; PLAN_NONE */
        LabelDependency *dependencies;
        size_t n_dependencies;
} PlanItem;

typedef struct PlanItems {
        PlanItem *items;
        size_t length;
} PlanItems;

/* Those that options->services name, or all; one-offs where asked for. ERROR_NOT_FOUND: a name is no service or container of
 * the project. *ret is the caller's (plan_items_done); what it points to is the input's and the plan's. */
int plan_items_find(const PlanInput *input, Plan *plan, bool oneoffs, PlanItems *ret, Error **err);
void plan_items_done(PlanItems *items);
#define _cleanup_plan_items_ _cleanup_(plan_items_done)
bool plan_item_runs(const PlanItem *item);
/* An action on its container, after those that the item has already; the action's index. */
size_t plan_item_add(Plan *plan, PlanItem *item, PlanVerb verb, const char *reason);
/* Dependents first: what a container depends on is touched after the container itself is done. */
void plan_order_backwards(Plan *plan, PlanItems *items);
/* Whatever fails is told and keeps nothing else from being done: where nobody is there to try again. */
void plan_let_failures_pass(Plan *plan);

#endif
