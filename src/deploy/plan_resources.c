/* Of the plan of `up`: networks and volumes. */
#include "deploy/plan_up_private.h"

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
        strv_addf(&planner->plan->warnings, "\"%s\" was damaged: kept beside it and rebuilt from the compose file",
                  file);
}

static int plan_network_repair(Planner *planner, size_t index, const NetworkInfo *info)
{
        warn_of_damage(planner, info->damage);
        planner->networks[index] =
                add_network_create(planner, &planner->project->networks[index], "its description is damaged");
        return 0;
}

int planner_network(Planner *planner, size_t index, Error **err)
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
                          "network %s was made for project \"%s\": it is used as it is (`external: true` says so in "
                          "the file)",
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

int planner_volume(Planner *planner, size_t index, Error **err)
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
                          "volume \"%s\" already exists but was not created for project \"%s\": use `external: true` "
                          "to use an existing volume",
                          volume->name, planner->project->name);
        if (info)
                return 0;
        planner->volumes[index] = plan_add(planner->plan, PLAN_VOLUME_CREATE, volume->name, NULL, NULL, "%s", reason);
        plan_at(planner->plan, planner->volumes[index])->volume =
                spec_volume(planner->plan->arena, planner->project, volume);
        return 0;
}
