/* berth-migrate: golang-migrate's command line (as the image migrate/migrate has it) on libpq. Everything is said on
 * stderr, in its words. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "postgres/migrate/create.h"
#include "postgres/migrate/flags.h"
#include "postgres/migrate/output.h"
#include "postgres/migrate/role.h"
#include "postgres/migrate/seed.h"

#define COMPATIBLE_VERSION     "4.18.3"
#define DEFAULT_LOCK_TIMEOUT_S 15
#define PASSWORD_LIMIT         ((size_t)1024 * 1024)

typedef struct Options {
        Output output;
        const char *source, *path, *database, *format, *role;
        int64_t prefetch, lock_timeout_s, password_fd, role_password_fd;
        bool version, help, history;
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

static _noreturn_ void fatal_error(const Options *options, const Error *error)
{
        output_error(&options->output, error);
        exit(1);
}

/* "error: …" is an error; other texts are only said. */
static _noreturn_ void fatal(const Options *options, const char *text)
{
        const char *message = startswith(text, "error: ");
        Error error = { .kind = ERROR_USAGE, .message = (char *)message };

        if (message)
                fatal_error(options, &error);
        output_line(&options->output, text);
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
              "  -format F        text, or json: an object a line on standard output (not golang-migrate's)\n"
              "  -role ROLE       Go on as this role after the login (not golang-migrate's)\n"
              "  -history         Note in berth.migrations what is applied (not golang-migrate's)\n"
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
              "  status       List what is applied and what is not (not golang-migrate's)\n"
              "  seed DIR     Run every *.sql of a folder, each in a transaction (not golang-migrate's)\n"
              "  up, down and goto take -dry-run: print what would run (not golang-migrate's)\n"
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

static int read_password(int64_t fd, Strbuf *ret, Error **err)
{
        return fd < 0 ? 0 : error_prefix(err, fs_read_fd((int)fd, PASSWORD_LIMIT, ret, err), "read the password");
}

static int assume_role(const Options *options, Migrater *migrater, Error **err)
{
        _cleanup_strbuf_ Strbuf password = STRBUF_INIT;
        MigrateLog log = output_log(&options->output);
        int r = read_password(options->role_password_fd, &password, err);

        if (r == 0)
                r = migrate_role_assume(&migrater->state, &migrater->url, options->role, strbuf_text(&password), &log,
                                        err);
        strbuf_erase(&password);
        return r;
}

static int open_database(const Options *options, Migrater *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf password = STRBUF_INIT;
        int r = database_url_parse(options->database, &ret->url, err);

        if (r == 0)
                r = read_password(options->password_fd, &password, err);
        if (r == 0 && password.length)
                database_url_set_password(&ret->url, strbuf_text(&password));
        strbuf_erase(&password);
        if (r < 0)
                return r;
        ret->state.stop = &stop_signals;
        r = migrate_state_open(&ret->url, &ret->state, err);
        return r < 0 || !*options->role ? r : assume_role(options, ret, err);
}

static int migrater_open(const Options *options, Migrater *ret, Error **err)
{
        _cleanup_free_ char *url = NULL, *folder = NULL;
        int r;

        url = *options->source ? xstrdup(options->source)
              : *options->path ? xasprintf("file://%s", options->path)
                               : xstrdup("");
        r = migration_source_folder_of_url(url, &folder, err);
        if (r == 0 && !*options->database)
                r = error_set(err, ERROR_INVALID, "failed to parse scheme from database URL: URL cannot be empty");
        if (r < 0)
                return r;
        r = migration_source_open(folder, &ret->source, err);
        if (r < 0)
                return error_prefix(err, r, "failed to open source, \"%s\"", url);
        return open_database(options, ret, err);
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
        MigrateLog log = output_log(&options->output);
        _cleanup_error_ Error *error = NULL;

        request->lock_timeout_ms = (int)(options->lock_timeout_s * 1000);
        request->multi_statement = migrater->url.multi_statement;
        request->history = options->history;
        if (migrate_run(&migrater->state, &migrater->source, request, &log, &error) < 0)
                fatal_error(options, error);
        if (options->output.verbose) {
                _cleanup_free_ char *duration = format_duration(clock_monotonic_ns() - options->started_ns);
                _cleanup_free_ char *line = xasprintf("Finished after %s", duration);
                output_line(&options->output, line);
        }
}

static bool ask(const Options *options, const char *question)
{
        char answer[64] = "", *start = answer;

        output_line(&options->output, question);
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
                output_line(&options->output, *path);
        if (r < 0)
                fatal_error(options, error);
}

static void command_goto(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        MigrateRequest request = { .command = MIGRATE_GOTO };
        int64_t version;
        const Flag flags[] = { { "dry-run", FLAG_BOOL, &request.dry_run, "Print what would run" } };

        parse_flags("goto", flags, ARRAY_SIZE(flags), &args);
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
                output_line(&options->output, "Applying all down migrations");
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
                output_line(&options->output, "Dropping the entire database schema");
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
        int64_t version;
        bool dirty;

        open_or_die(options, &migrater);
        if (migrate_state_version(&migrater.state, &version, &dirty, &error) < 0)
                fatal_error(options, error);
        if (version == MIGRATE_NIL_VERSION && !options->output.json)
                fatal(options, "error: no migration");
        output_version(&options->output, version, dirty);
}

/* What ret holds is borrowed from history. */
static int read_status(Migrater *migrater, MigrationHistory *history, MigrationStatuses *ret, Error **err)
{
        int64_t version;
        bool dirty;
        int r = migrate_state_version(&migrater->state, &version, &dirty, err);

        if (r == 0)
                r = migration_history_load(&migrater->state, history, err);
        if (r == 0)
                r = migration_status(&migrater->source, history, version, dirty, ret, err);
        return r;
}

static void command_status(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        _cleanup_migration_history_ MigrationHistory history = { 0 };
        _cleanup_error_ Error *error = NULL;
        MigrationStatuses statuses = { 0 };

        open_or_die(options, &migrater);
        if (read_status(&migrater, &history, &statuses, &error) < 0)
                fatal_error(options, error);
        output_status(&options->output, &statuses);
        vector_done(&statuses);
}

static void command_seed(const Options *options, char **args)
{
        _cleanup_(migrater_done) Migrater migrater = { 0 };
        MigrateLog log = output_log(&options->output);
        _cleanup_error_ Error *error = NULL;

        if (!args[0] || args[1])
                fatal(options, "error: please specify the folder of the seeds");
        watch_signals();
        if (open_database(options, &migrater, &error) < 0 ||
            seed_run(&migrater.state, args[0], (int)(options->lock_timeout_s * 1000), &log, &error) < 0)
                fatal_error(options, error);
}

static const struct {
        const char *name;
        void (*run)(const Options *options, char **args);
} commands[] = {
        { "create", command_create },   { "goto", command_goto },     { "up", command_up },
        { "down", command_down },       { "drop", command_drop },     { "force", command_force },
        { "version", command_version }, { "status", command_status }, { "seed", command_seed },
};

int main(int argc, char **argv)
{
        Options options = { .source = "",
                            .path = "",
                            .database = "",
                            .format = "text",
                            .role = "",
                            .prefetch = 10,
                            .password_fd = -1,
                            .role_password_fd = -1,
                            .lock_timeout_s = DEFAULT_LOCK_TIMEOUT_S,
                            .started_ns = clock_monotonic_ns() };
        const Flag flags[] = {
                { "help", FLAG_BOOL, &options.help, "" },
                { "version", FLAG_BOOL, &options.version, "" },
                { "verbose", FLAG_BOOL, &options.output.verbose, "" },
                { "prefetch", FLAG_UINT, &options.prefetch, "" },
                { "lock-timeout", FLAG_UINT, &options.lock_timeout_s, "" },
                { "path", FLAG_STRING, &options.path, "" },
                { "database", FLAG_STRING, &options.database, "" },
                { "source", FLAG_STRING, &options.source, "" },
                { "format", FLAG_STRING, &options.format, "" },
                { "history", FLAG_BOOL, &options.history, "" },
                { "password-fd", FLAG_INT, &options.password_fd, "" },
                { "role", FLAG_STRING, &options.role, "" },
                { "role-password-fd", FLAG_INT, &options.role_password_fd, "" },
        };
        char **args = argv + 1;

        signal(SIGPIPE, SIG_IGN);
        parse_flags(NULL, flags, ARRAY_SIZE(flags), &args);
        if (!streq(options.format, "text") && !streq(options.format, "json"))
                fatal(&options, "error: -format is text or json");
        options.output.json = streq(options.format, "json");
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
