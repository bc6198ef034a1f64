/* ls: every project of this machine; with --verbose what it has in the kernel. */
#include <stdio.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/describe.h"
#include "cli/output/listing.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "engine/local/network.h"
#include "state/document.h"

static const ListingColumn columns[] = {
        { "NAME", "Name" }, { "STATUS", "Status" }, { "CONFIG FILES", "ConfigFiles", .flexible = true }, { NULL }
};

/* "running(2), exited(1)" */
static char *status_text(const ContainerList *list, const char *project, bool *ret_running)
{
        static const ContainerState order[] = { CONTAINER_RUNNING, CONTAINER_PAUSED, CONTAINER_EXITED,
                                                CONTAINER_CREATED, CONTAINER_DEAD };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        *ret_running = false;
        for (size_t s = 0; s < ARRAY_SIZE(order); s++) {
                size_t count = 0;

                for (size_t i = 0; i < list->length; i++)
                        count += streq_ptr(list->items[i]->project, project) && list->items[i]->state == order[s];
                if (count > 0)
                        strbuf_addf(&text, "%s%s(%zu)", text.length ? ", " : "", container_state_name(order[s]), count);
                *ret_running |= count > 0 && order[s] <= CONTAINER_PAUSED && order[s] != CONTAINER_CREATED;
        }
        return strbuf_take(&text);
}

static const char *label(const ContainerInfo *info, const char *key)
{
        const char *value = info->spec ? strv_env_get(info->spec->labels, key) : NULL;

        return value ?: "";
}

static void add_kernel_line(Strbuf *text, const char *what, const char *name, const char *owner)
{
        strbuf_addf(text, "  %-9s  %-34s  %s\n", what, name, owner);
}

/* Processes and ports from the records, the rest as it stands in the kernel. project NULL: what has no owner. */
static void print_kernel_objects(const LocalNetworkObjects *objects, const ContainerList *list, const char *project)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        for (size_t i = 0; i < objects->length; i++) {
                const LocalNetworkObject *object = &objects->items[i];

                if (project ? streq_ptr(object->project, project) : object->owner == NULL)
                        add_kernel_line(&text, object->kind, object->name, object->owner ?: "");
        }
        for (size_t i = 0; project && i < list->length; i++) {
                const ContainerInfo *info = list->items[i];
                _cleanup_free_ char *pid = xasprintf("%d", (int)info->pid),
                                    *owner = xasprintf("container %s", info->name);

                if (!streq_ptr(info->project, project))
                        continue;
                if (info->pid > 0)
                        add_kernel_line(&text, "process", pid, owner);
                for (size_t p = 0; p < info->n_ports; p++) {
                        const ContainerPort *port = &info->ports[p];
                        _cleanup_free_ char *published =
                                xasprintf("%s:%u -> %u/%s", port->host_ip ?: "0.0.0.0", port->host_port,
                                          port->container_port, port->udp ? "udp" : "tcp");

                        add_kernel_line(&text, "port", published, owner);
                }
        }
        if (text.length > 0)
                printf("\n%s\n%s", project ?: "nobody's (\"berth system prune\" removes it)", strbuf_text(&text));
}

static int print_kernel(const Layout *layout, const ContainerList *list, char *const *projects, Error **err)
{
        _cleanup_local_network_objects_ LocalNetworkObjects objects = { 0 };
        int r;

        r = local_network_objects(layout, &objects, err);
        if (r < 0)
                return r;
        STRV_FOREACH(project, projects)
                print_kernel_objects(&objects, list, *project);
        print_kernel_objects(&objects, list, NULL);
        return 0;
}

static bool filtered_out(const char *project, char *const *filters)
{
        STRV_FOREACH(filter, filters) {
                const char *name = startswith(*filter, "name=");

                if (name && !strstr(project, name))
                        return true;
        }
        return false;
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **projects = NULL, **filters = invocation_list(invocation, "filter");
        bool verbose = invocation_flag(invocation, "verbose");
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = engine->operations->container_list(engine, NULL, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                const ContainerInfo *info = list.items[i];
                _cleanup_free_ char *status = NULL;
                bool running;

                if (!info->project || strv_contains(projects, info->project) || filtered_out(info->project, filters))
                        continue;
                strv_add(&projects, info->project);
                status = status_text(&list, info->project, &running);
                if (running || invocation_flag(invocation, "all"))
                        json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "Name", info->project, "Status",
                                                              status, "ConfigFiles", label(info, LABEL_CONFIG_FILES)));
        }
        if (invocation_flag(invocation, "quiet")) {
                size_t i;
                json_t *row;

                json_array_foreach(rows, i, row)
                        printf("%s\n", json_get_string(row, "Name", ""));
                return 0;
        }
        r = listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
        if (r >= 0 && verbose)
                r = print_kernel(invocation->layout, &list, projects, err);
        return r;
}

static const Option options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "Projects of which nothing runs too" },
        { "filter", 0, OPTION_TEXT, "FILTER", "name=…", .flags = OPTION_REPEATABLE },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Names only" },
        { "verbose", 'v', OPTION_FLAG, NULL, "What each project has in the kernel: bridges, processes, ports" },
        { NULL },
};

const Command command_ls = {
        .name = "ls",
        .summary = "List projects",
        .group = GROUP_LOOK,
        .flags = COMMAND_JSON,
        .options = options,
        .function = run_ls,
        .aliases = (const char *const[]){ "list", NULL },
};
