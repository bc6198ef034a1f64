/* down: stops and removes what up made. Volumes only where asked for, and then by name, with a yes, into the trash. */
#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

static bool is_external(const Scope *scope, const char *name)
{
        for (size_t i = 0; scope->project && i < scope->project->n_volumes; i++)
                if (scope->project->volumes[i].external && streq(scope->project->volumes[i].name, name))
                        return true;
        return false;
}

static void add_loss(Engine *engine, const char *name, Table *losses)
{
        _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
        _cleanup_free_ char *size = NULL, *used = NULL;

        if (engine->operations->volume_inspect(engine, name, true, &info, NULL) < 0)
                return;
        size = format_size(info->size_bytes);
        used = time_ago(info->used_ns);
        table_add_row(losses, name, size, used, info->written_by ?: "");
}

static int list_losses(const Scope *scope, Table *losses, Error **err)
{
        VolumeInfo **volumes = NULL;
        size_t length = 0;
        int r;

        r = scope->engine->operations->volume_list(scope->engine, scope->name, &volumes, &length, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < length; i++) {
                if (!volumes[i]->in_trash && !is_external(scope, volumes[i]->name))
                        add_loss(scope->engine, volumes[i]->name, losses);
                volume_info_free(volumes[i]);
        }
        free(volumes);
        return 0;
}

static int confirm_volumes(const Invocation *invocation, const Scope *scope, Error **err)
{
        _cleanup_(table_freep) Table *losses = table_create("VOLUME", "SIZE", "LAST USED", "WRITTEN BY", NULL);
        _cleanup_free_ char *what = NULL;
        bool purge = invocation_flag(invocation, "purge");
        int r;

        r = list_losses(scope, losses, err);
        if (r < 0 || table_length(losses) == 0)
                return r;
        what = xasprintf("remove %zu volume%s of project \"%s\"%s", table_length(losses),
                         table_length(losses) == 1 ? "" : "s", scope->name,
                         purge ? " for ever" : " (kept in the trash for seven days)");
        return confirm(what, losses, invocation_flag(invocation, "yes"), "--yes", err);
}

static json_t *down_params(const Invocation *invocation, const Scope *scope)
{
        json_t *params = json_object();

        if (scope->services)
                json_object_set_new(params, "services", json_from_strv(scope->services));
        json_object_set_new(params, "remove_volumes", json_boolean(invocation_flag(invocation, "volumes")));
        json_object_set_new(params, "purge", json_boolean(invocation_flag(invocation, "purge")));
        json_object_set_new(params, "remove_orphans", json_boolean(invocation_flag(invocation, "remove-orphans")));
        json_set_string(params, "remove_images", invocation_text(invocation, "rmi", NULL));
        if (invocation_given(invocation, "timeout"))
                json_object_set_new(params, "timeout_ms",
                                    json_integer(invocation_number(invocation, "timeout", 0) * 1000));
        return params;
}

/* Said, as docker compose does; the keeper is asked all the same, for what a crash may have left. */
static void warn_if_nothing(const Scope *scope)
{
        _cleanup_container_list_ ContainerList containers = { 0 };
        _cleanup_free_ char *text = xasprintf("no resource found to remove for project \"%s\"", scope->name);
        NetworkInfo **networks = NULL;
        size_t length = 0;

        if (scope_containers(scope, true, &containers, NULL) < 0 ||
            scope->engine->operations->network_list(scope->engine, scope->name, &networks, &length, NULL) < 0)
                return;
        for (size_t i = 0; i < length; i++)
                network_info_free(networks[i]);
        free(networks);
        if (containers.length == 0 && length == 0)
                report_warning(text);
}

static int run_down(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        json_t *params;
        int r;

        if (invocation_flag(invocation, "purge") && !invocation_flag(invocation, "volumes"))
                return error_hint(
                        err, error_set(err, ERROR_USAGE, "--purge says what happens to volumes, and none are removed"),
                        "Write berth down --volumes --purge.");
        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        if (invocation_flag(invocation, "volumes")) {
                r = confirm_volumes(invocation, &scope, err);
                if (r < 0)
                        return r;
        }
        if (!invocation_flag(invocation, "volumes"))
                warn_if_nothing(&scope);
        params = down_params(invocation, &scope);
        if (scope.project) {
                _cleanup_json_ json_t *model = NULL;

                r = scope_model_params(&scope, &model, err);
                if (r < 0) {
                        json_decref(params);
                        return r;
                }
                json_object_update(params, model);
        }
        return client_request(invocation, scope.name, "down", params, "Removing", NULL, err);
}

static const Option options[] = {
        { "purge", 0, OPTION_FLAG, NULL,
          "With --volumes: remove their data at once instead of keeping it in the trash" },
        { "remove-orphans", 0, OPTION_FLAG, NULL, "Containers of services that the compose file does not have, too" },
        { "rmi", 0, OPTION_CHOICE, "WHICH", "Remove the services' images", "local|all" },
        { "timeout", 't', OPTION_NUMBER, "SECONDS", "How long to wait before a container is killed" },
        { "volumes", 'v', OPTION_FLAG, NULL, "Remove the project's volumes, named and anonymous" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

const Command command_down = {
        .name = "down",
        .summary = "Stop and remove containers and networks",
        .arguments = "[SERVICE...]",
        .details = "Volumes stay unless --volumes is given. Then their names, sizes and last use are listed and a yes "
                   "is asked for; what is removed stays in the trash for seven days (\"berth volume ls --trash\", "
                   "\"berth volume restore\"). The next \"up\" starts with empty volumes all the same.",
        .differences = "`-v` asks, needs --yes where there is no terminal, and moves volumes to a trash instead of "
                       "deleting them.",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = options,
        .max_arguments = -1,
        .function = run_down,
        .complete = COMPLETE_SERVICES,
};
