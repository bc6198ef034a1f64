/* Of the plan of `up`: one service, what it waits for and what waits for it. */
#include "deploy/plan_up_private.h"

int64_t planner_wanted_count(const Planner *planner, const Service *service)
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
                        planner_add_removal(planner, service, container, false, "the service has fewer containers now");
                else if (container != find_container(planner, model, container->number))
                        planner_add_removal(planner, service, container, false, "it has a successor");
        }
}

/* A stop was begun, by a keeper that died over it: it may end at any moment, so it is stopped for good and started. */
static void finish_stop(Planner *planner, ServicePlan *service, const ContainerInfo *container)
{
        size_t stop = planner_add_stop(planner, service, container, "its stop was begun already");
        size_t start =
                planner_add_start(planner, service, container->name, container->id, PLAN_NONE, "it was being stopped");

        plan_after(planner->plan, start, stop);
}

/* Not what --no-recreate keeps as it was: it is another one than the file describes. */
static void keep(Planner *planner, ServicePlan *service, const ContainerInfo *container, ContainerSpec *spec)
{
        const PlanService *input = service->input;
        const char *hash = strv_env_get(container->spec->labels, LABEL_CONFIG_HASH);

        if (streq_ptr(hash, input->config_hash) && streq_ptr(container->image_id, input->image->id))
                vector_add(&planner->plan->kept, (PlanKept){ arena_strdup(planner->plan->arena, input->service->name),
                                                             spec, container->state == CONTAINER_RUNNING });
        else
                container_spec_free(spec);
}

static int plan_number(Planner *planner, ServicePlan *service, int number, Error **err)
{
        const ContainerInfo *container = find_container(planner, service->input->service, number);
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        const char *reason;
        size_t create;
        int r;

        r = planner_build_spec(planner, service, number, container, &spec, err);
        if (r < 0)
                return r;
        strv_add(&planner->plan->containers, spec->name);
        service->is_database = streq_ptr(strv_env_get(spec->annotations, ANNOTATION_DATABASE), "true");
        if (!container) {
                _cleanup_free_ char *name = xstrdup(spec->name);
                create = planner_add_create(planner, service, TAKE_PTR(spec), "it does not exist yet");
                planner_add_start(planner, service, name, NULL, create, "it is new");
                return 0;
        }
        reason = planner_recreate_reason(planner, service, container, spec);
        if (reason)
                planner_add_recreate(planner, service, container, TAKE_PTR(spec), reason);
        else if (container->state != CONTAINER_RUNNING)
                planner_add_start(planner, service, container->name, container->id, PLAN_NONE, "it does not run");
        else if (container_was_told_to_stop(container))
                finish_stop(planner, service, container);
        if (!reason)
                keep(planner, service, container, TAKE_PTR(spec));
        return 0;
}

/* Its access rules and roles, then its migrations: after it is healthy, and before whatever depends on it. */
static void add_database_steps(Planner *planner, ServicePlan *service)
{
        const char *name = service->input->service->name;
        size_t wait, secure = PLAN_NONE;

        if ((!service->input->migrate && !service->input->secure) || !service->is_database ||
            planner->options->no_start)
                return;
        wait = plan_add(planner->plan, PLAN_WAIT, name, name, NULL, "it is prepared for its users");
        plan_at(planner->plan, wait)->condition = DEPENDENCY_HEALTHY;
        plan_at(planner->plan, wait)->running_is_enough = true;
        if (service->input->secure)
                secure = plan_add(planner->plan, PLAN_SECURE, name, name, NULL,
                                  "its roles and rules are looked after at up");
        service->migrate = service->input->migrate ? plan_add(planner->plan, PLAN_MIGRATE, name, name, NULL,
                                                              "what is pending runs at up")
                                                   : secure;
        VECTOR_FOREACH(start, &service->starts)
                plan_after(planner->plan, wait, *start);
        plan_after(planner->plan, secure, wait);
        plan_after(planner->plan, service->migrate, wait);
        plan_after(planner->plan, service->migrate, secure);
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
                ServicePlan *other = planner_find_service(planner, dependency->service);
                size_t wait = PLAN_NONE;
                if (!other || (planner->options->no_deps && !other->selected))
                        continue;
                if (dependency->condition != DEPENDENCY_STARTED || !dependency->required) {
                        wait = plan_add(plan, PLAN_WAIT, dependency->service, dependency->service, NULL,
                                        "%s depends on it", model->name);
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
                ServicePlan *other = planner_find_service(planner, model->depends_on[i].service);
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
                VECTOR_FOREACH(other_stop, &planner_find_service(planner, cause->service)->stops)
                        plan_after(planner->plan, *other_stop, stop);
                start = planner_add_start(planner, service, container->name, container->id, PLAN_NONE,
                                          "its dependency is new");
                plan_after(planner->plan, start, stop);
        }
}

int planner_service(Planner *planner, ServicePlan *service, Error **err)
{
        const Service *model = service->input->service;
        int64_t count = planner_wanted_count(planner, model);
        int r;

        if (service->planned || !service->selected)
                return 0;
        service->planned = true;
        for (size_t i = 0; i < model->n_depends_on; i++) {
                ServicePlan *other = planner_find_service(planner, model->depends_on[i].service);
                r = other ? planner_service(planner, other, err) : 0;
                if (r < 0)
                        return r;
        }
        if (count < 0) /* a one-off's service: what there is of it stays as it is */
                return 0;
        if (count > 1 && model->container_name)
                return error_set(
                        err, ERROR_INVALID,
                        "service \"%s\": container_name \"%s\" stands for one container, so it cannot be scaled to "
                        "%lld",
                        model->name, model->container_name, (long long)count);
        remove_surplus(planner, service, count);
        for (int number = 1; number <= count; number++) {
                r = plan_number(planner, service, number, err);
                if (r < 0)
                        return r;
        }
        restart_with_dependencies(planner, service);
        add_waits(planner, service);
        add_database_steps(planner, service);
        return 0;
}
