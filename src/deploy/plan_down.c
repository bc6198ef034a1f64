/* The plans of down, start, stop, restart and rm. They work on the state found; which service depends on which is read from
 * the containers' labels, so that they need no compose file. */
#include "base/strv.h"
#include "deploy/plan.h"

typedef struct Item {           /* a container that the command is about */
        const ContainerInfo *container;
        size_t first, last;     /* its first and last action; PLAN_NONE */
        LabelDependency *dependencies;
        size_t n_dependencies;
} Item;

typedef struct Items {
        Item *items;
        size_t length;
} Items;

static bool is_running(const ContainerInfo *container)
{
        return container->state == CONTAINER_RUNNING || container->state == CONTAINER_PAUSED;
}

static bool is_chosen(const PlanInput *input, const ContainerInfo *container, bool oneoffs)
{
        const PlanOptions *options = input->options;

        if (container->oneoff && !oneoffs)
                return false;
        return !options->services || (container->service && strv_contains(options->services, container->service)) ||
               strv_contains(options->services, container->name);
}

static Items collect(const PlanInput *input, Plan *plan, bool oneoffs)
{
        const ContainerList *list = &input->found->containers;
        Items items = { xnew_array(Item, list->length + 1), 0 };

        for (size_t i = 0; i < list->length; i++) {
                Item *item = &items.items[items.length];
                if (!is_chosen(input, list->items[i], oneoffs))
                        continue;
                *item = (Item){ .container = list->items[i], .first = PLAN_NONE, .last = PLAN_NONE };
                item->n_dependencies = plan_label_dependencies(plan->arena, list->items[i], &item->dependencies);
                items.length++;
                strv_add(&plan->containers, list->items[i]->name);
        }
        return items;
}

/* Each name must be a service or container of the project. */
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

static bool depends_on(const Item *item, const Item *other)
{
        for (size_t i = 0; i < item->n_dependencies; i++)
                if (streq_ptr(item->dependencies[i].service, other->container->service))
                        return true;
        return false;
}

/* Dependents first: what a container depends on is touched after the container itself is done. */
static void order_backwards(Plan *plan, Items *items)
{
        for (size_t i = 0; i < items->length; i++)
                for (size_t k = 0; k < items->length; k++)
                        if (i != k && !items->items[i].container->oneoff && depends_on(&items->items[i], &items->items[k]))
                                plan_after(plan, items->items[k].first, items->items[i].last);
}

static size_t add_action(Plan *plan, Item *item, PlanVerb verb, const char *reason)
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

/* ---- down ---- */

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

static bool network_is_needed(const Found *found, const Items *items, const char *name)
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

static void after_all(Plan *plan, size_t action, const Items *items)
{
        for (size_t i = 0; i < items->length; i++)
                plan_after(plan, action, items->items[i].last);
}

static void remove_networks(const PlanInput *input, Plan *plan, const Items *items)
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
static void remove_volumes(const PlanInput *input, Plan *plan, const Items *items)
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
        Items items;
        int r;

        r = check_services(input, err);
        if (r < 0)
                return r;
        items = collect(input, plan, true);
        for (size_t i = 0; i < items.length; i++) {
                Item *item = &items.items[i];
                size_t remove;
                if (!options->remove_orphans && !item->container->oneoff && is_orphan(input, item->container)) {
                        strv_addf(&plan->warnings,
                                  "container %s belongs to no service of the file and stays: --remove-orphans removes it",
                                  item->container->name);
                        continue;
                }
                if (is_running(item->container) || plan_may_come_back(item->container))
                        add_action(plan, item, PLAN_CONTAINER_STOP, "asked for");
                remove = add_action(plan, item, PLAN_CONTAINER_REMOVE, "asked for");
                plan_at(plan, remove)->remove_volumes = options->remove_volumes;
        }
        order_backwards(plan, &items);
        remove_networks(input, plan, &items);
        if (options->remove_volumes && !options->services)
                remove_volumes(input, plan, &items);
        free(items.items);
        *ret = TAKE_PTR(plan);
        return 0;
}

/* ---- stop, rm ---- */

int plan_stop(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        Items items;
        int r;

        r = check_services(input, err);
        if (r < 0)
                return r;
        items = collect(input, plan, false);
        for (size_t i = 0; i < items.length; i++)
                if (is_running(items.items[i].container) || plan_may_come_back(items.items[i].container))
                        add_action(plan, &items.items[i], PLAN_CONTAINER_STOP, "asked for");
        order_backwards(plan, &items);
        free(items.items);
        *ret = TAKE_PTR(plan);
        return 0;
}

int plan_rm(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        Items items;
        int r;

        r = check_services(input, err);
        if (r < 0)
                return r;
        items = collect(input, plan, true);
        for (size_t i = 0; i < items.length; i++) {
                size_t remove;
                if (is_running(items.items[i].container))
                        continue;
                remove = add_action(plan, &items.items[i], PLAN_CONTAINER_REMOVE, "asked for");
                plan_at(plan, remove)->remove_volumes = input->options->remove_volumes;
        }
        free(items.items);
        *ret = TAKE_PTR(plan);
        return 0;
}

/* ---- start, restart ---- */

/* Before a container's start: the starts of what it depends on, and the conditions that its label names. */
static void add_conditions(Plan *plan, Items *items, Item *item, size_t start)
{
        for (size_t i = 0; i < item->n_dependencies; i++) {
                const LabelDependency *dependency = &item->dependencies[i];
                size_t wait = PLAN_NONE;
                if (dependency->condition != DEPENDENCY_STARTED) {
                        wait = plan_add(plan, PLAN_WAIT, dependency->service, dependency->service, NULL, "%s depends on it",
                                        item->container->service);
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

static void drop_absent_dependencies(const PlanInput *input, Item *item)
{
        size_t n = 0;

        for (size_t i = 0; i < item->n_dependencies; i++)
                if (service_has_containers(input, item->dependencies[i].service))
                        item->dependencies[n++] = item->dependencies[i];
        item->n_dependencies = input->options->no_deps ? 0 : n;
}

int plan_start(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        Items items;
        int r;

        r = check_services(input, err);
        if (r < 0)
                return r;
        items = collect(input, plan, false);
        for (size_t i = 0; i < items.length; i++) {
                const ContainerInfo *container = items.items[i].container;
                if (is_running(container) && container->manually_stopped) /* a stop that was begun and not finished */
                        add_action(plan, &items.items[i], PLAN_CONTAINER_STOP, "its stop was begun already");
                if (container->state != CONTAINER_RUNNING || container->manually_stopped)
                        add_action(plan, &items.items[i], PLAN_CONTAINER_START, "asked for");
        }
        for (size_t i = 0; i < items.length; i++) {
                drop_absent_dependencies(input, &items.items[i]);
                if (items.items[i].last != PLAN_NONE)
                        add_conditions(plan, &items, &items.items[i], items.items[i].last);
        }
        free(items.items);
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
        Items items;
        int r;

        r = check_services(input, err);
        if (r < 0)
                return r;
        items = collect(input, plan, false);
        for (size_t i = 0; i < items.length; i++)
                if (is_running(items.items[i].container))
                        add_action(plan, &items.items[i], PLAN_CONTAINER_STOP, "asked for");
        order_backwards(plan, &items);
        for (size_t i = 0; i < items.length; i++)
                add_action(plan, &items.items[i], PLAN_CONTAINER_START, "asked for");
        for (size_t i = 0; i < items.length; i++) {
                drop_absent_dependencies(input, &items.items[i]);
                for (size_t k = 0; k < items.items[i].n_dependencies; k++) /* a restart checks no health, as the reference */
                        items.items[i].dependencies[k].condition = DEPENDENCY_STARTED;
                add_conditions(plan, &items, &items.items[i], items.items[i].last);
        }
        free(items.items);
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
