/* The plans of down, stop, rm and of a machine that goes down. */
#include "base/strv.h"
#include "deploy/plan_items.h"

static bool is_orphan(const PlanInput *input, const ContainerInfo *container)
{
        const Project *project = input->project;

        if (!project || !container->service)
                return false;
        for (size_t i = 0; i < project->n_services; i++)
                if (streq(project->services[i].name, container->service))
                        return false;
        for (size_t i = 0; i < project->n_disabled_services; i++)
                if (streq(project->disabled_services[i].name, container->service))
                        return false;
        return true;
}

static bool network_is_needed(const Found *found, const PlanItems *items, const char *name)
{
        for (size_t i = 0; i < found->containers.length; i++) {
                const ContainerInfo *container = found->containers.items[i];
                bool goes = false;
                for (size_t k = 0; k < items->length; k++)
                        goes |= items->items[k].container == container && items->items[k].last != PLAN_NONE;
                for (size_t k = 0; !goes && container->spec && k < container->spec->n_networks; k++)
                        if (streq(container->spec->networks[k].network, name))
                                return true;
        }
        return false;
}

static void after_all(Plan *plan, size_t action, const PlanItems *items)
{
        for (size_t i = 0; i < items->length; i++)
                plan_after(plan, action, items->items[i].last);
}

static void remove_networks(const PlanInput *input, Plan *plan, const PlanItems *items)
{
        for (size_t i = 0; i < input->found->n_networks; i++) {
                const NetworkInfo *network = input->found->networks[i];
                size_t index;
                if (!network->key || (input->project && !streq_ptr(network->project, input->project->name)) ||
                    network_is_needed(input->found, items, network->name))
                        continue;
                index = plan_add(plan, PLAN_NETWORK_REMOVE, network->name, NULL, NULL, "nothing uses it any more");
                plan_at(plan, index)->optional = true; /* another project may have joined it */
                after_all(plan, index, items);
        }
}

/* Declared ones: they carry their key. Which of them the model calls external is respected. */
static void remove_volumes(const PlanInput *input, Plan *plan, const PlanItems *items)
{
        for (size_t i = 0; i < input->found->n_volumes; i++) {
                const VolumeInfo *volume = input->found->volumes[i];
                bool external = !volume->project || (input->project && !streq(volume->project, input->project->name));
                size_t index;
                for (size_t k = 0; input->project && k < input->project->n_volumes; k++)
                        external |= input->project->volumes[k].external &&
                                    streq(input->project->volumes[k].name, volume->name);
                if (external || !volume->key || volume->in_trash)
                        continue;
                index = plan_add(plan, PLAN_VOLUME_REMOVE, volume->name, NULL, NULL, "asked for");
                after_all(plan, index, items);
        }
}

int plan_down(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        const PlanOptions *options = input->options;
        _cleanup_plan_items_ PlanItems items = { 0 };
        int r;

        r = plan_items_find(input, plan, true, &items, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < items.length; i++) {
                PlanItem *item = &items.items[i];
                size_t remove;
                if (!options->remove_orphans && !item->container->oneoff && is_orphan(input, item->container)) {
                        strv_addf(
                                &plan->warnings,
                                "container %s belongs to no service of the file and stays: --remove-orphans removes it",
                                item->container->name);
                        continue;
                }
                if (plan_item_runs(item) || plan_may_come_back(item->container))
                        plan_item_add(plan, item, PLAN_CONTAINER_STOP, "asked for");
                remove = plan_item_add(plan, item, PLAN_CONTAINER_REMOVE, "asked for");
                plan_at(plan, remove)->remove_volumes = options->remove_volumes;
        }
        plan_order_backwards(plan, &items);
        remove_networks(input, plan, &items);
        if (options->remove_volumes && !options->services)
                remove_volumes(input, plan, &items);
        *ret = TAKE_PTR(plan);
        return 0;
}

/* ---- stop, halt, rm ---- */

static int plan_stops(const PlanInput *input, bool oneoffs, const char *reason, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        _cleanup_plan_items_ PlanItems items = { 0 };
        int r = plan_items_find(input, plan, oneoffs, &items, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < items.length; i++)
                if (plan_item_runs(&items.items[i]) || plan_may_come_back(items.items[i].container))
                        plan_item_add(plan, &items.items[i], PLAN_CONTAINER_STOP, reason);
        plan_order_backwards(plan, &items);
        *ret = TAKE_PTR(plan);
        return 0;
}

int plan_stop(const PlanInput *input, Plan **ret, Error **err)
{
        return plan_stops(input, false, "asked for", ret, err);
}

int plan_halt(const PlanInput *input, Plan **ret, Error **err)
{
        int r = plan_stops(input, true, "the machine goes down", ret, err);

        if (r == 0)
                plan_let_failures_pass(*ret);
        return r;
}

int plan_rm(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        _cleanup_plan_items_ PlanItems items = { 0 };
        int r;

        r = plan_items_find(input, plan, true, &items, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < items.length; i++) {
                size_t remove;
                if (plan_item_runs(&items.items[i]))
                        continue;
                remove = plan_item_add(plan, &items.items[i], PLAN_CONTAINER_REMOVE, "asked for");
                plan_at(plan, remove)->remove_volumes = input->options->remove_volumes;
        }
        *ret = TAKE_PTR(plan);
        return 0;
}
