/* Small models built by hand, for tests of plans and specifications. Everything lives in one arena. */
#ifndef BERTH_TESTS_DEPLOY_MODELS_H
#define BERTH_TESTS_DEPLOY_MODELS_H

#include "base/mem.h"
#include "base/strv.h"
#include "deploy/plan.h"

#define MAX_SERVICES 8

typedef struct Model {
        Arena *arena;
        Project project;
        Service services[MAX_SERVICES];
        PlanService plan_services[MAX_SERVICES];
        Image image;
        Network network;
        Volume volume;
        Found found;
        PlanOptions options;
} Model;

static inline void model_init(Model *model)
{
        static char *entrypoint[] = { (char *)"docker-entrypoint.sh", NULL }, *command[] = { (char *)"postgres", NULL };
        static char *environment[] = { (char *)"PATH=/bin", (char *)"PG_MAJOR=16", (char *)"GONE=1", NULL };

        *model = (Model){ .arena = arena_create() };
        model->image =
                (Image){ .id = (char *)"sha256:1",
                         .reference = (char *)"postgres:16",
                         .config = { .entrypoint = entrypoint, .command = command, .environment = environment } };
        model->network = (Network){ .key = (char *)"default", .name = (char *)"demo_default" };
        model->volume = (Volume){ .key = (char *)"data", .name = (char *)"demo_data" };
        model->project = (Project){ .name = (char *)"demo",
                                    .working_dir = (char *)"/srv/demo",
                                    .services = model->services,
                                    .networks = &model->network,
                                    .n_networks = 1,
                                    .volumes = &model->volume,
                                    .n_volumes = 1 };
}

static inline void model_done(Model *model)
{
        found_done(&model->found);
        arena_free(model->arena);
}

static inline Service *model_add(Model *model, const char *name)
{
        size_t index = model->project.n_services++;
        Service *service = &model->services[index];

        *service = (Service){
                .name = (char *)name,
                .image = (char *)"postgres:16",
                .restart = { RESTART_NO, -1, -1, -1 },
                .init = -1,
                .stop_grace_period_ns = -1,
                .shm_size = -1,
                .oom_score_adj = INT64_MIN,
                .scale = 1,
                .attach = true,
                .resources = { -1, -1, -1, -1, NULL, -1, -1, -1, -1, -1 },
        };
        service->networks = arena_new(model->arena, ServiceNetwork);
        service->networks[0].network = (char *)"default";
        service->n_networks = 1;
        model->plan_services[index] =
                (PlanService){ service, &model->image, arena_printf(model->arena, "hash-%s", name), -1 };
        return service;
}

static inline Dependency *model_depend(Model *model, Service *service, const char *on, DependencyCondition condition)
{
        Dependency *all = arena_new_array(model->arena, Dependency, service->n_depends_on + 1);

        if (service->n_depends_on)
                memcpy(all, service->depends_on, service->n_depends_on * sizeof(Dependency));
        all[service->n_depends_on] = (Dependency){ .service = (char *)on, .condition = condition, .required = true };
        service->depends_on = all;
        return &all[service->n_depends_on++];
}

/* Makes what the plan for the model as it is would have made, running. */
static inline ContainerInfo *model_find(Model *model, Service *service, int number)
{
        size_t index = (size_t)(service - model->services);
        SpecInput input = { .project = &model->project,
                            .service = service,
                            .image = &model->image,
                            .config_hash = model->plan_services[index].config_hash,
                            .number = number,
                            .postgres = -1 };
        ContainerInfo *info = xnew(ContainerInfo);
        ContainerList *list = &model->found.containers;

        if (spec_build(&input, &info->spec, NULL) < 0)
                abort();
        info->id = xasprintf("id-%s-%d", service->name, number);
        info->name = xstrdup(info->spec->name);
        info->image_id = xstrdup("sha256:1");
        info->project = xstrdup("demo");
        info->service = xstrdup(service->name);
        info->number = number;
        info->state = CONTAINER_RUNNING;
        list->items = xreallocarray(list->items, list->length + 1, sizeof(*list->items));
        list->items[list->length++] = info;
        return info;
}

static inline void model_find_network(Model *model)
{
        NetworkInfo *info = xnew(NetworkInfo);

        info->name = xstrdup("demo_default");
        info->key = xstrdup("default");
        info->project = xstrdup("demo");
        model->found.networks = xreallocarray(model->found.networks, model->found.n_networks + 1, sizeof(info));
        model->found.networks[model->found.n_networks++] = info;
}

static inline PlanInput model_input(Model *model)
{
        return (PlanInput){ &model->project, model->plan_services, &model->found, &model->options };
}

static inline Plan *model_plan(Model *model, int (*planner)(const PlanInput *, Plan **, Error **))
{
        PlanInput input = model_input(model);
        _cleanup_error_ Error *error = NULL;
        Plan *plan = NULL;

        if (planner(&input, &plan, &error) < 0)
                print_error("%s\n", error->message);
        assert_non_null(plan);
        return plan;
}

/* The index of an action, PLAN_NONE where there is none. */
static inline size_t find_action(const Plan *plan, PlanVerb verb, const char *name)
{
        for (size_t i = 0; i < plan->actions.length; i++)
                if (plan->actions.items[i].verb == verb && streq(plan->actions.items[i].name, name))
                        return i;
        return PLAN_NONE;
}

/* Does `later` come after `earlier`, by any chain? */
static inline bool comes_after(const Plan *plan, size_t later, size_t earlier)
{
        const PlanAction *action;

        assert_int_not_equal(later, PLAN_NONE);
        assert_int_not_equal(earlier, PLAN_NONE);
        action = &plan->actions.items[later];
        for (size_t i = 0; i < action->after.length; i++)
                if (action->after.items[i] == earlier || comes_after(plan, action->after.items[i], earlier))
                        return true;
        return false;
}

#endif
