/* berth-migrate: golang-migrate's command line (as the image migrate/migrate has it) on libpq. Everything is said on
 * stderr, in its words. */
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "postgres/migrate/create.h"
#include "postgres/migrate/flags.h"
#include "postgres/migrate/run.h"

#define COMPATIBLE_VERSION "4.18.3"
#define DEFAULT_LOCK_TIMEOUT_S 15

typedef struct Options {
        const char *source, *path, *database;
        int64_t prefetch, lock_timeout_s;
        bool verbose, version, help;
        int64_t started_ns;
} Options;

/* Signals counted, for the handler has no other place. */
static volatile sig_atomic_t stop_signals;

static void on_signal(int signal_number)
{
        static const char text[] = "Stopping after this running migration ...\n";

        if (stop_signals == 0) {
                _unused_ ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
        }
        stop_signals++;
}

static void print_line(void *context, const char *text)
{
        const Options *options = context;
        char stamp[32];
        time_t now = time(NULL);
        struct tm parts;

        if (options->verbose && localtime_r(&now, &parts) &&
            strftime(stamp, sizeof(stamp), "%Y/%m/%d %H:%M:%S", &parts))
                fprintf(stderr, "%s ", stamp);
        fprintf(stderr, "%s\n", text);
}

static _noreturn_ void fatal(const Options *options, const char *text)
{
        print_line((void *)options, text);
        exit(1);
}

static _noreturn_ void fatal_error(const Options *options, const Error *error)
{
        char *text = xasprintf("error: %s", error ? error->message : "unknown"); /* exit runs no cleanups */

        print_line((void *)options, text);
        free(text);
        if (error && error->file && error->line)
                fprintf(stderr, "%s:%d:%d\n", error->file, error->line, error->column);
        else if (error && error->file)
                fprintf(stderr, "%s\n", error->file);
        if (error && error->hint)
                fprintf(stderr, "hint: %s\n", error->hint);
        exit(1);
}

static void print_usage(void)
{
        fputs("Usage: migrate OPTIONS COMMAND [arg...]\n"
              "       migrate [ -version | -help ]\n"
              "\n"
              "Options:\n"
              "  -source          Where the migrations are (file://path)\n"
              "  -path            The same as -source=file://path\n"
              "  -database        The database (postgres://user:password@host:port/name?options)\n"
              "  -prefetch N      Taken and ignored: files are read when they are due (default 10)\n"
              "  -lock-timeout N  Wait up to N seconds for the database lock (default 15)\n"
              "  -verbose         Say more, with times\n"
              "  -version         Print the version\n"
              "  -help            Print this text\n"
              "\n"
              "Commands:\n"
              "  create [-ext E] [-dir D] [-seq] [-digits N] [-format F] [-tz ZONE] NAME\n"
              "               Make two empty migration files\n"
              "  goto V       Migrate to version V\n"
              "  up [N]       Apply all or N up migrations\n"
              "  down [N] [-all]    Apply all or N down migrations\n"
              "  drop [-f]    Drop everything inside the database's schema\n"
              "  force V      Set version V without running anything (clears dirty)\n"
              "  version      Print the current migration version\n"
              "\n"
              "Source drivers: file\n"
              "Database drivers: postgres, postgresql\n",
              stderr);
}

/* The driver: everything that a command but create needs. */
typedef struct Migrater {
        MigrationSource source;
        MigrateState state;
        DatabaseUrl url;
} Migrater;

static int migrater_open(const Options *options, Migrater *ret, Error **err)
{
        _cleanup_free_ char *url = NULL, *folder = NULL;
        int r;

        url = *options->source ? xstrdup(options->source)
                               : *options->path ? xasprintf("file://%s", options->path) : xstrdup("");
        r = migration_source_folder_of_url(url, &folder, err);
        if (r == 0 && !*options->database)
                r = error_set(err, ERROR_INVALID, "failed to parse scheme from database URL: URL cannot be empty");
        if (r < 0)
                return r;
        r = migration_source_open(folder, &ret->source, err);
        if (r < 0)
                return error_prefix(err, r, "failed to open source, \"%s\"", url);
        r = database_url_parse(options->database, &ret->url, err);
        if (r < 0)
                return r;
        ret->state.stop = &stop_signals;
        return migrate_state_open(&ret->url, &ret->state, err);
}

static void migrater_done(Migrater *migrater)
{
        migrate_state_done(&migrater->state);
        migration_source_done(&migrater->source);
        database_url_done(&migrater->url);
}

static void watch_signals(void)
{
        struct sigaction action = { .sa_handler = on_signal };

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

static void open_or_die(const Options *options, Migrater *migrater)
{
        _cleanup_error_ Error *error = NULL;

        watch_signals();
        if (migrater_open(options, migrater, &error) < 0)
                fatal_error(options, error);
}

static void run_or_die(const Options *options, Migrater *migrater, MigrateRequest *request)
{
        MigrateLog log = { .context = (void *)options, .line = print_line, .verbose = options->verbose };
        _cleanup_error_ Error *error = NULL;

        request->lock_timeout_ms = (int)(options->lock_timeout_s * 1000);
        request->multi_statement = migrater->url.multi_statement;
        if (migrate_run(&migrater->state, &migrater->source, request, &log, &error) < 0)
                fatal_error(options, error);
        if (options->verbose) {
                _cleanup_free_ char *duration = format_duration(clock_monotonic_ns() - options->started_ns);
                _cleanup_free_ char *line = xasprintf("Finished after %s", duration);
                print_line((void *)options, line);
        }
}

static bool ask(const Options *options, const char *question)
{
        char answer[64] = "", *start = answer;

        print_line((void *)options, question);
        if (!fgets(answer, sizeof(answer), stdin))
                return false;
        start += strspn(start, " \t");
        return (*start == 'y' || *start == 'Y') && strspn(start + 1, " \t\r\n") == strlen(start + 1);
}

static void parse_flags(const char *command, const Flag *flags, size_t n_flags, char ***args)
{
        FlagOutcome outcome = flags_parse(flags, n_flags, args);

        if (outcome == FLAGS_OK)
                return;
        if (!command)
                print_usage();
        else
                flags_print_usage(command, flags, n_flags);
        exit(outcome == FLAGS_HELP ? 0 : 2);
}

static void command_create(const Options *options, char **args)
{
        MigrateCreate create = { .folder = "",
                                 .extension = "",
                                 .digits = 6,
                                 .format = MIGRATE_DEFAULT_FORMAT,
                                 .zone = "UTC",
                                 .now_ns = clock_realtime_ns() };
        _cleanup_strv_ char **paths = NULL;
        _cleanup_error_ Error *error = NULL;
        int64_t digits = 6;
        const Flag flags[] = {
                { "ext", FLAG_STRING, &create.extension, "File extension" },
                { "dir", FLAG_STRING, &create.folder,
                  "Directory to place file in (default: current working directory)" },
                { "seq", FLAG_BOOL, &create.sequential,
                  "Use sequential numbers instead of timestamps (default: false)" },
                { "digits", FLAG_INT, &digits, "The number of digits to use in sequences (default: 6)" },
                { "format", FLAG_STRING, &create.format,
                  "The Go time format of the version, \"unix\" or \"unixNano\"" },
                { "tz", FLAG_STRING, &create.zone, "The timezone of the version's time (default: utc)" },
        };
        int r;

        parse_flags("create", flags, ARRAY_SIZE(flags), &args);
        if (!args[0])
                fatal(options, "error: please specify name");
        if (!*create.extension)
                fatal(options, "error: -ext flag must be specified");
        create.name = args[0];
        create.digits = (int)MAX(MIN(digits, (int64_t)1000), (int64_t)-1);
        r = migrate_create(&create, &paths, &error);
        STRV_FOREACH(path, paths)
                print_line((void *)options, *path);
        if (r < 0)
                fatal_error(options, error);
}

static void command_goto(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        MigrateRequest request = { .command = MIGRATE_GOTO };
        int64_t version;

        parse_flags("goto", NULL, 0, &args);
        open_or_die(options, &migrater);
        if (!args[0])
                fatal(options, "error: please specify version argument V");
        if (!parse_int64(args[0], 0, INT64_MAX, &version))
                fatal(options, "error: can't read version argument V");
        request.version = (uint64_t)version;
        run_or_die(options, &migrater, &request);
}

static void command_up(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        MigrateRequest request = { .command = MIGRATE_UP, .limit = MIGRATE_ALL };
        const Flag flags[] = { { "dry-run", FLAG_BOOL, &request.dry_run, "Print what would run" } };

        parse_flags("up", flags, ARRAY_SIZE(flags), &args);
        open_or_die(options, &migrater);
        if (args[0] && !parse_int64(args[0], 0, INT64_MAX, &request.limit))
                fatal(options, "error: can't read limit argument N");
        run_or_die(options, &migrater, &request);
}

static void command_down(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        MigrateRequest request = { .command = MIGRATE_DOWN, .limit = MIGRATE_ALL };
        bool all = false;
        const Flag flags[] = { { "all", FLAG_BOOL, &all, "Apply all down migrations" },
                               { "dry-run", FLAG_BOOL, &request.dry_run, "Print what would run" } };

        parse_flags("down", flags, ARRAY_SIZE(flags), &args);
        open_or_die(options, &migrater);
        if (all && args[0])
                fatal(options, "error: -all cannot be used with other arguments");
        if (args[0] && args[1])
                fatal(options, "error: too many arguments");
        if (args[0] && !parse_int64(args[0], 0, INT64_MAX, &request.limit))
                fatal(options, "error: can't read limit argument N");
        if (!all && !args[0] && !request.dry_run) {
                if (!ask(options, "Are you sure you want to apply all down migrations? [y/N]"))
                        fatal(options, "Not applying all down migrations");
                print_line((void *)options, "Applying all down migrations");
        }
        run_or_die(options, &migrater, &request);
}

static void command_drop(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        _cleanup_error_ Error *error = NULL;
        bool force = false;
        const Flag flags[] = { { "f", FLAG_BOOL, &force,
                                 "Force the drop command by bypassing the confirmation prompt" } };

        parse_flags("drop", flags, ARRAY_SIZE(flags), &args);
        if (!force) {
                if (!ask(options, "Are you sure you want to drop the entire database schema? [y/N]"))
                        fatal(options, "Aborted dropping the entire database schema");
                print_line((void *)options, "Dropping the entire database schema");
        }
        open_or_die(options, &migrater);
        if (migrate_drop(&migrater.state, (int)(options->lock_timeout_s * 1000), &error) < 0)
                fatal_error(options, error);
}

static void command_force(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        _cleanup_error_ Error *error = NULL;
        int64_t version;

        parse_flags("force", NULL, 0, &args);
        open_or_die(options, &migrater);
        if (!args[0])
                fatal(options, "error: please specify version argument V");
        if (!parse_int64(args[0], INT64_MIN, INT64_MAX, &version))
                fatal(options, "error: can't read version argument V");
        if (version < MIGRATE_NIL_VERSION)
                fatal(options, "error: argument V must be >= -1");
        if (migrate_force(&migrater.state, version, (int)(options->lock_timeout_s * 1000), &error) < 0)
                fatal_error(options, error);
}

static void command_version(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *line = NULL;
        int64_t version;
        bool dirty;

        open_or_die(options, &migrater);
        if (migrate_state_version(&migrater.state, &version, &dirty, &error) < 0)
                fatal_error(options, error);
        if (version == MIGRATE_NIL_VERSION)
                fatal(options, "error: no migration");
        line = xasprintf("%" PRId64 "%s", version, dirty ? " (dirty)" : "");
        print_line((void *)options, line);
}

static const struct {
        const char *name;
        void (*run)(const Options *options, char **args);
} commands[] = {
        { "create", command_create },   { "goto", command_goto }, { "up", command_up },
        { "down", command_down },       { "drop", command_drop }, { "force", command_force },
        { "version", command_version },
};

int main(int argc, char **argv)
{
        Options options = { .source = "", .path = "", .database = "", .prefetch = 10,
                            .lock_timeout_s = DEFAULT_LOCK_TIMEOUT_S, .started_ns = clock_monotonic_ns() };
        const Flag flags[] = {
                { "help", FLAG_BOOL, &options.help, "" },         { "version", FLAG_BOOL, &options.version, "" },
                { "verbose", FLAG_BOOL, &options.verbose, "" },   { "prefetch", FLAG_UINT, &options.prefetch, "" },
                { "lock-timeout", FLAG_UINT, &options.lock_timeout_s, "" }, { "path", FLAG_STRING, &options.path, "" },
                { "database", FLAG_STRING, &options.database, "" }, { "source", FLAG_STRING, &options.source, "" },
        };
        char **args = argv + 1;

        signal(SIGPIPE, SIG_IGN);
        parse_flags(NULL, flags, ARRAY_SIZE(flags), &args);
        if (options.version) {
                fprintf(stderr, "%s (berth %s)\n", COMPATIBLE_VERSION, BERTH_VERSION);
                return 0;
        }
        if (options.help) {
                print_usage();
                return 0;
        }
        for (size_t i = 0; args[0] && i < ARRAY_SIZE(commands); i++)
                if (streq(args[0], commands[i].name)) {
                        commands[i].run(&options, args + 1);
                        return 0;
                }
        print_usage();
        return 2;
}
