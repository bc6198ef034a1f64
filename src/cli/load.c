/* load: a dump back into a database. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/database.h"
#include "cli/interrupts.h"
#include "cli/report.h"
#include "cli/verbs.h"
#include "operate/load.h"

#define MOST_JOBS 64

static void on_warning(void *context, const char *text)
{
        (void)context;
        report_warning(text);
}

static int run_load(Invocation *invocation, Error **err)
{
        char **arguments = invocation->arguments;
        char *names[] = { arguments[1], NULL };
        int64_t start_ns = clock_monotonic_ns(), jobs = invocation_number(invocation, "jobs", 1);
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_scope_ Scope scope = { 0 };
        EngineProgress progress = { .warning = on_warning };
        LoadDumpOptions options = { .path = arguments[0],
                                    .database = invocation_text(invocation, "database", NULL),
                                    .create = invocation_flag(invocation, "create"),
                                    .clean = invocation_flag(invocation, "clean"),
                                    .no_owner = invocation_flag(invocation, "no-owner"),
                                    .jobs = (int)jobs };
        int r;

        if (jobs < 1 || jobs > MOST_JOBS)
                return error_set(err, ERROR_USAGE, "--jobs: a number from 1 to %d", MOST_JOBS);
        if (options.create && !options.database)
                return error_set(err, ERROR_USAGE, "--create needs -d NAME: the database that is to be made");
        r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, arguments[1], &info, err);
        if (r < 0)
                return r;
        options.engine = scope.engine;
        options.container = info;
        progress.cancel_fd = interrupts_open();
        r = load_dump(&options, &progress, err);
        if (r < 0)
                return error_prefix(err, r, "load into service \"%s\"", info->service);
        fprintf(stderr, "loaded %s in %.1fs\n", options.path, (double)(clock_monotonic_ns() - start_ns) / 1e9);
        return 0;
}

static const Option options[] = {
        { "database", 'd', OPTION_TEXT, "NAME", "Into this database (default: POSTGRES_DB)" },
        { "create", 0, OPTION_FLAG, NULL, "Make the database first; it goes again where the load fails" },
        { "clean", 0, OPTION_FLAG, NULL, "Drop what stands in the way first (archives only)" },
        { "no-owner", 0, OPTION_FLAG, NULL, "Everything belongs to the superuser, whoever owned it (archives only)" },
        { "jobs", 'j', OPTION_NUMBER, "N",
          "Tables at a time; what was loaded before a failure stays then (archives only)" },
        { NULL },
};

const Command command_load = {
        .name = "load",
        .summary = "Load a dump into a database",
        .arguments = "FILE [SERVICE]",
        .details = "Takes what \"berth dump\" writes of one database, and any pg_dump: SQL, an archive, or a folder of "
                   "the directory format. It runs by the server's own psql or pg_restore in one transaction and stops "
                   "at the first error, so it is there as a whole or not at all; with -j it is not one transaction. "
                   "Statistics are made anew at the end.",
        .examples = "berth load shop.dump\nberth load shop.dir db -d shop2 --create -j 4\nberth load shop.dump --clean",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = 2,
        .function = run_load,
        .complete = COMPLETE_FILES,
};
