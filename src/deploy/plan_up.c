/* The plan of `up`. Per service, dependencies first: what exists is kept, replaced or removed, what is missing is made, and
 * what does not run is started once its dependencies satisfy their conditions. Replacing keeps the old container, renamed,
 * until the new one exists: a crash in between loses neither anonymous volumes nor the way back. */
#include "base/strv.h"
#include "deploy/plan.h"

typedef struct ServicePlan {
        const PlanService *input;
        bool selected, planned, explicit;
        bool updated;           /* a container of it was made anew */
        bool is_database;
        size_t migrate;         /* PLAN_NONE */
        VECTOR(size_t) creates, starts, stops;
} ServicePlan;

typedef struct Planner {
        const PlanInput *input;
        const Project *project;
        const Found *found;
        const PlanOptions *options;
        Plan *plan;
        ServicePlan *services;  /* parallel to project->services */
        size_t *networks;       /* parallel to project->networks: the action that makes it, or PLAN_NONE */
        size_t *network_removals;
        size_t *volumes;
} Planner;

static ServicePlan *find_service(Planner *planner, const char *name)
{
        for (size_t i = 0; i < planner->project->n_services; i++)
                if (streq(planner->project->services[i].name, name))
                        return &planner->services[i];
        return NULL;
}

static bool service_is_selected_by_name(const Planner *planner, const char *name)
{
        return !planner->options->services || strv_contains(planner->options->services, name);
}

/* ---- networks and volumes ---- */

static bool network_is_used(const Planner *planner, const Network *network)
{
        for (size_t i = 0; i < planner->project->n_services; i++) {
                const Service *service = &planner->project->services[i];
                for (size_t k = 0; planner->services[i].selected && k < service->n_networks; k++)
                        if (streq(service->networks[k].network, network->key))
                                return true;
        }
        return false;
}

/* Only what the engine tells can differ: its driver, whether it is internal, and a subnet that is asked for. */
static bool network_differs(const Network *network, const NetworkInfo *info)
{
        if (info->internal != network->internal)
                return true;
        if (network->driver && info->driver && !streq(network->driver, info->driver))
                return true;
        return network->n_pools && network->pools[0].subnet && info->subnet && !strchr(network->pools[0].subnet, ':') &&
               !streq(network->pools[0].subnet, info->subnet);
}

static size_t add_network_create(Planner *planner, const Network *network, const char *reason)
{
        size_t action = plan_add(planner->plan, PLAN_NETWORK_CREATE, network->name, NULL, NULL, "%s", reason);

        plan_at(planner->plan, action)->network = spec_network(planner->plan->arena, planner->project, network);
        return action;
}

static void warn_of_damage(Planner *planner, const char *file)
{
        strv_addf(&planner->plan->warnings, "\"%s\" was damaged: kept beside it and rebuilt from the compose file", file);
}

static int plan_network_repair(Planner *planner, size_t index, const NetworkInfo *info)
{
        warn_of_damage(planner, info->damage);
        planner->networks[index] =
                add_network_create(planner, &planner->project->networks[index], "its description is damaged");
        return 0;
}

static int plan_network(Planner *planner, size_t index, Error **err)
{
        const Network *network = &planner->project->networks[index];
        const NetworkInfo *info = found_network(planner->found, network->name);
        const char *reason = "it does not exist yet";

        planner->networks[index] = planner->network_removals[index] = PLAN_NONE;
        if (!network_is_used(planner, network))
                return 0;
        if (network->external)
                return info ? 0
                            : error_set(err, ERROR_NOT_FOUND, "network %s declared as external, but could not be found",
                                        network->name);
        if (info && info->damage)
                return plan_network_repair(planner, index, info);
        if (info && info->project && !streq(info->project, planner->project->name)) {
                strv_addf(&planner->plan->warnings,
                          "network %s was made for project \"%s\": it is used as it is (`external: true` says so in the file)",
                          network->name, info->project);
                return 0;
        }
        if (info && !network_differs(network, info))
                return 0;
        if (info) {
                reason = "its configuration has changed";
                planner->network_removals[index] =
                        plan_add(planner->plan, PLAN_NETWORK_REMOVE, network->name, NULL, NULL, "%s", reason);
        }
        planner->networks[index] = add_network_create(planner, network, reason);
        plan_after(planner->plan, planner->networks[index], planner->network_removals[index]);
        return 0;
}

static bool volume_is_used(const Planner *planner, const Volume *volume)
{
        for (size_t i = 0; i < planner->project->n_services; i++) {
                const Service *service = &planner->project->services[i];
                for (size_t k = 0; planner->services[i].selected && k < service->n_mounts; k++)
                        if (service->mounts[k].type == MOUNT_TYPE_VOLUME &&
                            streq_ptr(service->mounts[k].source, volume->key))
                                return true;
                if (planner->services[i].selected && service->volumes_from)
                        return true;
        }
        return false;
}

static int plan_volume(Planner *planner, size_t index, Error **err)
{
        const Volume *volume = &planner->project->volumes[index];
        const VolumeInfo *info = found_volume(planner->found, volume->name);
        const char *reason = "it does not exist yet";

        planner->volumes[index] = PLAN_NONE;
        if (!volume_is_used(planner, volume))
                return 0;
        if (volume->external && !info)
                return error_set(err, ERROR_NOT_FOUND, "external volume \"%s\" not found", volume->name);
        if (info && info->damage && !volume->external) {
                warn_of_damage(planner, info->damage);
                info = NULL;
                reason = "its description is damaged";
        }
        if (info && !volume->external && (!info->project || !streq(info->project, planner->project->name)))
                strv_addf(&planner->plan->warnings,
                          "volume \"%s\" already exists but was not created for project \"%s\": use `external: true` to use "
                          "an existing volume", volume->name, planner->project->name);
        if (info)
                return 0;
        planner->volumes[index] = plan_add(planner->plan, PLAN_VOLUME_CREATE, volume->name, NULL, NULL, "%s", reason);
        plan_at(planner->plan, planner->volumes[index])->volume =
                spec_volume(planner->plan->arena, planner->project, volume);
        return 0;
}

/* ---- one container ---- */

static int build_spec(Planner *planner, ServicePlan *service, int number, const ContainerInfo *previous,
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
                for (size_t k = 0; planner->volumes[i] != PLAN_NONE &&
                                   !found_volume(planner->found, planner->project->volumes[i].name) && k < spec->n_mounts; k++)
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
static const char *recreate_reason(Planner *planner, ServicePlan *service, const ContainerInfo *container,
                                   const ContainerSpec *wanted)
{
        const char *parent = shared_namespace(service->input->service);
        const ServicePlan *parent_plan = parent ? find_service(planner, parent) : NULL;
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

static size_t add_create(Planner *planner, ServicePlan *service, ContainerSpec *spec, const char *reason)
{
        Plan *plan = planner->plan;
        const char *parent = shared_namespace(service->input->service);
        size_t index = plan_add(plan, PLAN_CONTAINER_CREATE, spec->name, service->input->service->name, NULL, "%s", reason);

        plan_at(plan, index)->spec = spec;
        for (size_t i = 0; i < planner->project->n_networks; i++)
                for (size_t k = 0; k < spec->n_networks; k++)
                        if (streq(planner->project->networks[i].name, spec->networks[k].network))
                                plan_after(plan, index, planner->networks[i]);
        for (size_t i = 0; i < planner->project->n_volumes; i++)
                for (size_t k = 0; k < spec->n_mounts; k++)
                        if (streq_ptr(planner->project->volumes[i].name, spec->mounts[k].source))
                                plan_after(plan, index, planner->volumes[i]);
        if (parent && find_service(planner, parent))
                VECTOR_FOREACH(create, &find_service(planner, parent)->creates)
                        plan_after(plan, index, *create);
        vector_add(&service->creates, index);
        service->updated = true;
        return index;
}

static size_t add_start(Planner *planner, ServicePlan *service, const char *name, const char *id, size_t creator,
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
static size_t add_stop(Planner *planner, ServicePlan *service, const ContainerInfo *container, const char *reason)
{
        size_t index;

        if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_PAUSED && !plan_may_come_back(container))
                return PLAN_NONE;
        index = plan_add(planner->plan, PLAN_CONTAINER_STOP, container->name, container->service, container->id, "%s",
                         reason);
        if (service)
                vector_add(&service->stops, index);
        return index;
}

static void add_removal(Planner *planner, ServicePlan *service, const ContainerInfo *container, bool remove_volumes,
                        const char *reason)
{
        size_t stop = add_stop(planner, service, container, reason), remove;

        remove = plan_add(planner->plan, PLAN_CONTAINER_REMOVE, container->name, container->service, container->id, "%s",
                          reason);
        plan_at(planner->plan, remove)->remove_volumes = remove_volumes;
        plan_after(planner->plan, remove, stop);
}

static void add_recreate(Planner *planner, ServicePlan *service, const ContainerInfo *container, ContainerSpec *spec,
                         const char *reason)
{
        Plan *plan = planner->plan;
        _cleanup_free_ char *aside = xasprintf("%.12s_%s", container->id, spec->name);
        const char *name = service->input->service->name;
        size_t stop = add_stop(planner, service, container, reason), rename = PLAN_NONE, create, remove, start;

        if (streq(container->name, spec->name)) {
                rename = plan_add(plan, PLAN_CONTAINER_RENAME, container->name, name, container->id, "%s", reason);
                plan_at(plan, rename)->new_name = arena_strdup(plan->arena, aside);
                plan_at(plan, rename)->recreate = true;
                plan_after(plan, rename, stop);
        }
        create = add_create(planner, service, spec, reason);
        plan_at(plan, create)->recreate = true;
        plan_after(plan, create, stop);
        plan_after(plan, create, rename);
        remove = plan_add(plan, PLAN_CONTAINER_REMOVE, container->name, name, container->id, "%s", reason);
        plan_at(plan, remove)->recreate = true;
        plan_at(plan, remove)->remove_volumes = planner->options->renew_anon_volumes;
        plan_after(plan, remove, create);
        if (stop != PLAN_NONE)
                plan_at(plan, stop)->recreate = true;
        start = add_start(planner, service, spec->name, NULL, create, reason);
        plan_after(plan, start, remove);
        for (size_t i = 0; i < planner->project->n_networks; i++)
                plan_after(plan, planner->network_removals[i], stop);
}

/* ---- one service ---- */

static int64_t wanted_count(const Planner *planner, const Service *service)
{
        for (size_t i = 0; i < planner->options->n_scale; i++)
                if (streq(planner->options->scale[i].service, service->name))
                        return planner->options->scale[i].count;
        return service->scale;
}

/* The container that stands for (service, number): the one with the right name where a crash left two. */
static const ContainerInfo *find_container(const Planner *planner, const Service *service, int number)
{
        _cleanup_free_ char *name = service_container_name(planner->project, service, number);
        const ContainerInfo *best = NULL;

        for (size_t i = 0; i < planner->found->containers.length; i++) {
                const ContainerInfo *container = planner->found->containers.items[i];
                if (container->oneoff || !streq_ptr(container->service, service->name) || container->number != number)
                        continue;
                if (!best || streq(container->name, name))
                        best = container;
        }
        return best;
}

/* What is left over of the service: numbers beyond the count, and twins that a crash left behind. */
static void remove_surplus(Planner *planner, ServicePlan *service, int64_t count)
{
        const Service *model = service->input->service;

        for (size_t i = planner->found->containers.length; i-- > 0;) {
                const ContainerInfo *container = planner->found->containers.items[i];
                if (container->oneoff || !streq_ptr(container->service, model->name))
                        continue;
                if (container->number > count || container->number < 1)
                        add_removal(planner, service, container, false, "the service has fewer containers now");
                else if (container != find_container(planner, model, container->number))
                        add_removal(planner, service, container, false, "it has a successor");
        }
}

/* A stop was begun, by a keeper that died over it: it may end at any moment, so it is stopped for good and started. */
static void finish_stop(Planner *planner, ServicePlan *service, const ContainerInfo *container)
{
        size_t stop = add_stop(planner, service, container, "its stop was begun already");
        size_t start = add_start(planner, service, container->name, container->id, PLAN_NONE, "it was being stopped");

        plan_after(planner->plan, start, stop);
}

static int plan_number(Planner *planner, ServicePlan *service, int number, Error **err)
{
        const ContainerInfo *container = find_container(planner, service->input->service, number);
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        const char *reason;
        size_t create;
        int r;

        r = build_spec(planner, service, number, container, &spec, err);
        if (r < 0)
                return r;
        strv_add(&planner->plan->containers, spec->name);
        service->is_database = streq_ptr(strv_env_get(spec->annotations, ANNOTATION_DATABASE), "true");
        if (!container) {
                _cleanup_free_ char *name = xstrdup(spec->name);
                create = add_create(planner, service, TAKE_PTR(spec), "it does not exist yet");
                add_start(planner, service, name, NULL, create, "it is new");
                return 0;
        }
        reason = recreate_reason(planner, service, container, spec);
        if (reason)
                add_recreate(planner, service, container, TAKE_PTR(spec), reason);
        else if (container->state != CONTAINER_RUNNING)
                add_start(planner, service, container->name, container->id, PLAN_NONE, "it does not run");
        else if (container_was_told_to_stop(container))
                finish_stop(planner, service, container);
        return 0;
}

/* Its migrations: after it is healthy, and before whatever depends on it. */
static void add_migration(Planner *planner, ServicePlan *service)
{
        const char *name = service->input->service->name;
        size_t wait;

        if (!service->input->migrate || !service->is_database || planner->options->no_start)
                return;
        wait = plan_add(planner->plan, PLAN_WAIT, name, name, NULL, "its migrations run");
        plan_at(planner->plan, wait)->condition = DEPENDENCY_HEALTHY;
        plan_at(planner->plan, wait)->running_is_enough = true;
        service->migrate = plan_add(planner->plan, PLAN_MIGRATE, name, name, NULL, "what is pending runs at up");
        VECTOR_FOREACH(start, &service->starts)
                plan_after(planner->plan, wait, *start);
        plan_after(planner->plan, service->migrate, wait);
}

static bool dependency_is_started(const ServicePlan *dependency)
{
        return dependency->starts.length > 0;
}

/* One WAIT for each dependency whose condition is more than "started", before every start of the service. */
static void add_waits(Planner *planner, ServicePlan *service)
{
        const Service *model = service->input->service;
        Plan *plan = planner->plan;

        for (size_t i = 0; service->starts.length && i < model->n_depends_on; i++) {
                const Dependency *dependency = &model->depends_on[i];
                ServicePlan *other = find_service(planner, dependency->service);
                size_t wait = PLAN_NONE;
                if (!other || (planner->options->no_deps && !other->selected))
                        continue;
                if (dependency->condition != DEPENDENCY_STARTED || !dependency->required) {
                        wait = plan_add(plan, PLAN_WAIT, dependency->service, dependency->service, NULL, "%s depends on it",
                                        model->name);
                        plan_at(plan, wait)->condition = dependency->condition;
                        plan_at(plan, wait)->optional = !dependency->required;
                }
                if (dependency_is_started(other))
                        VECTOR_FOREACH(start, &other->starts)
                                plan_after(plan, wait, *start);
                VECTOR_FOREACH(start, &service->starts) {
                        plan_after(plan, *start, wait);
                        plan_after(plan, *start, other->migrate);
                        if (wait == PLAN_NONE)
                                VECTOR_FOREACH(earlier, &other->starts)
                                        plan_after(plan, *start, *earlier);
                }
        }
}

/* depends_on with restart: a service whose dependency is made anew stops before and starts after it. */
static void restart_with_dependencies(Planner *planner, ServicePlan *service)
{
        const Service *model = service->input->service;
        const Dependency *cause = NULL;

        for (size_t i = 0; i < model->n_depends_on; i++) {
                ServicePlan *other = find_service(planner, model->depends_on[i].service);
                if (model->depends_on[i].restart && other && other->updated && other->stops.length)
                        cause = &model->depends_on[i];
        }
        if (!cause || service->updated || planner->options->no_start)
                return;
        for (size_t i = 0; i < planner->found->containers.length; i++) {
                const ContainerInfo *container = planner->found->containers.items[i];
                size_t stop, start;
                if (container->oneoff || !streq_ptr(container->service, model->name) ||
                    container->state != CONTAINER_RUNNING)
                        continue;
                stop = plan_add(planner->plan, PLAN_CONTAINER_STOP, container->name, model->name, container->id,
                                "%s is made anew", cause->service);
                VECTOR_FOREACH(other_stop, &find_service(planner, cause->service)->stops)
                        plan_after(planner->plan, *other_stop, stop);
                start = add_start(planner, service, container->name, container->id, PLAN_NONE, "its dependency is new");
                plan_after(planner->plan, start, stop);
        }
}

static int plan_service(Planner *planner, ServicePlan *service, Error **err)
{
        const Service *model = service->input->service;
        int64_t count = wanted_count(planner, model);
        int r;

        if (service->planned || !service->selected)
                return 0;
        service->planned = true;
        for (size_t i = 0; i < model->n_depends_on; i++) {
                ServicePlan *other = find_service(planner, model->depends_on[i].service);
                r = other ? plan_service(planner, other, err) : 0;
                if (r < 0)
                        return r;
        }
        if (count < 0) /* a one-off's service: what there is of it stays as it is */
                return 0;
        if (count > 1 && model->container_name)
                return error_set(err, ERROR_INVALID,
                                 "service \"%s\": container_name \"%s\" stands for one container, so it cannot be scaled to "
                                 "%lld", model->name, model->container_name, (long long)count);
        remove_surplus(planner, service, count);
        for (int number = 1; number <= count; number++) {
                r = plan_number(planner, service, number, err);
                if (r < 0)
                        return r;
        }
        restart_with_dependencies(planner, service);
        add_waits(planner, service);
        add_migration(planner, service);
        return 0;
}

/* ---- the whole ---- */

static bool service_is_known(const Project *project, const char *name)
{
        for (size_t i = 0; i < project->n_services; i++)
                if (streq(project->services[i].name, name))
                        return true;
        for (size_t i = 0; i < project->n_disabled_services; i++)
                if (streq(project->disabled_services[i].name, name))
                        return true;
        return false;
}

static void plan_orphans(Planner *planner)
{
        _cleanup_strv_ char **orphans = NULL;
        _cleanup_free_ char *names = NULL;

        for (size_t i = 0; i < planner->found->containers.length; i++) {
                const ContainerInfo *container = planner->found->containers.items[i];
                if (container->oneoff || !container->service || service_is_known(planner->project, container->service))
                        continue;
                if (planner->options->remove_orphans)
                        add_removal(planner, NULL, container, false, "its service is not in the file any more");
                else
                        strv_add(&orphans, container->name);
        }
        if (!orphans)
                return;
        names = strv_join(orphans, " ");
        strv_addf(&planner->plan->warnings,
                  "Found orphan containers ([%s]) for this project. If you removed or renamed this service in your compose "
                  "file, you can run this command with the --remove-orphans flag to clean it up.", names);
}

static DependencyCondition awaited_condition(const Planner *planner, const char *service)
{
        for (size_t i = 0; i < planner->project->n_services; i++) {
                const Service *other = &planner->project->services[i];
                for (size_t k = 0; k < other->n_depends_on; k++)
                        if (streq(other->depends_on[k].service, service) &&
                            other->depends_on[k].condition == DEPENDENCY_COMPLETED)
                                return DEPENDENCY_COMPLETED;
        }
        return DEPENDENCY_HEALTHY;
}

/* `--wait`: every service of the command is healthy, runs, or has done its work. */
static void plan_final_waits(Planner *planner)
{
        for (size_t i = 0; i < planner->project->n_services; i++) {
                ServicePlan *service = &planner->services[i];
                size_t wait;
                if (!service->selected || wanted_count(planner, service->input->service) <= 0)
                        continue;
                wait = plan_add(planner->plan, PLAN_WAIT, service->input->service->name, service->input->service->name, NULL,
                                "--wait");
                plan_at(planner->plan, wait)->condition = awaited_condition(planner, service->input->service->name);
                plan_at(planner->plan, wait)->running_is_enough = plan_at(planner->plan, wait)->at_end = true;
                VECTOR_FOREACH(start, &service->starts)
                        plan_after(planner->plan, wait, *start);
                plan_after(planner->plan, wait, service->migrate);
        }
}

static int planner_select(Planner *planner, Error **err)
{
        _cleanup_strv_ char **selected = NULL;
        int r;

        r = plan_select(planner->project, planner->options->services, planner->options->no_deps, &selected, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < planner->project->n_services; i++) {
                ServicePlan *service = &planner->services[i];
                service->input = &planner->input->services[i];
                service->migrate = PLAN_NONE;
                service->selected = strv_contains(selected, planner->project->services[i].name);
                service->explicit = service_is_selected_by_name(planner, planner->project->services[i].name);
        }
        return 0;
}

static int planner_run(Planner *planner, Error **err)
{
        const Project *project = planner->project;
        int r;

        r = planner_select(planner, err);
        for (size_t i = 0; r >= 0 && i < project->n_networks; i++)
                r = plan_network(planner, i, err);
        for (size_t i = 0; r >= 0 && i < project->n_volumes; i++)
                r = plan_volume(planner, i, err);
        for (size_t i = 0; r >= 0 && i < project->n_services; i++)
                r = plan_service(planner, &planner->services[i], err);
        if (r < 0)
                return r;
        plan_orphans(planner);
        if (planner->options->wait && !planner->options->no_start)
                plan_final_waits(planner);
        return 0;
}

int plan_up(const PlanInput *input, Plan **ret, Error **err)
{
        _cleanup_(plan_freep) Plan *plan = plan_create();
        const Project *project = input->project;
        Planner planner = {
                .input = input,
                .project = project,
                .found = input->found,
                .options = input->options,
                .plan = plan,
                .services = xnew_array(ServicePlan, project->n_services + 1),
                .networks = xnew_array(size_t, project->n_networks + 1),
                .network_removals = xnew_array(size_t, project->n_networks + 1),
                .volumes = xnew_array(size_t, project->n_volumes + 1),
        };
        int r = planner_run(&planner, err);

        for (size_t i = 0; i < project->n_services; i++) {
                vector_done(&planner.services[i].creates);
                vector_done(&planner.services[i].starts);
                vector_done(&planner.services[i].stops);
        }
        free(planner.services);
        free(planner.networks);
        free(planner.network_removals);
        free(planner.volumes);
        if (r >= 0)
                *ret = TAKE_PTR(plan);
        return r;
}
