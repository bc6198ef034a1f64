/* The plans of start, restart and of a boot. */
#include "base/strv.h"
#include "deploy/plan_items.h"
#include "deploy/restart.h"

/* Before a container's start: the starts of what it depends on, and the conditions that its label names. */
static void add_conditions(Plan *plan, PlanItems *items, PlanItem *item, size_t start)
{
        for (size_t i = 0; i < item->n_dependencies; i++) {
                const LabelDependency *dependency = &item->dependencies[i];
                size_t wait = PLAN_NONE;
                if (dependency->condition != DEPENDENCY_STARTED) {
                        wait = plan_add(plan, PLAN_WAIT, dependency->service, dependency->service, NULL,
                                        "%s depends on it", item->container->service);
                        plan_at(plan, wait)->condition = dependency->condition;
                        plan_after(plan, start, wait);
                }
                for (size_t k = 0; k < items->length; k++)
                        if (streq_ptr(items->items[k].container->service, dependency->service))
                                plan_after(plan, wait == PLAN_NONE ? start : wait, items->items[k].last);
        }
}

static bool service_has_containers(const PlanInput *input, const char *service)
{
        for (size_t i = 0; i < input->found->containers.length; i++)
                if (streq_ptr(input->found->containers.items[i]->service, service) &&
                    !input->found->containers.items[i]->oneoff)
                        return true;
        return false;
}

static bool service_is_among(const PlanItems *items, const char *service)
{
        for (size_t i = 0; i < items->length; i++)
                if (streq_ptr(items->items[i].container->service, service))
                        return true;
        return false;
}

/* items: only what is among them counts; NULL: what has containers at all. */
static void drop_absent_dependencies(const PlanInput *input, const PlanItems *items, PlanItem *item)
{
        size_t n = 0;

        for (size_t i = 0; i < item->n_dependencies; i++) {
                const char *service = item->dependencies[i].service;
                if (items ? service_is_among(items, service) : service_has_containers(input, service))
                        item->dependencies[n++] = item->dependencies[i];
        }
        item->n_dependencies = input->options->no_deps ? 0 : n;
}

static void add_starts(const PlanInput *input, Plan *plan, PlanItems *items, bool alone, const char *reason)
{
        for (size_t i = 0; i < items->length; i++) {
                PlanItem *item = &items->items[i];
                bool told = container_was_told_to_stop(item->container);
                if (plan_item_runs(item) && told)
                        plan_item_add(plan, item, PLAN_CONTAINER_STOP, "its stop was begun already");
                if (item->container->state != CONTAINER_RUNNING || told)
                        plan_item_add(plan, item, PLAN_CONTAINER_START, reason);
        }
        for (size_t i = 0; i < items->length; i++) {
                drop_absent_dependencies(input, alone ? items : NULL, &items->items[i]);
                if (items->items[i].last != PLAN_NONE)
                        add_conditions(plan, items, &items->items[i], items->items[i].last);
        }
}

int plan_start(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        _cleanup_plan_items_ PlanItems items = { 0 };
        int r;

        r = plan_items_find(input, plan, false, &items, err);
        if (r < 0)
                return r;
        add_starts(input, plan, &items, false, "asked for");
        *ret = TAKE_PTR(plan);
        return 0;
}

static bool starts_at_boot(const ContainerInfo *container)
{
        bool ran = container->halted || (container->started_ns > 0 && container->finished_ns < container->started_ns);
        RestartPolicy policy;

        return !container->oneoff && container->state != CONTAINER_RUNNING && container->state != CONTAINER_CREATED &&
               container->spec && restart_policy_from_text(container->spec->restart, &policy) &&
               restart_at_boot(&policy, container->manually_stopped, container->exit_code, ran);
}

int plan_boot(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        _cleanup_plan_items_ PlanItems items = { 0 };
        _cleanup_strv_ char **names = NULL;
        PlanOptions options = *input->options;
        PlanInput chosen = *input;
        int r = 0;

        for (size_t i = 0; i < input->found->containers.length; i++)
                if (starts_at_boot(input->found->containers.items[i]))
                        strv_add(&names, input->found->containers.items[i]->name);
        options.services = names;
        chosen.options = &options;
        if (names) /* no names would be all */
                r = plan_items_find(&chosen, plan, false, &items, err);
        if (r < 0)
                return r;
        add_starts(&chosen, plan, &items, true, "the machine was started");
        VECTOR_FOREACH(action, &plan->actions)
                action->running_is_enough = action->at_end = action->verb == PLAN_WAIT;
        plan_let_failures_pass(plan);
        *ret = TAKE_PTR(plan);
        return 0;
}

/* Services that follow a named one because of depends_on's restart: true. */
static void add_followers(const PlanInput *input, Arena *arena, char ***services)
{
        bool grown = true;

        while (grown) {
                grown = false;
                for (size_t i = 0; i < input->found->containers.length; i++) {
                        const ContainerInfo *container = input->found->containers.items[i];
                        LabelDependency *dependencies;
                        size_t n = plan_label_dependencies(arena, container, &dependencies);
                        if (container->oneoff || !container->service || strv_contains(*services, container->service))
                                continue;
                        for (size_t k = 0; k < n; k++)
                                grown |= dependencies[k].restart && strv_contains(*services, dependencies[k].service);
                        if (grown) {
                                strv_add(services, container->service);
                                break;
                        }
                }
        }
}

static int plan_restart_chosen(const PlanInput *input, Plan *plan, Error **err)
{
        _cleanup_plan_items_ PlanItems items = { 0 };
        int r;

        r = plan_items_find(input, plan, false, &items, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < items.length; i++)
                if (plan_item_runs(&items.items[i]))
                        plan_item_add(plan, &items.items[i], PLAN_CONTAINER_STOP, "asked for");
        plan_order_backwards(plan, &items);
        for (size_t i = 0; i < items.length; i++)
                plan_item_add(plan, &items.items[i], PLAN_CONTAINER_START, "asked for");
        for (size_t i = 0; i < items.length; i++) {
                drop_absent_dependencies(input, NULL, &items.items[i]);
                for (size_t k = 0; k < items.items[i].n_dependencies;
                     k++) /* a restart checks no health, as the reference */
                        items.items[i].dependencies[k].condition = DEPENDENCY_STARTED;
                add_conditions(plan, &items, &items.items[i], items.items[i].last);
        }
        return 0;
}

int plan_restart(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        _cleanup_strv_ char **services = strv_copy(input->options->services);
        PlanOptions options = *input->options;
        PlanInput widened = *input;
        int r;

        if (services && !options.no_deps)
                add_followers(input, plan->arena, &services);
        options.services = services;
        widened.options = &options;
        r = plan_restart_chosen(&widened, plan, err);
        if (r >= 0)
                *ret = TAKE_PTR(plan);
        return r;
}
