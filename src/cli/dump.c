/* dump: a logical backup by the server's own pg_dump. */
#include "cli/dump.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/interrupts.h"
#include "cli/output/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"

#define MOST_JOBS 64

typedef struct Shown {
        Progress *progress;
        const char *service;
        int64_t start_ns;
} Shown;

static void show_state(const Shown *shown, const char *state, const char *text)
{
        json_t *event =
                json_pack("{s:s, s:s, s:s, s:s, s:I}", "event", "resource", "kind", "database", "name", shown->service,
                          "state", state, "ms", (json_int_t)((clock_monotonic_ns() - shown->start_ns) / NSEC_PER_MSEC));

        if (text)
                json_object_set_new(event, "text", json_string(text));
        progress_event(shown->progress, event);
        json_decref(event);
}

static void on_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
        const Shown *shown = context;
        json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "event", "bytes", "kind", "database", "name",
                                  shown->service, "what", what, "done", (json_int_t)done, "total", (json_int_t)total);

        progress_event(shown->progress, event);
        if (progress_is_live(shown->progress))
                progress_tick(shown->progress);
        json_decref(event);
}

static void on_warning(void *context, const char *text)
{
        (void)context;
        report_warning(text);
}

/* "12.3MB in 1.2s, 10.1MB/s" */
static char *summary(const Shown *shown, uint64_t size_bytes)
{
        int64_t elapsed_ns = MAX(clock_monotonic_ns() - shown->start_ns, NSEC_PER_MSEC);
        _cleanup_free_ char *size = format_size(size_bytes),
                            *rate = format_size((uint64_t)((double)size_bytes * 1e9 / (double)elapsed_ns));

        return xasprintf("%s in %.1fs, %s/s", size, (double)elapsed_ns / 1e9, rate);
}

int dump_show(const Invocation *invocation, const DumpOptions *options, const char *path, DumpResult *ret, Error **err)
{
        _cleanup_(progress_freep) Progress *progress = progress_create(invocation_progress_mode(invocation), "Dumping");
        Shown shown = { progress, options->container->service, clock_monotonic_ns() };
        EngineProgress told = {
                .context = &shown, .bytes = on_bytes, .warning = on_warning, .cancel_fd = interrupts_open()
        };
        _cleanup_free_ char *text = NULL;
        int r;

        show_state(&shown, "dumping", NULL);
        r = streq_ptr(path, "-") ? dump_to_stream(options, STDOUT_FILENO, &told, ret, err)
                                 : dump_to_path(options, path, &told, ret, err);
        if (r == 0)
                text = summary(&shown, ret->size_bytes);
        show_state(&shown, r < 0 ? "failed" : "dumped", text);
        progress_finish(progress, r == 0);
        interrupts_take(); /* what ended it is not for what comes next, which may be a question */
        interrupts_close();
        return error_prefix(err, r, "dump of service \"%s\"", options->container->service);
}

static int read_options(const Invocation *invocation, DumpOptions *options, Error **err)
{
        const char *format = invocation_text(invocation, "format", "custom");
        int64_t jobs = invocation_number(invocation, "jobs", 0);

        options->database = invocation_text(invocation, "database", NULL);
        options->all = invocation_flag(invocation, "all");
        options->roles = invocation_flag(invocation, "roles");
        options->no_role_passwords = invocation_flag(invocation, "no-role-passwords");
        options->jobs = (int)jobs;
        if (!dump_format_parse(format, &options->format))
                return error_set(err, ERROR_USAGE, "--format: \"%s\" is not custom, directory or plain", format);
        if (invocation_given(invocation, "jobs") && (jobs < 1 || jobs > MOST_JOBS))
                return error_set(err, ERROR_USAGE, "--jobs: a number from 1 to %d", MOST_JOBS);
        if (jobs > 1 && options->format != DUMP_DIRECTORY)
                return error_hint(err,
                                  error_set(err, ERROR_USAGE, "only the directory format is written by several jobs"),
                                  "Add -F directory.");
        if (options->all && (options->database || options->tables || options->schemas))
                return error_set(err, ERROR_USAGE, "--all is every database, whole: without -d, -t and -n");
        return 0;
}

static int run_dump(Invocation *invocation, Error **err)
{
        char **arguments = invocation->arguments;
        const char *service = arguments && arguments[0] && arguments[0][0] != '-' ? arguments[0] : NULL;
        char *names[] = { (char *)service, NULL };
        _cleanup_strv_ char **tables = invocation_list(invocation, "table"),
                            **schemas = invocation_list(invocation, "schema");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_dump_result_ DumpResult result = { 0 };
        _cleanup_scope_ Scope scope = { 0 };
        DumpOptions options = { .tables = tables,
                                .schemas = schemas,
                                .arguments = arguments && arguments[0] ? arguments + (service != NULL) : NULL };
        int r = read_options(invocation, &options, err);

        if (r == 0 && streq_ptr(invocation_text(invocation, "output", NULL), "-") && isatty(STDOUT_FILENO) &&
            options.format == DUMP_CUSTOM)
                r = error_set(err, ERROR_USAGE, "an archive is not for a terminal: redirect it, or take -F plain");
        if (r == 0)
                r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, service, &info, err);
        if (r < 0)
                return r;
        options.engine = scope.engine;
        options.container = info;
        r = dump_show(invocation, &options, invocation_text(invocation, "output", NULL), &result, err);
        if (r < 0)
                return r;
        if (result.path)
                puts(result.path);
        if (result.roles_path)
                puts(result.roles_path);
        return 0;
}

static const Option options[] = {
        { "format", 'F', OPTION_TEXT, "FORMAT", "custom (the default), directory or plain, as pg_dump has them" },
        { "database", 'd', OPTION_TEXT, "NAME", "Database (default: POSTGRES_DB)" },
        { "all", 0, OPTION_FLAG, NULL, "Every database, and the roles: a folder of dumps, or with -F plain one file" },
        { "table", 't', OPTION_TEXT, "PATTERN", "Only these tables: schema.table", .flags = OPTION_REPEATABLE },
        { "schema", 'n', OPTION_TEXT, "PATTERN", "Only these schemas", .flags = OPTION_REPEATABLE },
        { "jobs", 'j', OPTION_NUMBER, "N",
          "Tables at a time, in the directory format (default: one a processor, four at most)" },
        { "output", 'o', OPTION_TEXT, "FILE", "Where to: a file, a folder to put it into, or - for standard output",
          .complete = COMPLETE_FILES },
        { "roles", 0, OPTION_FLAG, NULL,
          "The roles, too, in FILE.roles.sql or, in the directory format, in its roles.sql" },
        { "no-role-passwords", 0, OPTION_FLAG, NULL, "Roles without their passwords" },
        { NULL },
};

const Command command_dump = {
        .name = "dump",
        .summary = "Dump a database by the server's own pg_dump",
        .arguments = "[SERVICE] [-- ARGS...]",
        .details =
                "A logical backup: one consistent moment of a database, of some of its schemas or tables, or of all "
                "databases, which any PostgreSQL of the same or a later major takes. The database goes on serving. The "
                "name of what was written is printed; without -o it is PROJECT-SERVICE-DATABASE-TIME in this folder, "
                "with mode 0600.\n\nA dump is whole or absent: it is written beside its place, read back, synced and "
                "moved. After a failure nothing is left, and what was there before is still there. What follows -- "
                "goes to pg_dump.\n\nRoles are the cluster's and not a database's: --roles adds them, with their "
                "passwords' verifiers. \"berth load\" brings a dump back; so do psql and pg_restore.",
        .examples = "berth dump\nberth dump db -d shop -t public.orders -o orders.dump\nberth dump -F directory -j 4 "
                    "-o shop.dir\n"
                    "berth dump --all -o backups/\nberth dump -F plain -o - -- --schema-only\n"
                    "berth load shop.dump -d copy --create",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .max_arguments = -1,
        .function = run_dump,
        .complete = COMPLETE_SERVICES,
};
