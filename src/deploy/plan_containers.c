/* Of the plan of `up`: one container, made, kept, replaced or removed. */
#include "deploy/plan_up_private.h"

int planner_build_spec(Planner *planner, ServicePlan *service, int number, const ContainerInfo *previous,
                       ContainerSpec **ret, Error **err)
{
        SpecInput input = {
                .project = planner->project,
                .service = service->input->service,
                .image = service->input->image,
                .config_hash = service->input->config_hash,
                .number = number,
                .postgres = service->input->postgres,
                .previous = planner->options->renew_anon_volumes ? NULL : previous,
        };

        return spec_build(&input, ret, err);
}

/* What Berth mounts for purposes of its own, which the model does not name. */
static bool is_own_mount(const SpecMount *mount)
{
        return startswith(mount->target, "/run/berth/") != NULL;
}

static bool has_mount(const ContainerSpec *spec, const SpecMount *wanted)
{
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (streq(spec->mounts[i].target, wanted->target) && spec->mounts[i].kind == wanted->kind &&
                    streq_ptr(spec->mounts[i].source, wanted->source))
                        return true;
        return false;
}

static bool lacks_mounts(const ContainerSpec *spec, const ContainerSpec *other)
{
        for (size_t i = 0; i < other->n_mounts; i++)
                if (!is_own_mount(&other->mounts[i]) && !has_mount(spec, &other->mounts[i]))
                        return true;
        return false;
}

static bool mounts_differ(const ContainerSpec *wanted, const ContainerSpec *present)
{
        return lacks_mounts(wanted, present) || lacks_mounts(present, wanted);
}

static bool networks_differ(const ContainerSpec *wanted, const ContainerSpec *present)
{
        if (wanted->n_networks != present->n_networks || !streq_ptr(wanted->network_mode, present->network_mode))
                return true;
        for (size_t i = 0; i < wanted->n_networks; i++) {
                bool known = false;
                for (size_t k = 0; k < present->n_networks; k++)
                        known |= streq(present->networks[k].network, wanted->networks[i].network);
                if (!known)
                        return true;
        }
        return false;
}

/* One that is only described anew stays. */
static bool network_is_new(const Planner *planner, size_t index)
{
        const NetworkInfo *info = found_network(planner->found, planner->project->networks[index].name);

        return planner->networks[index] != PLAN_NONE && !(info && info->damage);
}

static bool network_is_replaced(const Planner *planner, const ContainerSpec *spec)
{
        for (size_t i = 0; i < planner->project->n_networks; i++)
                for (size_t k = 0; network_is_new(planner, i) && k < spec->n_networks; k++)
                        if (streq(planner->project->networks[i].name, spec->networks[k].network))
                                return true;
        return false;
}

static bool volume_is_new(const Planner *planner, const ContainerSpec *spec)
{
        for (size_t i = 0; i < planner->project->n_volumes; i++)
                for (size_t k = 0;
                     planner->volumes[i] != PLAN_NONE &&
                     !found_volume(planner->found, planner->project->volumes[i].name) && k < spec->n_mounts;
                     k++)
                        if (spec->mounts[k].kind == SPEC_MOUNT_VOLUME &&
                            streq(planner->project->volumes[i].name, spec->mounts[k].source))
                                return true;
        return false;
}

static const char *shared_namespace(const Service *service)
{
        const char *modes[] = { service->network_mode, service->pid, service->ipc, service->uts };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (modes[i] && startswith(modes[i], "service:"))
                        return startswith(modes[i], "service:");
        return NULL;
}

/* Why a container must be replaced; NULL: it is as it should be. */
const char *planner_recreate_reason(Planner *planner, ServicePlan *service, const ContainerInfo *container,
                                    const ContainerSpec *wanted)
{
        const char *parent = shared_namespace(service->input->service);
        const ServicePlan *parent_plan = parent ? planner_find_service(planner, parent) : NULL;
        const char *hash = container->spec ? strv_env_get(container->spec->labels, LABEL_CONFIG_HASH) : NULL;

        if (container->state == CONTAINER_DEAD || !container->spec)
                return "its files are damaged";
        if (!streq(container->name, wanted->name))
                return "it has another name";
        if (container->lost_files)
                return "its secrets were kept in memory only";
        if (network_is_replaced(planner, container->spec))
                return "its network is made anew";
        if (parent_plan && parent_plan->updated)
                return "the container whose namespace it shares is made anew";
        if (planner->options->force_recreate && service->explicit)
                return "asked for";
        if (planner->options->no_recreate)
                return NULL;
        if (!streq_ptr(hash, service->input->config_hash))
                return "its configuration has changed";
        if (!streq_ptr(container->image_id, service->input->image->id))
                return "its image has changed";
        if (networks_differ(wanted, container->spec))
                return "its networks have changed";
        if (mounts_differ(wanted, container->spec) || volume_is_new(planner, container->spec))
                return "its volumes have changed";
        return planner->options->renew_anon_volumes && service->explicit ? "anonymous volumes are renewed" : NULL;
}

size_t planner_add_create(Planner *planner, ServicePlan *service, ContainerSpec *spec, const char *reason)
{
        Plan *plan = planner->plan;
        const char *parent = shared_namespace(service->input->service);
        size_t index =
                plan_add(plan, PLAN_CONTAINER_CREATE, spec->name, service->input->service->name, NULL, "%s", reason);

        plan_at(plan, index)->spec = spec;
        for (size_t i = 0; i < planner->project->n_networks; i++)
                for (size_t k = 0; k < spec->n_networks; k++)
                        if (streq(planner->project->networks[i].name, spec->networks[k].network))
                                plan_after(plan, index, planner->networks[i]);
        for (size_t i = 0; i < planner->project->n_volumes; i++)
                for (size_t k = 0; k < spec->n_mounts; k++)
                        if (streq_ptr(planner->project->volumes[i].name, spec->mounts[k].source))
                                plan_after(plan, index, planner->volumes[i]);
        if (parent && planner_find_service(planner, parent))
                VECTOR_FOREACH(create, &planner_find_service(planner, parent)->creates)
                        plan_after(plan, index, *create);
        vector_add(&service->creates, index);
        service->updated = true;
        return index;
}

size_t planner_add_start(Planner *planner, ServicePlan *service, const char *name, const char *id, size_t creator,
                         const char *reason)
{
        size_t index;

        if (planner->options->no_start)
                return PLAN_NONE;
        index = plan_add(planner->plan, PLAN_CONTAINER_START, name, service->input->service->name, id, "%s", reason);
        plan_at(planner->plan, index)->creator = creator;
        plan_after(planner->plan, index, creator);
        vector_add(&service->starts, index);
        return index;
}

/* Running or not, a stop does no harm where the state changes meanwhile; a container that never ran needs none. */
size_t planner_add_stop(Planner *planner, ServicePlan *service, const ContainerInfo *container, const char *reason)
{
        size_t index;

        if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_PAUSED &&
            !plan_may_come_back(container))
                return PLAN_NONE;
        index = plan_add(planner->plan, PLAN_CONTAINER_STOP, container->name, container->service, container->id, "%s",
                         reason);
        if (service)
                vector_add(&service->stops, index);
        return index;
}

void planner_add_removal(Planner *planner, ServicePlan *service, const ContainerInfo *container, bool remove_volumes,
                         const char *reason)
{
        size_t stop = planner_add_stop(planner, service, container, reason), remove;

        remove = plan_add(planner->plan, PLAN_CONTAINER_REMOVE, container->name, container->service, container->id,
                          "%s", reason);
        plan_at(planner->plan, remove)->remove_volumes = remove_volumes;
        plan_after(planner->plan, remove, stop);
}

void planner_add_recreate(Planner *planner, ServicePlan *service, const ContainerInfo *container, ContainerSpec *spec,
                          const char *reason)
{
        Plan *plan = planner->plan;
        _cleanup_free_ char *aside = xasprintf("%.12s_%s", container->id, spec->name);
        const char *name = service->input->service->name;
        size_t stop = planner_add_stop(planner, service, container, reason), rename = PLAN_NONE, create, remove, start;

        if (streq(container->name, spec->name)) {
                rename = plan_add(plan, PLAN_CONTAINER_RENAME, container->name, name, container->id, "%s", reason);
                plan_at(plan, rename)->new_name = arena_strdup(plan->arena, aside);
                plan_at(plan, rename)->recreate = true;
                plan_after(plan, rename, stop);
        }
        create = planner_add_create(planner, service, spec, reason);
        plan_at(plan, create)->recreate = true;
        plan_after(plan, create, stop);
        plan_after(plan, create, rename);
        remove = plan_add(plan, PLAN_CONTAINER_REMOVE, container->name, name, container->id, "%s", reason);
        plan_at(plan, remove)->recreate = true;
        plan_at(plan, remove)->remove_volumes = planner->options->renew_anon_volumes;
        plan_after(plan, remove, create);
        if (stop != PLAN_NONE)
                plan_at(plan, stop)->recreate = true;
        start = planner_add_start(planner, service, spec->name, NULL, create, reason);
        plan_after(plan, start, remove);
        for (size_t i = 0; i < planner->project->n_networks; i++)
                plan_after(plan, planner->network_removals[i], stop);
}
