/* up and create: the model goes to the keeper, which makes it so; then the output, or -d. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/attach.h"
#include "cli/backup.h"
#include "cli/client.h"
#include "cli/output/listing.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "operate/secret_source.h"
#include "state/document.h"

static const ListingColumn plan_columns[] = {
        { "ACTION", "action" },
        { "KIND", "kind" },
        { "NAME", "name" },
        { "REASON", "reason", .flexible = true },
        { NULL },
};

static int incompatible(const Invocation *invocation, const char *one, const char *other, Error **err)
{
        if (!invocation_flag(invocation, one) || !invocation_flag(invocation, other))
                return 0;
        return error_set(err, ERROR_USAGE, "--%s and --%s are incompatible", one, other);
}

static bool is_detached(const Invocation *invocation)
{
        return invocation_flag(invocation, "detach") || invocation_flag(invocation, "wait") ||
               invocation_flag(invocation, "no-start") || invocation_flag(invocation, "dry-run");
}

static int check_flags(const Invocation *invocation, Error **err)
{
        static const char *const pairs[][2] = {
                { "force-recreate", "no-recreate" },        { "detach", "abort-on-container-exit" },
                { "detach", "abort-on-container-failure" }, { "wait", "abort-on-container-exit" },
                { "wait", "abort-on-container-failure" },   { "wait", "no-start" },
                { "always-recreate-deps", "no-recreate" },  { "renew-anon-volumes", "no-recreate" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                int r = incompatible(invocation, pairs[i][0], pairs[i][1], err);

                if (r < 0)
                        return r;
        }
        if (invocation_flag(invocation, "detach") &&
            (invocation_given(invocation, "attach") || invocation_given(invocation, "exit-code-from")))
                return error_set(err, ERROR_USAGE, "--detach cannot be combined with --attach or --exit-code-from");
        return 0;
}

/* --scale db=2 */
static int scale_params(const Scope *scope, char *const *scales, json_t *params, Error **err)
{
        json_t *object = json_object();

        json_object_set_new(params, "scale", object);
        STRV_FOREACH(scale, scales) {
                const char *equals = strchr(*scale, '=');
                _cleanup_free_ char *service = equals ? xstrndup(*scale, (size_t)(equals - *scale)) : NULL;
                int64_t count;

                if (!equals || !parse_int64(equals + 1, 0, 10000, &count))
                        return error_hint(err,
                                          error_set(err, ERROR_USAGE, "--scale: \"%s\" is not SERVICE=NUMBER", *scale),
                                          "Write for example --scale web=3.");
                if (!project_find_service(scope->project, service))
                        return error_set(err, ERROR_NOT_FOUND, "--scale: no such service: %s", service);
                json_object_set_new(object, service, json_integer(count));
        }
        return 0;
}

static void set_flags(const Invocation *invocation, json_t *params)
{
        static const char *const flags[][2] = {
                { "wait", "wait" },
                { "force-recreate", "force_recreate" },
                { "no-recreate", "no_recreate" },
                { "no-deps", "no_deps" },
                { "remove-orphans", "remove_orphans" },
                { "no-start", "no_start" },
                { "renew-anon-volumes", "renew_anon_volumes" },
                { "dry-run", "dry_run" },
                { "always-recreate-deps", "always_recreate_deps" },
                { "quiet-pull", "quiet_pull" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (invocation_flag(invocation, flags[i][0]))
                        json_object_set_new(params, flags[i][1], json_true());
        if (invocation_given(invocation, "timeout"))
                json_object_set_new(params, "timeout_ms",
                                    json_integer(invocation_number(invocation, "timeout", 0) * 1000));
        if (invocation_given(invocation, "wait-timeout")) {
                json_object_set_new(params, "wait_timeout_ms",
                                    json_integer(invocation_number(invocation, "wait-timeout", 0) * 1000));
                json_object_set_new(params, "wait", json_true());
        }
        if (invocation_given(invocation, "pull") && !streq(invocation_text(invocation, "pull", ""), "policy"))
                json_object_set_new(params, "pull", json_string(invocation_text(invocation, "pull", NULL)));
}

static int up_params(const Invocation *invocation, const Scope *scope, char *const *scales, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *params = NULL;
        int r;

        r = secret_sources_fetch(scope->project, err);
        if (r >= 0)
                r = scope_model_params(scope, &params, err);
        if (r < 0)
                return r;
        if (scope->services)
                json_object_set_new(params, "services", json_from_strv(scope->services));
        set_flags(invocation, params);
        if (scales) {
                r = scale_params(scope, scales, params, err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(params);
        return 0;
}

static int show_plan(const json_t *result, Error **err)
{
        const json_t *plan = json_object_get(result, "plan");

        if (json_array_size(plan) == 0) {
                printf("Nothing to do: everything is as the compose file says.\n");
                return 0;
        }
        return listing_print(plan, plan_columns, NULL, LISTING_LINES, err);
}

static int attach(const Invocation *invocation, const Scope *scope, int64_t since_ns, Error **err)
{
        _cleanup_strv_ char **only = invocation_list(invocation, "attach"),
                            **except = invocation_list(invocation, "no-attach");
        AttachOptions options = {
                .services = only ?: (invocation_flag(invocation, "attach-dependencies") ? NULL : scope->services),
                .style = { .prefix = !invocation_flag(invocation, "no-log-prefix"),
                           .timestamps = invocation_flag(invocation, "timestamps"),
                           .color = !invocation_flag(invocation, "no-color") },
                .exit_code_from = invocation_text(invocation, "exit-code-from", NULL),
                .abort_on_failure = invocation_flag(invocation, "abort-on-container-failure"),
                .since_ns = since_ns,
        };

        options.abort_on_exit = invocation_flag(invocation, "abort-on-container-exit") || options.exit_code_from;
        for (size_t i = 0; i < scope->project->n_services; i++)
                if (!scope->project->services[i].attach && !strv_contains(only, scope->project->services[i].name))
                        strv_add(&except, scope->project->services[i].name);
        options.not_services = except;
        return attach_to_project(invocation, scope, &options, err);
}

static int bring_up(Invocation *invocation, const Scope *scope, char *const *scales, bool detached, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        json_t *params = NULL;
        bool look_only = invocation_flag(invocation, "dry-run");
        int64_t since_ns = clock_realtime_ns();
        int r, stopped;

        r = up_params(invocation, scope, scales, &params, err);
        if (r < 0)
                return r;
        r = client_request(invocation, scope->name, "up", params, "Running", &result, err);
        if (r == -ERROR_CANCELLED && !detached && !look_only) {
                stopped = attach_stop(invocation, scope, err);
                return stopped < 0 ? stopped : r;
        }
        if (r < 0)
                return r;
        if (look_only)
                return show_plan(result, err);
        backup_warn(invocation, scope->name);
        return detached ? 0 : attach(invocation, scope, since_ns, err);
}

static int run_up(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_strv_ char **scales = invocation_list(invocation, "scale");
        const char *from = invocation_text(invocation, "exit-code-from", NULL);
        int r;

        r = check_flags(invocation, err);
        if (r < 0)
                return r;
        r = scope_open(invocation, invocation->arguments, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        if (!scope.project)
                return error_hint(err,
                                  error_set(err, ERROR_NOT_FOUND, "no compose file of project \"%s\" here", scope.name),
                                  "Run it in the project's folder; \"berth ls -a\" tells where that is.");
        report_warnings(scope.project->ignored);
        if (from && !project_find_service(scope.project, from))
                return error_set(err, ERROR_NOT_FOUND, "--exit-code-from: no such service: %s", from);
        return bring_up(invocation, &scope, scales, is_detached(invocation), err);
}

static int run_create(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_strv_ char **scales = invocation_list(invocation, "scale");
        json_t *params = NULL;
        int r;

        r = check_flags(invocation, err);
        if (r < 0)
                return r;
        r = scope_open(invocation, invocation->arguments, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        r = up_params(invocation, &scope, scales, &params, err);
        if (r < 0)
                return r;
        json_object_set_new(params, "no_start", json_true());
        return client_request(invocation, scope.name, "up", params, "Creating", NULL, err);
}

/* berth scale web=3 */
static int run_scale(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        int r;

        r = scope_open(invocation, NULL, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        STRV_FOREACH(argument, invocation->arguments) {
                _cleanup_free_ char *service = xstrndup(*argument, strcspn(*argument, "="));

                strv_add(&scope.services, service);
        }
        return bring_up(invocation, &scope, invocation->arguments, true, err);
}

#define CREATION_OPTIONS                                                                                                  \
        { "build", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },                                                   \
                { "no-build", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },                                        \
                { "force-recreate", 0, OPTION_FLAG, NULL, "Recreate containers even where nothing changed" },             \
                { "no-recreate", 0, OPTION_FLAG, NULL, "Leave containers that exist as they are" },                       \
                { "pull", 0, OPTION_CHOICE, "WHEN", "When to pull images", "always|missing|never|policy" },               \
                { "quiet-pull", 0, OPTION_FLAG, NULL, "Pull without progress" },                                          \
                { "remove-orphans", 0, OPTION_FLAG, NULL,                                                                 \
                  "Remove containers of services that the compose file does not have" },                                  \
                { "scale", 0, OPTION_TEXT, "SERVICE=N", "How many containers of a service", .flags = OPTION_REPEATABLE }, \
                { "dry-run", 0, OPTION_FLAG, NULL, "Print what would be done, and why" },                                 \
        {                                                                                                                 \
                "yes", 'y', OPTION_FLAG, NULL, "", .flags = OPTION_HIDDEN                                                 \
        }

static const Option up_options[] = {
        { "detach", 'd', OPTION_FLAG, NULL, "Return once everything runs" },
        { "wait", 0, OPTION_FLAG, NULL, "Return once everything runs and is healthy; implies --detach" },
        { "wait-timeout", 0, OPTION_NUMBER, "SECONDS", "Longest time to wait; implies --wait" },
        { "timeout", 't', OPTION_NUMBER, "SECONDS", "How long to wait before a container that must stop is killed" },
        { "no-deps", 0, OPTION_FLAG, NULL, "Without the services that these depend on" },
        { "no-start", 0, OPTION_FLAG, NULL, "Create, do not start" },
        { "renew-anon-volumes", 'V', OPTION_FLAG, NULL, "New anonymous volumes instead of the previous container's" },
        { "always-recreate-deps", 0, OPTION_FLAG, NULL, "Recreate containers that depend on these too" },
        { "abort-on-container-exit", 0, OPTION_FLAG, NULL, "Stop everything when one container ends" },
        { "abort-on-container-failure", 0, OPTION_FLAG, NULL, "Stop everything when one container ends badly" },
        { "exit-code-from", 0, OPTION_TEXT, "SERVICE",
          "End with this service's exit status; implies --abort-on-container-exit", .complete = COMPLETE_SERVICES },
        { "attach", 0, OPTION_TEXT, "SERVICE", "Show the output of this service only", .flags = OPTION_REPEATABLE,
          .complete = COMPLETE_SERVICES },
        { "no-attach", 0, OPTION_TEXT, "SERVICE", "Do not show the output of this service", .flags = OPTION_REPEATABLE,
          .complete = COMPLETE_SERVICES },
        { "attach-dependencies", 0, OPTION_FLAG, NULL, "Show the output of dependencies too" },
        { "no-color", 0, OPTION_FLAG, NULL, "No colour" },
        { "no-log-prefix", 0, OPTION_FLAG, NULL, "No name in front of the lines" },
        { "timestamps", 0, OPTION_FLAG, NULL, "A time in front of each line" },
        { "menu", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "quiet-build", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        CREATION_OPTIONS,
        { NULL },
};

static const Option create_options[] = { CREATION_OPTIONS, { NULL } };

#define ON_MODEL                                                                                      \
        .group = GROUP_RUN, .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT, .max_arguments = -1, \
        .complete = COMPLETE_SERVICES

const Command command_up = {
        .name = "up",
        .summary = "Create and start containers",
        .arguments = "[SERVICE...]",
        .details =
                "Makes what the compose file says: networks, volumes and containers that are missing are created, "
                "containers whose configuration changed are recreated, what runs already is left alone.\n\nWithout "
                "--detach the output of all containers is shown; Ctrl-C stops them (of named services: these, not what "
                "they depend on), a second Ctrl-C kills them.",
        .examples = "berth up -d --wait\nberth up --dry-run",
        .options = up_options,
        .function = run_up,
        ON_MODEL,
};

const Command command_create = {
        .name = "create",
        .summary = "Create containers without starting them",
        .arguments = "[SERVICE...]",
        .options = create_options,
        .function = run_create,
        ON_MODEL,
};

static const Option scale_options[] = {
        { "no-deps", 0, OPTION_FLAG, NULL, "Without the services that these depend on" },
        { NULL },
};

const Command command_scale = {
        .name = "scale",
        .summary = "Change how many containers a service has",
        .arguments = "SERVICE=N...",
        .options = scale_options,
        .min_arguments = 1,
        .function = run_scale,
        ON_MODEL,
};
