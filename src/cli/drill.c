/* drill: is the newest backup good? It is restored to a throwaway copy, looked at, and thrown away. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/restore.h"
#include "cli/verbs.h"
#include "state/document.h"

static char *point_of(const json_t *report)
{
        int64_t target_ns = json_get_int(report, "target_ns", 0);

        return target_ns ? clock_format_local(target_ns) : xstrdup(json_get_string(report, "point", ""));
}

static void print_report(const json_t *report)
{
        _cleanup_free_ char *point = point_of(report);
        int64_t rpo_ms = json_get_int(report, "rpo_ms", -1);
        const json_t *check;
        size_t i;

        json_array_foreach(json_object_get(report, "checks"), i, check) {
                const char *message = json_get_string(check, "message", "");

                printf("%-7s %s%s%s\n",
                       json_get_bool(check, "skipped", false) ? "skipped"
                       : json_get_bool(check, "good", false)  ? "passed"
                                                              : "FAILED",
                       json_get_string(check, "name", ""), *message ? ": " : "", message);
        }
        printf("backup %s restored to %s: ready after %.1f s\n", json_get_string(report, "backup", ""), point,
               (double)json_get_int(report, "rto_ms", 0) / 1000);
        if (rpo_ms >= 0)
                printf("The newest point that could be restored was %.1f s old.\n", (double)rpo_ms / 1000);
}

static int run_drill(Invocation *invocation, Error **err)
{
        _cleanup_restore_ Restore restore = { .invocation = invocation };
        _cleanup_json_ json_t *report = NULL;
        json_t *params;
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &restore.scope,
                             &restore.service, err);

        if (r >= 0)
                r = restore_need_container(&restore, err);
        if (r < 0)
                return r;
        restore_read_point(&restore);
        params = json_pack("{s:s}", "service", restore.service);
        if (invocation_given(invocation, "to"))
                json_set_string(params, "to", restore.to);
        r = client_request(invocation, restore.scope.name, "drill", params, "Drilling", &report, err);
        if (r < 0)
                return r;
        if (invocation_json(invocation)) {
                _cleanup_free_ char *text = json_dumps(report, JSON_COMPACT);
                printf("%s\n", text);
        } else {
                print_report(report);
        }
        return 0;
}

static const Option options[] = {
        { "to", 0, OPTION_TEXT, "POINT",
          "A time, an LSN, the name of a restore point, \"latest\" or \"immediate\" (default: a moment by lot behind the newest backup)" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_drill = {
        .name = "drill",
        .summary = "Try whether a database could be brought back: restore a copy, check it, throw it away",
        .arguments = "[SERVICE]",
        .details =
                "The newest backup is restored to a moment behind it in a container without network and without ports. "
                "Every file is compared with its checksum, and by pg_verifybackup where the image has it; the server "
                "has to recover and be promoted; every table is read and its rows are counted; pg_amcheck looks at "
                "tables and indexes; each query of x-berth.backup.drill.checks has to give true. How long it took "
                "until the server was ready, and how old the newest point was, is measured.\n\nThe running database is "
                "not touched. A drill that fails ends with status 1 and tells those whom x-berth.alerts names. "
                "x-berth.backup.drill.schedule has it done by the clock: see \"berth schedule\".",
        .examples = "berth drill\nberth drill db --to latest",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = 1,
        .function = run_drill,
        .complete = COMPLETE_SERVICES,
};
