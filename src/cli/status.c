/* status: how each database is protected, and what of it was changed. Needs no keeper. */
#include "cli/status.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/verbs.h"
#include "state/document.h"

static const ContainerInfo *find_container(const ContainerList *list, const char *service)
{
        for (size_t i = 0; i < list->length; i++)
                if (!list->items[i]->oneoff && streq_ptr(list->items[i]->service, service) &&
                    container_is_database(list->items[i]))
                        return list->items[i];
        return NULL;
}

/* Those that have a container, and those that have backups only. */
static char **find_services(const Scope *scope, const Layout *layout, const ContainerList *list)
{
        _cleanup_free_ char *folder = layout_data(layout, "backups/%s", scope->name);
        _cleanup_strv_ char **kept = NULL;
        char **services = NULL;

        for (size_t i = 0; i < list->length; i++)
                if (!list->items[i]->oneoff && list->items[i]->service && container_is_database(list->items[i]) &&
                    !strv_contains(services, list->items[i]->service))
                        strv_add(&services, list->items[i]->service);
        fs_list_directory(AT_FDCWD, folder, &kept, NULL);
        STRV_FOREACH(service, kept)
                if (!strv_contains(services, *service))
                        strv_add(&services, *service);
        return services;
}

static int gather(const Invocation *invocation, const Scope *scope, const char *wanted, json_t *rows, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_strv_ char **services = NULL;
        int r = scope->engine->operations->container_list(scope->engine, scope->name, &list, err);

        if (r < 0)
                return r;
        services = find_services(scope, invocation->layout, &list);
        if (wanted && !strv_contains(services, wanted))
                return error_hint(
                        err,
                        error_set(err, ERROR_NOT_FOUND, "service \"%s\" is no database that was brought up", wanted),
                        "\"berth up\" brings it up.");
        if (!services)
                return error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no database that was brought up",
                                 scope->name);
        STRV_FOREACH(service, services) {
                json_t *row = NULL;

                /* A copy is there to be thrown away: it is shown where it is named. */
                if (wanted ? !streq(*service, wanted) : scope_is_copy(scope, *service))
                        continue;
                r = status_gather(invocation, scope, *service, find_container(&list, *service), &row, err);
                if (r < 0)
                        return r;
                json_array_append_new(rows, row);
        }
        return 0;
}

static int run_status(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        const json_t *row;
        size_t i;
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r == 0)
                r = gather(invocation, &scope, invocation->arguments ? invocation->arguments[0] : NULL, rows, err);
        if (r < 0)
                return r;
        if (invocation_json(invocation)) {
                _cleanup_free_ char *text = json_dumps(rows, JSON_INDENT(4));
                printf("%s\n", text);
                return 0;
        }
        if (streq_ptr(invocation_text(invocation, "format", NULL), "prometheus")) {
                status_print_metrics(scope.name, rows);
                return 0;
        }
        json_array_foreach(rows, i, row) {
                if (i)
                        putchar('\n');
                status_print(row);
        }
        return 0;
}

static const Option options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json|prometheus" },
        { NULL },
};

const Command command_status = {
        .name = "status",
        .summary = "Show how each database is protected: what would be lost now, and what can be restored",
        .arguments = "[SERVICE]",
        .details =
                "What would be lost is asked of the server at this moment: bytes of its log that are not in the "
                "repository, and since when. RESTORABLE is the range of points in time that \"berth restore --to\" "
                "takes. Every setting that was changed in the cluster is listed with what it was before; \"berth "
                "release\" takes them back. What is not as it should be stands at the end, in red.\n\nMigrations have "
                "a status of their own: \"berth migrate status\".",
        .examples = "berth status\nberth status db --format json\n"
                    "berth status --format prometheus > /var/lib/prometheus/node-exporter/berth.prom",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .max_arguments = 1,
        .function = run_status,
        .complete = COMPLETE_SERVICES,
};
