#include "operate/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/dump_private.h"
#include "operate/login.h"
#include "operate/sql.h"

#define ITSELF    "/proc/self/fd/0" /* the dump, which is the program's standard input */
#define HEAD_SIZE 512
#define TAIL_SIZE 1024

typedef enum DumpKind { KIND_ARCHIVE, KIND_FOLDER, KIND_SCRIPT } DumpKind;

/* A script that was cut between two statements would be taken for a whole one. */
static int check_end(const LoadDumpOptions *options, int fd, off_t size, Error **err)
{
        char tail[TAIL_SIZE];
        ssize_t n = pread(fd, tail, sizeof(tail), MAX(size - TAIL_SIZE, (off_t)0));

        if (n < 0)
                return error_set_errno(err, errno, "read \"%s\"", options->path);
        if (dump_check_script(tail, (size_t)n, NULL) == 0)
                return 0;
        return error_set(err, ERROR_CORRUPT, "the end is missing of \"%s\": pg_dump's last line is not there",
                         options->path);
}

static int find_kind(const LoadDumpOptions *options, int fd, DumpKind *ret, Error **err)
{
        static const char cluster[] = "PostgreSQL database cluster dump", archive[] = "PGDMP",
                          database[] = "-- PostgreSQL database dump";
        char head[HEAD_SIZE];
        struct stat status;
        ssize_t n;

        if (fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "look at \"%s\"", options->path);
        if (S_ISDIR(status.st_mode)) {
                *ret = KIND_FOLDER;
                if (faccessat(fd, "toc.dat", F_OK, 0) == 0)
                        return 0;
                return error_hint(err,
                                  error_set(err, ERROR_INVALID,
                                            "\"%s\" is no dump in the directory format: it has no toc.dat",
                                            options->path),
                                  "A folder of --all holds a dump of each database: name one of those.");
        }
        n = pread(fd, head, sizeof(head), 0);
        if (n <= 0)
                return error_set(err, ERROR_INVALID, "\"%s\" is empty", options->path);
        if (memmem(head, (size_t)n, cluster, strlen(cluster)))
                return error_hint(err, error_set(err, ERROR_UNSUPPORTED, "\"%s\" is of a whole cluster", options->path),
                                  "Its roles and databases may be there already, so it cannot stop at an error: "
                                  "\"berth psql < FILE\" runs it, and what it says must be read.");
        *ret = (size_t)n >= strlen(archive) && memcmp(head, archive, strlen(archive)) == 0 ? KIND_ARCHIVE : KIND_SCRIPT;
        if (*ret == KIND_SCRIPT && memchr(head, '\0', (size_t)n))
                return error_set(err, ERROR_INVALID, "\"%s\" is neither SQL nor an archive of pg_dump", options->path);
        return *ret == KIND_SCRIPT && memmem(head, (size_t)n, database, strlen(database))
                       ? check_end(options, fd, status.st_size, err)
                       : 0;
}

static int check_options(const LoadDumpOptions *options, DumpKind kind, Error **err)
{
        if (kind == KIND_SCRIPT && (options->clean || options->no_owner || options->jobs > 1))
                return error_hint(err,
                                  error_set(err, ERROR_USAGE,
                                            "SQL is run as it is: without --clean, --no-owner and several jobs"),
                                  "Dump with -F custom or -F directory for these.");
        return 0;
}

static char **command_of(const LoadDumpOptions *options, DumpKind kind, const char *database)
{
        char **argv;

        if (kind == KIND_SCRIPT) {
                argv = strv_new("psql", "-Xqw", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null",
                                "--file=-", NULL);
                strv_addf(&argv, "--dbname=%s", database);
                return argv;
        }
        argv = strv_new("pg_restore", "--no-password", "--exit-on-error", NULL);
        strv_addf(&argv, "--dbname=%s", database);
        if (options->jobs > 1)
                strv_addf(&argv, "--jobs=%d", options->jobs);
        else
                strv_add(&argv, "--single-transaction");
        if (options->clean) {
                strv_add(&argv, "--clean");
                strv_add(&argv, "--if-exists");
        }
        if (options->no_owner)
                strv_add(&argv, "--no-owner");
        strv_add(&argv, ITSELF);
        return argv;
}

static int change_database(const LoadDumpOptions *options, const char *verb, const char *database, Error **err)
{
        _cleanup_free_ char *name = sql_identifier(database), *sql = xasprintf("%s DATABASE %s;\n", verb, name);

        return sql_run(options->engine, options->container, NULL, sql, NULL, err);
}

static int load_into(const LoadDumpOptions *options, const EngineProgress *progress, const char *database,
                     DumpKind kind, int fd, Error **err)
{
        const DumpOptions common = { .engine = options->engine, .container = options->container };
        DumpRun run = { .options = &common, .progress = progress };
        _cleanup_strv_ char **argv = command_of(options, kind, database);
        int r = sql_find_way(options->engine, options->container, database, &run.environment, err);

        if (r == 0)
                r = dump_program(&run, argv, fd, -1, err);
        strv_free(run.environment);
        if (r == -ERROR_FAILED && err && *err && strstr((*err)->message, "role \"") &&
            strstr((*err)->message, "does not exist"))
                error_hint(err, r, "Make the roles first (dump --roles writes them), or load with --no-owner.");
        /* A plan for tables without statistics is a bad one; a load is not less for it. */
        if (r == 0)
                sql_run(options->engine, options->container, database, "ANALYZE;\n", NULL, NULL);
        return r;
}

int load_dump(const LoadDumpOptions *options, const EngineProgress *progress, Error **err)
{
        _cleanup_close_ int fd = open(options->path, O_RDONLY | O_CLOEXEC);
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        const char *database;
        DumpKind kind;
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "read \"%s\"", options->path);
        r = find_kind(options, fd, &kind, err);
        if (r == 0)
                r = check_options(options, kind, err);
        if (r < 0)
                return r;
        database_login_of(options->container, &login);
        database = options->database ? options->database : login.database;
        r = options->create ? change_database(options, "CREATE", database, err) : 0;
        if (r < 0)
                return r;
        r = load_into(options, progress, database, kind, fd, err);
        if (r < 0 && options->create)
                change_database(options, "DROP", database, NULL);
        return r;
}
