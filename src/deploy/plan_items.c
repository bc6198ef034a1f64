#include "deploy/plan_items.h"

#include "base/strv.h"

bool plan_item_runs(const PlanItem *item)
{
        return item->container->state == CONTAINER_RUNNING || item->container->state == CONTAINER_PAUSED;
}

static bool is_chosen(const PlanInput *input, const ContainerInfo *container, bool oneoffs)
{
        const PlanOptions *options = input->options;

        if (container->oneoff && !oneoffs)
                return false;
        return !options->services || (container->service && strv_contains(options->services, container->service)) ||
               strv_contains(options->services, container->name);
}

static PlanItems collect(const PlanInput *input, Plan *plan, bool oneoffs)
{
        const ContainerList *list = &input->found->containers;
        PlanItems items = { xnew_array(PlanItem, list->length + 1), 0 };

        for (size_t i = 0; i < list->length; i++) {
                PlanItem *item = &items.items[items.length];
                if (!is_chosen(input, list->items[i], oneoffs))
                        continue;
                *item = (PlanItem){ .container = list->items[i], .first = PLAN_NONE, .last = PLAN_NONE };
                item->n_dependencies = plan_label_dependencies(plan->arena, list->items[i], &item->dependencies);
                items.length++;
                strv_add(&plan->containers, list->items[i]->name);
        }
        return items;
}

static int check_services(const PlanInput *input, Error **err)
{
        STRV_FOREACH(name, input->options->services) {
                bool known = false;
                for (size_t i = 0; i < input->found->containers.length; i++)
                        known |= streq_ptr(input->found->containers.items[i]->service, *name) ||
                                 streq(input->found->containers.items[i]->name, *name);
                for (size_t i = 0; input->project && i < input->project->n_services; i++)
                        known |= streq(input->project->services[i].name, *name);
                for (size_t i = 0; input->project && i < input->project->n_disabled_services; i++)
                        known |= streq(input->project->disabled_services[i].name, *name);
                if (!known)
                        return error_set(err, ERROR_NOT_FOUND, "no such service: %s", *name);
        }
        return 0;
}

int plan_items_find(const PlanInput *input, Plan *plan, bool oneoffs, PlanItems *ret, Error **err)
{
        int r = check_services(input, err);

        if (r >= 0)
                *ret = collect(input, plan, oneoffs);
        return r;
}

void plan_items_done(PlanItems *items)
{
        free(items->items);
        *items = (PlanItems){ 0 };
}

static bool depends_on(const PlanItem *item, const PlanItem *other)
{
        for (size_t i = 0; i < item->n_dependencies; i++)
                if (streq_ptr(item->dependencies[i].service, other->container->service))
                        return true;
        return false;
}

void plan_order_backwards(Plan *plan, PlanItems *items)
{
        for (size_t i = 0; i < items->length; i++)
                for (size_t k = 0; k < items->length; k++)
                        if (i != k && !items->items[i].container->oneoff &&
                            depends_on(&items->items[i], &items->items[k]))
                                plan_after(plan, items->items[k].first, items->items[i].last);
}

size_t plan_item_add(Plan *plan, PlanItem *item, PlanVerb verb, const char *reason)
{
        const ContainerInfo *container = item->container;
        size_t index = plan_add(plan, verb, container->name, container->service, container->id, "%s", reason);

        plan_at(plan, index)->oneoff = container->oneoff;
        plan_after(plan, index, item->last);
        if (item->first == PLAN_NONE)
                item->first = index;
        item->last = index;
        return index;
}

void plan_let_failures_pass(Plan *plan)
{
        VECTOR_FOREACH(action, &plan->actions)
                action->optional = true;
}
