/* ps: reads the engine's records; needs no keeper. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

static const ListingColumn columns[] = {
        { "NAME", "Name", .flexible = true },
        { "IMAGE", "Image", .flexible = true, .spare = true },
        { "COMMAND", "Command", .flexible = true, .spare = true },
        { "SERVICE", "Service" },
        { "CREATED", "RunningFor", .spare = true },
        { "STATUS", "Status" },
        { "PORTS", "Ports", .flexible = true },
        { NULL },
};

static const char *const statuses[] = { "paused", "restarting", "removing", "running", "dead", "created", "exited" };

/* --status and --filter status=…, checked; NULL where neither is given. */
static int wanted_statuses(const Invocation *invocation, char ***ret, Error **err)
{
        _cleanup_strv_ char **filters = invocation_list(invocation, "filter"),
                            **wanted = invocation_list(invocation, "status");

        STRV_FOREACH(filter, filters) {
                const char *value = startswith(*filter, "status=");

                if (!value)
                        return error_hint(err, error_set(err, ERROR_USAGE, "unknown filter \"%s\"", *filter),
                                          "The filter of ps is status=running, status=exited and so on.");
                strv_add(&wanted, value);
        }
        STRV_FOREACH(status, wanted) {
                bool known = false;

                for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
                        known |= streq(statuses[i], *status);
                if (!known)
                        return error_set(err, ERROR_USAGE,
                                         "unknown status \"%s\": one of paused, restarting, removing, running, dead, "
                                         "created, exited",
                                         *status);
        }
        *ret = TAKE_PTR(wanted);
        return 0;
}

static bool is_wanted(const Layout *layout, const ContainerInfo *info, char *const *wanted, bool all)
{
        bool restarting = container_is_restarting(layout, info);

        if (wanted)
                return strv_contains(wanted, restarting ? "restarting" : container_state_name(info->state));
        return all || restarting || info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;
}

static void print_services(const json_t *rows)
{
        _cleanup_strv_ char **seen = NULL;
        size_t i;
        json_t *row;

        json_array_foreach(rows, i, row) {
                const char *service = json_get_string(row, "Service", "");

                if (strv_contains(seen, service))
                        continue;
                strv_add(&seen, service);
                printf("%s\n", service);
        }
}

static void print_ids(const Layout *layout, const ContainerList *list, char *const *wanted, bool all)
{
        for (size_t i = 0; i < list->length; i++)
                if (is_wanted(layout, list->items[i], wanted, all))
                        printf("%s\n", list->items[i]->id);
}

static bool is_orphan(const Scope *scope, const ContainerInfo *info)
{
        return scope->project && info->service && !project_find_service(scope->project, info->service) &&
               !scope_is_copy(scope, info->service);
}

/* Containers go on without a keeper, but nobody restarts, checks or backs them up. */
static void warn_where_nobody_looks(const Scope *scope, const Layout *layout, const ContainerList *list)
{
        _cleanup_free_ char *text = NULL;
        bool runs = false;

        for (size_t i = 0; i < list->length; i++)
                runs |= list->items[i]->state == CONTAINER_RUNNING && !list->items[i]->oneoff;
        if (!runs || keeper_lives(layout, scope->name))
                return;
        text = xasprintf("nobody looks after project \"%s\": its keeper does not run (\"berth up -d\" starts it)",
                         scope->name);
        report_warning(text);
}

static int run_ps(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_strv_ char **wanted = NULL;
        _cleanup_json_ json_t *rows = json_array();
        bool all = invocation_flag(invocation, "all");
        bool orphans = streq(invocation_text(invocation, "orphans", "true"), "true");
        int r;

        r = wanted_statuses(invocation, &wanted, err);
        if (r < 0)
                return r;
        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        r = scope_containers(&scope, all, &list, err);
        if (r < 0)
                return r;
        if (invocation_flag(invocation, "quiet")) {
                print_ids(invocation->layout, &list, wanted, all);
                return 0;
        }
        for (size_t i = 0; i < list.length; i++)
                if (is_wanted(invocation->layout, list.items[i], wanted, all) &&
                    (orphans || !is_orphan(&scope, list.items[i])))
                        json_array_append_new(
                                rows, describe_container(list.items[i],
                                                         container_is_restarting(invocation->layout, list.items[i]),
                                                         invocation_flag(invocation, "no-trunc")));
        if (invocation_flag(invocation, "services")) {
                print_services(rows);
                return 0;
        }
        r = listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
        if (r == 0)
                warn_where_nobody_looks(&scope, invocation->layout, &list);
        return r;
}

static const Option options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "Stopped containers too, and those of \"run\"" },
        { "filter", 0, OPTION_TEXT, "FILTER", "Only what matches, for example status=running",
          .flags = OPTION_REPEATABLE },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "no-trunc", 0, OPTION_FLAG, NULL, "Whole commands and ids" },
        { "orphans", 0, OPTION_FLAG, NULL,
          "Containers of services that the compose file does not have (default: true)" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Ids only" },
        { "services", 0, OPTION_FLAG, NULL, "Names of services only" },
        { "status", 0, OPTION_TEXT, "STATUS", "Only containers in this state", .flags = OPTION_REPEATABLE },
        { NULL },
};

const Command command_ps = {
        .name = "ps",
        .summary = "List containers",
        .arguments = "[SERVICE...]",
        .examples = "berth ps\nberth ps -a --format json\nberth -p demo ps --format '{{.Name}} {{.State}}'",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .max_arguments = -1,
        .function = run_ps,
        .complete = COMPLETE_SERVICES,
};
