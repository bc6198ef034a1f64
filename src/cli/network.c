/* network …: looks at and changes the networks of this machine; needs no keeper. */
#include "engine/local/network.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/describe.h"
#include "cli/inspect_each.h"
#include "cli/output/listing.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

static const ListingColumn columns[] = {
        { "NETWORK ID", "ShortID", .spare = true },
        { "NAME", "Name", .flexible = true },
        { "DRIVER", "Driver" },
        { "SUBNET", "Subnet" },
        { "BRIDGE", "Interface" },
        { "PROJECT", "Project" },
        { NULL },
};

static bool is_wanted(const NetworkInfo *info, char *const *filters)
{
        STRV_FOREACH(filter, filters) {
                const char *name = startswith(*filter, "name=");

                if (name && !strstr(info->name, name))
                        return false;
        }
        return true;
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **filters = invocation_list(invocation, "filter");
        bool quiet = invocation_flag(invocation, "quiet");
        NetworkInfo **networks = NULL;
        size_t length = 0;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        r = engine->operations->network_list(engine, invocation_text(invocation, "project-name", NULL), &networks,
                                             &length, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < length; i++) {
                if (is_wanted(networks[i], filters) && quiet)
                        printf("%s\n", networks[i]->name);
                else if (is_wanted(networks[i], filters))
                        json_array_append_new(rows, describe_network(networks[i]));
                network_info_free(networks[i]);
        }
        free(networks);
        if (quiet)
                return 0;
        return listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

static int inspect_one(const Invocation *invocation, Engine *engine, const char *name, json_t **ret, Error **err)
{
        _cleanup_(network_info_freep) NetworkInfo *info = NULL;
        int r = engine->operations->network_inspect(engine, name, &info, err);

        if (r < 0)
                return error_hint(err, r, "\"berth network ls\" lists the networks.");
        *ret = describe_network(info);
        return 0;
}

static int run_inspect(Invocation *invocation, Error **err)
{
        return inspect_each(invocation, inspect_one, err);
}

static void print_warning(void *context, const char *text)
{
        report_warning(text);
}

static int run_create(Invocation *invocation, Error **err)
{
        _cleanup_strv_ char **labels = invocation_list(invocation, "label"),
                            **options = invocation_list(invocation, "opt");
        EngineProgress progress = { .warning = print_warning, .cancel_fd = -1 };
        NetworkPool pool = {
                .subnet = (char *)invocation_text(invocation, "subnet", NULL),
                .gateway = (char *)invocation_text(invocation, "gateway", NULL),
                .ip_range = (char *)invocation_text(invocation, "ip-range", NULL),
        };
        NetworkSpec spec = { .name = invocation->arguments[0],
                             .driver = (char *)invocation_text(invocation, "driver", NULL),
                             .internal = invocation_flag(invocation, "internal"),
                             .enable_ipv6 = invocation_flag(invocation, "ipv6"),
                             .pools = &pool,
                             .n_pools = pool.subnet || pool.gateway || pool.ip_range ? 1 : 0,
                             .labels = labels,
                             .options = options };
        int r;

        r = layout_prepare(invocation->layout, err);
        if (r < 0)
                return r;
        r = local_network_create(invocation->layout, &spec, &progress, err);
        if (r < 0)
                return r;
        printf("%s\n", spec.name);
        return 0;
}

static int run_rm(Invocation *invocation, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        int r;

        r = invocation_open_engine(invocation, &engine, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, invocation->arguments) {
                _cleanup_(network_info_freep) NetworkInfo *info = NULL;

                r = engine->operations->network_inspect(engine, *name, &info, err);
                if (r >= 0)
                        r = local_network_remove(invocation->layout, *name, err);
                if (r < 0)
                        return error_hint(
                                err, r,
                                "\"berth network ls\" lists the networks, \"berth network inspect\" who is attached.");
                printf("%s\n", *name);
        }
        return 0;
}

static const Option ls_options[] = {
        { "filter", 0, OPTION_TEXT, "FILTER", "name=…", .flags = OPTION_REPEATABLE },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Names only" },
        { NULL },
};
static const Option create_options[] = {
        { "driver", 'd', OPTION_TEXT, "DRIVER", "Driver (default: bridge)" },
        { "gateway", 0, OPTION_TEXT, "ADDRESS", "Address of this machine on it" },
        { "internal", 0, OPTION_FLAG, NULL, "Without a way out" },
        { "ip-range", 0, OPTION_TEXT, "RANGE", "Part of the subnet that containers get addresses from" },
        { "ipv6", 0, OPTION_FLAG, NULL, "With IPv6 addresses too" },
        { "label", 0, OPTION_TEXT, "KEY=VALUE", "Label", .flags = OPTION_REPEATABLE },
        { "opt", 'o', OPTION_TEXT, "KEY=VALUE", "Option of the driver", .flags = OPTION_REPEATABLE },
        { "subnet", 0, OPTION_TEXT, "SUBNET", "Subnet, for example 10.5.0.0/24" },
        { NULL },
};

static const Command network_ls = { .name = "network ls",
                                    .summary = "List networks",
                                    .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                    .options = ls_options,
                                    .function = run_ls,
                                    .aliases = (const char *const[]){ "list", NULL } };
static const Command network_inspect = { .name = "network inspect",
                                         .summary = "Show all about networks, as JSON",
                                         .arguments = "NETWORK...",
                                         .flags = COMMAND_JSON | COMMAND_NEEDS_ROOT,
                                         .options = inspect_each_options,
                                         .min_arguments = 1,
                                         .max_arguments = -1,
                                         .function = run_inspect,
                                         .complete = COMPLETE_NETWORKS };
static const Command network_create = { .name = "network create",
                                        .summary = "Create a network that projects can share",
                                        .arguments = "NAME",
                                        .flags = COMMAND_NEEDS_ROOT,
                                        .options = create_options,
                                        .details = "A compose file joins it with \"external: true\".",
                                        .min_arguments = 1,
                                        .max_arguments = 1,
                                        .function = run_create };
static const Command network_rm = { .name = "network rm",
                                    .summary = "Remove networks that nothing is attached to",
                                    .arguments = "NETWORK...",
                                    .flags = COMMAND_NEEDS_ROOT,
                                    .min_arguments = 1,
                                    .max_arguments = -1,
                                    .function = run_rm,
                                    .complete = COMPLETE_NETWORKS,
                                    .aliases = (const char *const[]){ "remove", NULL } };

static const Command *const children[] = { &network_ls, &network_create, &network_inspect, &network_rm, NULL };

const Command command_network = {
        .name = "network",
        .summary = "Look at and manage networks",
        .group = GROUP_DATA,
        .children = children,
};
