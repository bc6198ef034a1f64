/* pull: the images of the project's services, by the keeper's worker. */
#include "base/mem.h"
#include "cli/client.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

/* Adds what the named services depend on. */
static void add_dependencies(Scope *scope)
{
        for (size_t i = 0; i < strv_length(scope->services); i++) {
                const Service *service = project_find_service(scope->project, scope->services[i]);

                for (size_t d = 0; service && d < service->n_depends_on; d++)
                        if (!strv_contains(scope->services, service->depends_on[d].service))
                                strv_add(&scope->services, service->depends_on[d].service);
        }
}

static int run_pull(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        json_t *params = NULL;
        int r;

        r = scope_open(invocation, invocation->arguments, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        if (invocation_flag(invocation, "include-deps"))
                add_dependencies(&scope);
        r = scope_model_params(&scope, &params, err);
        if (r < 0)
                return r;
        if (scope.services)
                json_object_set_new(params, "services", json_from_strv(scope.services));
        json_set_string(params, "policy", invocation_text(invocation, "policy", NULL));
        if (invocation_flag(invocation, "ignore-pull-failures"))
                json_object_set_new(params, "ignore_failures", json_true());
        if (invocation_flag(invocation, "quiet"))
                return client_request_quietly(invocation, scope.name, "pull", params, NULL, err);
        return client_request(invocation, scope.name, "pull", params, "Pulling", NULL, err);
}

static const Option options[] = {
        { "ignore-buildable", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "ignore-pull-failures", 0, OPTION_FLAG, NULL, "Pull what can be pulled" },
        { "include-deps", 0, OPTION_FLAG, NULL, "The images of dependencies too" },
        { "policy", 0, OPTION_CHOICE, "WHEN", "When to pull", "always|missing" },
        { "quiet", 'q', OPTION_FLAG, NULL, "No progress" },
        { NULL },
};

const Command command_pull = {
        .name = "pull",
        .summary = "Pull the images of services",
        .arguments = "[SERVICE...]",
        .details = "\"berth image pull\" pulls an image by its name, without a compose file.",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = options,
        .max_arguments = -1,
        .function = run_pull,
        .complete = COMPLETE_SERVICES,
};
