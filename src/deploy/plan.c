#include "deploy/plan.h"

#include <stdio.h>

#include "base/strv.h"
#include "deploy/restart.h"
#include "state/document.h"

static const struct {
        const char *name, *kind;
} verbs[] = {
        [PLAN_NETWORK_CREATE] = { "create", "network" },
        [PLAN_NETWORK_REMOVE] = { "remove", "network" },
        [PLAN_VOLUME_CREATE] = { "create", "volume" },
        [PLAN_VOLUME_REMOVE] = { "remove", "volume" },
        [PLAN_CONTAINER_CREATE] = { "create", "container" },
        [PLAN_CONTAINER_RENAME] = { "rename", "container" },
        [PLAN_CONTAINER_START] = { "start", "container" },
        [PLAN_CONTAINER_STOP] = { "stop", "container" },
        [PLAN_CONTAINER_REMOVE] = { "remove", "container" },
        [PLAN_MIGRATE] = { "migrate", "database" },
        [PLAN_SECURE] = { "secure", "database" },
        [PLAN_CONTAINER_REFRESH] = { "refresh", "container" },
        [PLAN_WAIT] = { "wait", "service" },
};

const char *plan_verb_name(PlanVerb verb)
{
        return verbs[verb].name;
}

const char *plan_verb_kind(PlanVerb verb)
{
        return verbs[verb].kind;
}

Plan *plan_create(void)
{
        Plan *plan = xnew(Plan);

        plan->arena = arena_create();
        return plan;
}

static void erase_password(const json_t *object)
{
        char *password = (char *)json_get_string(object, "password", NULL);

        if (password)
                erase_memory(password, strlen(password));
}

/* It holds passwords. */
static void erase_task(json_t *task)
{
        const json_t *role;
        size_t i;

        erase_password(task);
        json_array_foreach(json_object_get(task, "roles"), i, role)
                erase_password(role);
        json_decref(task);
}

void plan_free(Plan *plan)
{
        if (!plan)
                return;
        VECTOR_FOREACH(action, &plan->actions) {
                container_spec_free(action->spec);
                erase_task(action->task);
                vector_done(&action->after);
        }
        vector_done(&plan->actions);
        VECTOR_FOREACH(kept, &plan->kept)
                container_spec_free(kept->spec);
        vector_done(&plan->kept);
        strv_free(plan->warnings);
        strv_free(plan->containers);
        arena_free(plan->arena);
        free(plan);
}

PlanAction *plan_at(Plan *plan, size_t index)
{
        return &plan->actions.items[index];
}

size_t plan_add(Plan *plan, PlanVerb verb, const char *name, const char *service, const char *id, const char *format,
                ...)
{
        PlanAction *action = vector_add_zero(&plan->actions);
        _cleanup_free_ char *reason = NULL;
        va_list arguments;

        va_start(arguments, format);
        reason = xvasprintf(format, arguments);
        va_end(arguments);
        action->verb = verb;
        action->name = arena_strdup(plan->arena, name);
        action->service = arena_strdup(plan->arena, service);
        action->id = arena_strdup(plan->arena, id);
        action->reason = arena_strdup(plan->arena, reason);
        action->creator = PLAN_NONE;
        return plan->actions.length - 1;
}

void plan_after(Plan *plan, size_t action, size_t earlier)
{
        PlanAction *item;

        if (action == PLAN_NONE || earlier == PLAN_NONE || action == earlier)
                return;
        item = plan_at(plan, action);
        VECTOR_FOREACH(known, &item->after)
                if (*known == earlier)
                        return;
        vector_add(&item->after, earlier);
}

json_t *plan_to_json(const Plan *plan)
{
        json_t *list = json_array();

        for (size_t i = 0; i < plan->actions.length; i++) {
                const PlanAction *action = &plan->actions.items[i];
                if (action->verb == PLAN_WAIT || action->verb == PLAN_CONTAINER_RENAME)
                        continue;
                json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "action", verbs[action->verb].name,
                                                      "kind", verbs[action->verb].kind, "name", action->name, "reason",
                                                      action->reason, "service", action->service));
        }
        return list;
}

static const Service *find_service(const Project *project, const char *name)
{
        for (size_t i = 0; i < project->n_services; i++)
                if (streq(project->services[i].name, name))
                        return &project->services[i];
        return NULL;
}

static int select_service(const Project *project, const char *name, bool no_deps, char ***selected, Error **err)
{
        const Service *service = find_service(project, name);
        int r;

        if (!service)
                return error_set(err, ERROR_NOT_FOUND, "no such service: %s", name);
        if (strv_contains(*selected, name))
                return 0;
        strv_add(selected, name);
        for (size_t i = 0; !no_deps && i < service->n_depends_on; i++) {
                const Dependency *dependency = &service->depends_on[i];
                if (!dependency->required && !find_service(project, dependency->service))
                        continue;
                r = select_service(project, dependency->service, false, selected, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int plan_select(const Project *project, char *const *services, bool no_deps, char ***ret, Error **err)
{
        _cleanup_strv_ char **selected = NULL;
        int r;

        for (size_t i = 0; !services && i < project->n_services; i++)
                strv_add(&selected, project->services[i].name);
        STRV_FOREACH(name, services) {
                r = select_service(project, *name, no_deps, &selected, err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(selected);
        return 0;
}

bool plan_may_come_back(const ContainerInfo *container)
{
        RestartPolicy policy;

        return container->state == CONTAINER_EXITED && !container_was_told_to_stop(container) && !container->oneoff &&
               container->spec && restart_policy_from_text(container->spec->restart, &policy) &&
               policy.kind != RESTART_NO;
}

size_t plan_label_dependencies(Arena *arena, const ContainerInfo *container, LabelDependency **ret)
{
        const char *text =
                container->spec ? strv_env_get(container->spec->labels, "com.docker.compose.depends_on") : NULL;
        _cleanup_strv_ char **items = isempty(text) ? NULL : strv_split(text, ',');
        size_t n = 0;

        *ret = arena_new_array(arena, LabelDependency, strv_length(items) + 1);
        STRV_FOREACH(item, items) {
                _cleanup_strv_ char **parts = strv_split(*item, ':');
                LabelDependency *dependency = &(*ret)[n++];
                dependency->service = arena_strdup(arena, parts[0]);
                if (!parts[1])
                        continue;
                dependency->condition = streq(parts[1], "service_healthy")                  ? DEPENDENCY_HEALTHY
                                        : streq(parts[1], "service_completed_successfully") ? DEPENDENCY_COMPLETED
                                                                                            : DEPENDENCY_STARTED;
                dependency->restart = parts[2] && streq(parts[2], "true");
        }
        return n;
}
