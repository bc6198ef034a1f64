#include "operate/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/dump_private.h"
#include "operate/login.h"
#include "operate/sql.h"

#define TAIL_SIZE  1024 /* holds the last line of a script, which names its end */
#define ROLES_NAME "roles.sql"

void dump_result_done(DumpResult *result)
{
        free(result->path);
        free(result->roles_path);
        *result = (DumpResult){ 0 };
}

bool dump_format_parse(const char *word, DumpFormat *ret)
{
        static const struct {
                const char *word, *letter;
        } formats[] = { [DUMP_CUSTOM] = { "custom", "c" },
                        [DUMP_DIRECTORY] = { "directory", "d" },
                        [DUMP_PLAIN] = { "plain", "p" } };

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (streq(word, formats[i].word) || streq(word, formats[i].letter)) {
                        *ret = (DumpFormat)i;
                        return true;
                }
        return false;
}

bool dump_is_folder(const DumpOptions *options)
{
        return options->format == DUMP_DIRECTORY || (options->all && options->format != DUMP_PLAIN);
}

static const char *extension_of(DumpFormat format)
{
        return format == DUMP_CUSTOM ? ".dump" : format == DUMP_PLAIN ? ".sql" : "";
}

/* A database's name as a file's: '/' and '%' and a dot at the start as %XX. */
static char *file_name_of(const char *database)
{
        Strbuf name = STRBUF_INIT;

        for (const char *c = database; *c; c++)
                if (*c == '/' || *c == '%' || (*c == '.' && c == database))
                        strbuf_addf(&name, "%%%02X", (unsigned char)*c);
                else
                        strbuf_addc(&name, *c);
        return strbuf_take(&name);
}

static char *default_name(const DumpRun *run)
{
        const DumpOptions *options = run->options;
        const ContainerInfo *info = options->container;
        _cleanup_free_ char *database = options->all ? NULL : file_name_of(run->database);
        time_t now = time(NULL);
        struct tm parts;
        char stamp[32] = "";

        if (gmtime_r(&now, &parts))
                strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &parts);
        return xasprintf("%s-%s%s%s-%s%s", info->project ? info->project : "berth",
                         info->service ? info->service : info->name, database ? "-" : "", database ? database : "",
                         stamp, dump_is_folder(options) ? "" : extension_of(options->format));
}

static char *resolve_path(const DumpRun *run, const char *path)
{
        _cleanup_free_ char *here = getcwd(NULL, 0), *clean = path_clean(here ? here : "/", path ? path : ".");
        _cleanup_free_ char *name = NULL;

        if (!fs_is_directory(clean))
                return TAKE_PTR(clean);
        name = default_name(run);
        return path_join(clean, name);
}

/* ---- into the staging folder ---- */

static int read_tail(int fd, char tail[TAIL_SIZE], size_t *ret_length, Error **err)
{
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t n = size < 0 ? -1 : pread(fd, tail, TAIL_SIZE, MAX(size - TAIL_SIZE, (off_t)0));

        *ret_length = n > 0 ? (size_t)n : 0;
        return n < 0 ? error_set_errno(err, errno, "read back what was written") : 0;
}

/* Synced, and for a script whole to its last line. */
static int finish_file(int fd, bool is_script, Error **err)
{
        char tail[TAIL_SIZE];
        size_t length = 0;
        int r = is_script ? read_tail(fd, tail, &length, err) : 0;

        if (r == 0 && is_script)
                r = dump_check_script(tail, length, err);
        if (r == 0 && fsync(fd) < 0)
                r = error_set_errno(err, errno, "sync the dump");
        return r;
}

static int write_roles(const DumpRun *run, const DumpStaging *staging, const char *name, Error **err)
{
        _cleanup_close_ int fd = dump_staging_file(staging, name, err);
        int r = fd < 0 ? fd : dump_cluster(run, true, fd, err);

        return r < 0 ? r : finish_file(fd, true, err);
}

static int write_database(const DumpRun *run, const DumpStaging *staging, const char *database, const char *name,
                          Error **err)
{
        bool archive = run->options->format != DUMP_PLAIN;
        _cleanup_close_ int fd = -1;
        int r;

        if (run->options->format == DUMP_DIRECTORY) {
                r = dump_one(run, database, name, staging->fd, -1, err);
        } else {
                fd = dump_staging_file(staging, name, err);
                r = fd < 0 ? fd : dump_one(run, database, NULL, -1, fd, err);
                if (r == 0)
                        r = finish_file(fd, !archive, err);
        }
        return r < 0 || !archive ? r : dump_check_archive(run, name, staging->fd, err);
}

static int write_each(const DumpRun *run, const DumpStaging *staging, Error **err)
{
        _cleanup_strv_ char **databases = NULL;
        int r = dump_list_databases(run, &databases, err);

        STRV_FOREACH(database, databases) {
                _cleanup_free_ char *plain = file_name_of(*database);
                _cleanup_free_ char *name = xasprintf("dump/%s%s", plain, extension_of(run->options->format));

                if (r == 0)
                        r = error_prefix(err, write_database(run, staging, *database, name, err), "database \"%s\"",
                                         *database);
        }
        return r;
}

/* Under the name "dump", and the roles beside it as "roles.sql", or in it where it is a folder. */
static int write_all(const DumpRun *run, const DumpStaging *staging, Error **err)
{
        const DumpOptions *options = run->options;
        _cleanup_close_ int fd = -1;
        int r = 0;

        if (options->all && dump_is_folder(options)) {
                if (mkdirat(staging->fd, "dump", 0700) < 0)
                        return error_set_errno(err, errno, "make \"%s/dump\"", staging->path);
                r = write_each(run, staging, err);
                return r < 0 ? r : write_roles(run, staging, "dump/" ROLES_NAME, err);
        }
        if (options->all) {
                fd = dump_staging_file(staging, "dump", err);
                r = fd < 0 ? fd : dump_cluster(run, false, fd, err);
                return r < 0 ? r : finish_file(fd, true, err);
        }
        r = write_database(run, staging, run->database, "dump", err);
        if (r == 0 && options->roles)
                r = write_roles(run, staging, dump_is_folder(options) ? "dump/" ROLES_NAME : ROLES_NAME, err);
        return r;
}

/* ---- into place ---- */

static int check_target(const DumpOptions *options, const char *path, Error **err)
{
        if (fs_is_directory(path) || (dump_is_folder(options) && fs_exists(path)))
                return error_hint(err, error_set(err, ERROR_EXISTS, "\"%s\" exists", path), "Name a new one with -o.");
        return 0;
}

static int move(const DumpStaging *staging, const char *name, const char *path, Error **err)
{
        return renameat(staging->fd, name, AT_FDCWD, path) < 0
                       ? error_set_errno(err, errno, "move the dump to \"%s\"", path)
                       : 0;
}

static int put_in_place(const DumpOptions *options, const DumpStaging *staging, const char *path, DumpResult *ret,
                        Error **err)
{
        _cleanup_free_ char *parent = path_dirname(path), *written = path_join(staging->path, "dump"), *roles = NULL;
        struct stat status;
        int r = dump_is_folder(options) ? fs_sync_directory(AT_FDCWD, written, err) : 0;

        if (options->roles && !options->all && !dump_is_folder(options))
                roles = xasprintf("%s." ROLES_NAME, path);
        if (r == 0)
                ret->size_bytes = dump_is_folder(options)       ? fs_disk_usage(written)
                                  : stat(written, &status) == 0 ? (uint64_t)status.st_size
                                                                : 0;
        if (r == 0 && roles)
                r = move(staging, ROLES_NAME, roles, err);
        if (r == 0)
                r = move(staging, "dump", path, err);
        if (r < 0 && roles)
                unlink(roles);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, parent, err);
        if (r < 0)
                return r;
        ret->path = xstrdup(path);
        ret->roles_path = TAKE_PTR(roles);
        return 0;
}

/* ---- the calls ---- */

static void run_done(DumpRun *run)
{
        strv_free(run->environment);
        free(run->database);
}

static int run_open(const DumpOptions *options, const EngineProgress *progress, DumpRun *ret, Error **err)
{
        _cleanup_database_login_ DatabaseLogin login = { 0 };

        *ret = (DumpRun){ .options = options, .progress = progress };
        database_login_of(options->container, &login);
        ret->database = xstrdup(options->database ? options->database : login.database);
        return sql_find_way(options->engine, options->container, options->all ? NULL : ret->database, &ret->environment,
                            err);
}

int dump_to_path(const DumpOptions *options, const char *path, const EngineProgress *progress, DumpResult *ret,
                 Error **err)
{
        _cleanup_(run_done) DumpRun run = { 0 };
        /* Closed before the run is done: its watcher reads the run's texts. */
        _cleanup_dump_staging_ DumpStaging staging = DUMP_STAGING_INIT;
        _cleanup_free_ char *target = NULL;
        int r = run_open(options, progress, &run, err);

        if (r < 0)
                return r;
        target = resolve_path(&run, path);
        r = check_target(options, target, err);
        if (r == 0)
                r = dump_staging_open(target, &staging, err);
        if (r < 0)
                return r;
        dump_staging_watch(&staging, progress, run.database);
        r = write_all(&run, &staging, err);
        return r < 0 ? r : put_in_place(options, &staging, target, ret, err);
}

/* ---- as a stream ---- */

typedef struct Relay {
        int read_fd, write_fd;
        char tail[2 * TAIL_SIZE];
        size_t tail_length;
        uint64_t size_bytes;
        Error *error;
} Relay;

static void keep_tail(Relay *relay, const char *data, size_t length)
{
        size_t taken = MIN(length, (size_t)TAIL_SIZE), kept = MIN(relay->tail_length, (size_t)TAIL_SIZE);

        memmove(relay->tail, relay->tail + relay->tail_length - kept, kept);
        memcpy(relay->tail + kept, data + length - taken, taken);
        relay->tail_length = kept + taken;
}

/* Until the program closes its output. Where nobody takes the data any more, the program gets a broken pipe. */
static void *relay_output(void *argument)
{
        Relay *relay = argument;
        char chunk[65536];

        for (;;) {
                ssize_t n = read(relay->read_fd, chunk, sizeof(chunk));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                keep_tail(relay, chunk, (size_t)n);
                relay->size_bytes += (uint64_t)n;
                if (fs_write_all(relay->write_fd, chunk, (size_t)n, &relay->error) < 0)
                        break;
        }
        relay->read_fd = fs_close(relay->read_fd);
        return NULL;
}

static int run_relayed(const DumpRun *run, Relay *relay, Error **err)
{
        const DumpOptions *options = run->options;
        _cleanup_close_ int write_fd = -1;
        pthread_t thread;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        relay->read_fd = fds[0];
        write_fd = fds[1];
        r = pthread_create(&thread, NULL, relay_output, relay);
        if (r != 0) {
                relay->read_fd = fs_close(relay->read_fd);
                return error_set_errno(err, r, "start a thread");
        }
        r = options->all ? dump_cluster(run, false, write_fd, err)
                         : dump_one(run, run->database, NULL, -1, write_fd, err);
        write_fd = fs_close(write_fd);
        pthread_join(thread, NULL);
        return r;
}

int dump_to_stream(const DumpOptions *options, int fd, const EngineProgress *progress, DumpResult *ret, Error **err)
{
        _cleanup_(run_done) DumpRun run = { 0 };
        Relay relay = { .write_fd = fd };
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (dump_is_folder(options) || options->roles)
                return error_hint(err, error_set(err, ERROR_USAGE, "only one file can go to standard output"),
                                  "Leave -o away, or take -F plain --all, which has the roles in it.");
        r = run_open(options, progress, &run, err);
        if (r == 0)
                r = run_relayed(&run, &relay, &reason);
        if (relay.error) /* the cause, whatever the program says of its end */
                return error_prefix(err, error_move(err, &relay.error, -(int)relay.error->kind), "standard output");
        if (r < 0)
                return reason ? error_move(err, &reason, r) : r;
        if (options->format == DUMP_PLAIN)
                r = dump_check_script(relay.tail, relay.tail_length, err);
        ret->size_bytes = relay.size_bytes;
        return r;
}
