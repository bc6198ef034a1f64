/* restore: a database as it was. The copy is made and recovered beside the present data, then takes its place; the old
 * data is kept. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/database.h"
#include "cli/report.h"
#include "cli/restore.h"
#include "cli/verbs.h"
#include "operate/receiver_control.h"
#include "state/document.h"

#define DRAIN_MS 20000 /* what the receiver may take for the last of the log */

/* ---- steps, each a request to the keeper ---- */

static json_t *service_params(const Restore *restore)
{
        return json_pack("{s:[s]}", "services", restore->service);
}

static int stop_service(Restore *restore, Error **err)
{
        return client_request(restore->invocation, restore->scope.name, "stop", service_params(restore), "Stopping",
                              NULL, err);
}

static int start_service(Restore *restore, Error **err)
{
        json_t *params = service_params(restore);

        json_object_set_new(params, "no_deps", json_true());
        json_object_set_new(params, "wait", json_true());
        return client_request(restore->invocation, restore->scope.name, "start", params, "Starting", NULL, err);
}

/* Also where no health check says when it is there. */
static int start_and_await(Restore *restore, Error **err)
{
        int r = start_service(restore, err);

        return r < 0 ? r : scope_database_await(restore->invocation, &restore->scope, restore->service, err);
}

static int make_copy(Restore *restore, json_t **ret, Error **err)
{
        json_t *params = restore_point_params(restore);

        json_set_string(params, "service", restore->service);
        return restore_request(restore, "restore", params, ret, err);
}

static int put_in_place(Restore *restore, const json_t *copy, Error **err)
{
        json_t *params =
                json_pack("{s:s, s:s}", "service", restore->service, "copy", json_get_string(copy, "copy", ""));

        return client_request_quietly(restore->invocation, restore->scope.name, "restore_exchange", params, NULL, err);
}

/* "latest" means the last word of the running database: it is stopped first. Otherwise it serves until the copy is
 * ready. */
static int carry_out(Restore *restore, json_t **ret, Error **err)
{
        bool stopping = false; /* a stop that fails or is called off may have stopped it all the same */
        int r = 0;

        if (restore->runs && streq(restore->to, "latest")) {
                stopping = true;
                r = stop_service(restore, err);
                if (r >= 0)
                        receiver_await_end(restore->invocation->layout, restore->scope.name, restore->service,
                                           DRAIN_MS);
        }
        if (r >= 0)
                r = make_copy(restore, ret, err);
        if (r >= 0 && restore->runs && !stopping) {
                stopping = true;
                r = stop_service(restore, err);
        }
        if (r >= 0)
                r = put_in_place(restore, *ret, err);
        if (r < 0 && stopping)
                start_service(restore, NULL); /* as it was */
        return r;
}

/* ---- the verb ---- */

static int ask(const Restore *restore, Error **err)
{
        _cleanup_free_ char *what =
                xasprintf("restore service %s to %s, from backup %s; its present data is set aside", restore->service,
                          restore->shown, json_get_string(restore->plan, "backup", ""));

        return confirm(what, NULL, invocation_flag(restore->invocation, "yes"), "--yes", err);
}

static int report(const Restore *restore, const json_t *result)
{
        const char *copy = json_get_string(result, "copy", "");

        if (invocation_json(restore->invocation)) {
                _cleanup_free_ char *text = json_dumps(result, JSON_COMPACT);
                printf("%s\n", text);
                return 0;
        }
        printf("service %s is restored to %s, from backup %s\n", restore->service, restore->shown,
               json_get_string(result, "backup", ""));
        if (json_get_bool(result, "is_volume", false))
                printf("The data it had is kept in volume %s; \"berth restore %s --forget\" removes it.\n", copy,
                       restore->service);
        else
                printf("The data it had is kept in %s; \"berth restore %s --forget\" removes it.\n", copy,
                       restore->service);
        return 0;
}

static int restore_in_place(Restore *restore, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int r = restore_open(restore, err);

        if (r == 0)
                r = ask(restore, err);
        if (r >= 0)
                r = restore_need_container(restore, err);
        if (r >= 0)
                r = carry_out(restore, &result, err);
        if (r >= 0 && !invocation_flag(restore->invocation, "no-start"))
                r = start_and_await(restore, err);
        return r < 0 ? r : report(restore, result);
}

static bool is_part(const Invocation *invocation)
{
        return invocation_given(invocation, "database") || invocation_given(invocation, "table");
}

/* What goes with what. */
static int check_options(const Invocation *invocation, Error **err)
{
        bool as = invocation_given(invocation, "as"), forget = invocation_flag(invocation, "forget"),
             part = is_part(invocation);

        if (as + forget + part > 1)
                return error_set(err, ERROR_USAGE, "--as, --forget and --database or --table are different things");
        if (invocation_given(invocation, "as-table") && !invocation_given(invocation, "table"))
                return error_set(err, ERROR_USAGE, "--as-table is for one --table");
        if (!part && (invocation_given(invocation, "into") || invocation_flag(invocation, "clean")))
                return error_set(err, ERROR_USAGE, "--into and --clean are for --database and --table");
        if (invocation_given(invocation, "port") && !as)
                return error_set(err, ERROR_USAGE, "--port is for --as");
        return 0;
}

static int run_restore(Invocation *invocation, Error **err)
{
        _cleanup_restore_ Restore restore = { .invocation = invocation };
        const char *name = invocation_text(invocation, "as", NULL);
        int r = check_options(invocation, err);

        if (r < 0)
                return r;
        if (invocation_flag(invocation, "forget"))
                return restore_forget(&restore, err);
        if (is_part(invocation))
                return restore_part(&restore, err);
        return name ? restore_beside(&restore, name, err) : restore_in_place(&restore, err);
}

static const Option options[] = {
        RESTORE_POINT_OPTIONS,
        { "as", 0, OPTION_TEXT, "NAME",
          "Beside the running one: a second database, as the service NAME of the project" },
        { "port", 0, OPTION_NUMBER, "PORT",
          "For --as: publish it on this port of 127.0.0.1 (default: a free one, where the service publishes one)" },
        { "database", 0, OPTION_TEXT, "NAME", "Only this database, into the running server (several: with commas)",
          .flags = OPTION_REPEATABLE },
        { "table", 0, OPTION_TEXT, "SCHEMA.TABLE",
          "Only this table, into the running server (several: with commas); --database says where it was",
          .flags = OPTION_REPEATABLE },
        { "as-table", 0, OPTION_TEXT, "SCHEMA.TABLE",
          "For one --table: give it this name (without a schema: in its own), beside the present one" },
        { "into", 0, OPTION_TEXT, "DATABASE", "For --database and --table: bring it to this database" },
        { "clean", 0, OPTION_FLAG, NULL, "For --database and --table: replace what exists" },
        { "forget", 0, OPTION_FLAG, NULL, "Remove the data that earlier restores of the service have set aside" },
        { "no-start", 0, OPTION_FLAG, NULL, "Leave the service stopped" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_restore = {
        .name = "restore",
        .summary = "Bring a database back as it was at some point",
        .arguments = "[SERVICE]",
        .details =
                "A copy is laid out beside the present data and recovered in a container without network; only then "
                "does it take the data's place, in one step, and the service starts on it. The old data is kept as a "
                "volume of its own (or a folder, for a bind mount). The service goes on serving until the copy is "
                "ready, except for \"latest\", which is its last word: it is stopped first.\n\nWith --database or "
                "--table a part is taken out of a throwaway copy by its pg_dump and brought into the running server in "
                "one transaction; its rows are counted on both sides. What exists is only replaced with --clean: a "
                "database once the new one is whole.\n\nWith --as the service is left alone: the copy gets a volume "
                "and a container of its own, and is a service of the project from then on (see \"berth clone\").\n\nIt "
                "may run, be stopped, or be gone with its volume. A time without a zone is in the zone of this "
                "machine. \"berth backup ls\" shows which points can be had.",
        .examples =
                "berth restore db --to '2026-11-21 14:30'\nberth restore db --to before_release\nberth restore db --as "
                "yesterday --to '2026-11-20 18:00'\nberth restore db --table public.orders --as-table orders_yesterday "
                "--to 'yesterday 14:29'\nberth restore db --forget",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = 1,
        .function = run_restore,
        .complete = COMPLETE_SERVICES,
};
