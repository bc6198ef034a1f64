/* The plan of `up`. Per service, dependencies first: what exists is kept, replaced or removed, what is missing is made,
 * and what does not run is started once its dependencies satisfy their conditions. Replacing keeps the old container,
 * renamed, until the new one exists: a crash in between loses neither anonymous volumes nor the way back. */
#include "deploy/plan_up_private.h"

ServicePlan *planner_find_service(Planner *planner, const char *name)
{
        for (size_t i = 0; i < planner->project->n_services; i++)
                if (streq(planner->project->services[i].name, name))
                        return &planner->services[i];
        return NULL;
}

bool planner_names_service(const Planner *planner, const char *name)
{
        return !planner->options->services || strv_contains(planner->options->services, name);
}

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
                        planner_add_removal(planner, NULL, container, false, "its service is not in the file any more");
                else
                        strv_add(&orphans, container->name);
        }
        if (!orphans)
                return;
        names = strv_join(orphans, " ");
        strv_addf(&planner->plan->warnings,
                  "Found orphan containers ([%s]) for this project. If you removed or renamed this service in your "
                  "compose file, you can run this command with the --remove-orphans flag to clean it up.",
                  names);
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
                if (!service->selected || planner_wanted_count(planner, service->input->service) <= 0)
                        continue;
                wait = plan_add(planner->plan, PLAN_WAIT, service->input->service->name, service->input->service->name,
                                NULL, "--wait");
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
                service->explicit = planner_names_service(planner, planner->project->services[i].name);
        }
        return 0;
}

static int planner_run(Planner *planner, Error **err)
{
        const Project *project = planner->project;
        int r;

        r = planner_select(planner, err);
        for (size_t i = 0; r >= 0 && i < project->n_networks; i++)
                r = planner_network(planner, i, err);
        for (size_t i = 0; r >= 0 && i < project->n_volumes; i++)
                r = planner_volume(planner, i, err);
        for (size_t i = 0; r >= 0 && i < project->n_services; i++)
                r = planner_service(planner, &planner->services[i], err);
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
