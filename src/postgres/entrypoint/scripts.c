#include "postgres/entrypoint/scripts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/functions.h"
#include "postgres/entrypoint/messages.h"

typedef enum FileKind { FILE_EXECUTED, FILE_SOURCED, FILE_SQL, FILE_GZIP, FILE_XZ, FILE_ZSTD, FILE_IGNORED } FileKind;

/* The locale's order is the shell's business: a static program has no locales. */
static void sort_by_locale(const char *folder, char ***names)
{
        _cleanup_free_ char *bash = process_find("bash");
        _cleanup_strv_ char **argv = strv_new("bash", "-c", "printf '%s\\001' \"$1\"/*", "initdb", folder, NULL);
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        int status = 0;

        if (!bash || child_capture(argv, &output, &status, NULL) < 0 || output.length == 0)
                return;
        strbuf_truncate(&output, output.length - 1);
        strv_free(*names);
        *names = strv_split(strbuf_text(&output), '\1');
}

int scripts_list(const char *folder, char ***ret, Error **err)
{
        _cleanup_strv_ char **names = NULL, **files = NULL;
        int r;

        r = fs_list_directory(AT_FDCWD, folder, &names, err);
        if (r < 0)
                return error_prefix(err, r, "cannot read %s", folder);
        STRV_FOREACH(name, names)
                if (**name != '.')
                        strv_addf(&files, "%s/%s", folder, *name);
        if (strv_length(files) > 1)
                sort_by_locale(folder, &files);
        if (!files)
                strv_addf(&files, "%s/*", folder);
        *ret = TAKE_PTR(files);
        return 0;
}

static FileKind kind_of(const char *path)
{
        if (endswith(path, ".sh"))
                return access(path, X_OK) == 0 ? FILE_EXECUTED : FILE_SOURCED;
        if (endswith(path, ".sql"))
                return FILE_SQL;
        if (endswith(path, ".sql.gz"))
                return FILE_GZIP;
        if (endswith(path, ".sql.xz"))
                return FILE_XZ;
        if (endswith(path, ".sql.zst"))
                return FILE_ZSTD;
        return FILE_IGNORED;
}

bool scripts_do_nothing(char *const *files)
{
        STRV_FOREACH(file, files)
                if (kind_of(*file) != FILE_IGNORED)
                        return false;
        return true;
}

static char **psql_argv(const Settings *settings, const char *database)
{
        char **argv = strv_new("psql", "-v", "ON_ERROR_STOP=1", "--username", settings->user, "--no-password",
                               "--no-psqlrc", NULL);

        if (!isempty(database)) {
                strv_add(&argv, "--dbname");
                strv_add(&argv, database);
        }
        return argv;
}

static int status_error(int status, Error **err, const char *what)
{
        return status == 0 ? 0 : error_set(err, ERROR_FAILED, "%s ended with exit status %d", what, status);
}

int scripts_create_database(const Settings *settings, char *const *environment, int *ret_status, Error **err)
{
        static const char sql[] = "SELECT pg_catalog.format('CREATE DATABASE %I', :'db') WHERE NOT EXISTS "
                                  "(SELECT FROM pg_catalog.pg_database WHERE datname = :'db') \\gexec\n";
        _cleanup_strv_ char **argv = psql_argv(settings, "postgres");
        _cleanup_close_ int fd = -1;
        Process process;
        int r;

        if (streq(settings->database, "postgres"))
                return 0;
        fd = fs_memory_file("sql", sql, strlen(sql), err);
        if (fd < 0)
                return fd;
        strv_add(&argv, "--set");
        strv_addf(&argv, "db=%s", settings->database);
        r = child_start(argv, environment, fd, STDOUT_FILENO, -1, &process, err);
        if (r == 0)
                r = child_wait(&process, ret_status, err);
        if (r == 0)
                r = status_error(*ret_status, err, "creating the database");
        say("\n");
        return r;
}

static int run_sql(const Settings *settings, const char *path, char *const *environment, int *ret_status, Error **err)
{
        _cleanup_strv_ char **argv = psql_argv(settings, settings->database);

        strv_add(&argv, "-f");
        strv_add(&argv, path);
        return child_run(argv, environment, ret_status, err);
}

/* program -dc path | psql; the pipe fails where either side fails. */
static int run_packed(const Settings *settings, const char *program, const char *path, char *const *environment,
                      int *ret_status, Error **err)
{
        _cleanup_strv_ char **unpack = strv_new(program, "-dc", path, NULL);
        _cleanup_strv_ char **psql = psql_argv(settings, settings->database);
        int fds[2], unpack_status = 0, r;
        Process unpacker, reader;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        r = child_start(unpack, environment, -1, fds[1], -1, &unpacker, err);
        fs_close(fds[1]);
        if (r < 0) {
                fs_close(fds[0]);
                return r;
        }
        r = child_start(psql, environment, fds[0], STDOUT_FILENO, -1, &reader, err);
        fs_close(fds[0]);
        if (r < 0) {
                child_kill(&unpacker);
                return r;
        }
        r = child_wait(&reader, ret_status, err);
        if (r < 0) {
                child_kill(&unpacker);
                return r;
        }
        r = child_wait(&unpacker, &unpack_status, err);
        if (r == 0 && *ret_status == 0)
                *ret_status = unpack_status;
        return r;
}

/* Sourced files share one shell with all that follow, as in the official entrypoint, so that what one sets the next
 * one sees. The shell writes a byte to descriptor 3 when a file is done: a file that ends the shell with "exit 0" ends
 * itself and nothing else. */
static int run_by_shell(const char *name, char *const *files, char *const *environment, size_t *ret_done,
                        int *ret_status, Error **err)
{
        _cleanup_free_ char *bash = process_find("bash");
        _cleanup_close_ int read_fd = -1;
        _cleanup_strv_ char **argv =
                strv_new(bash ? "bash" : "sh", "-c", functions_text(), name, "--berth-process-init-files", NULL);
        char done[64];
        Process process;
        int fds[2], r;
        ssize_t n;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        read_fd = fds[0];
        fcntl(read_fd, F_SETFL, O_NONBLOCK);
        strv_add_all(&argv, files);
        r = child_start(argv, environment, -1, STDOUT_FILENO, fds[1], &process, err);
        fs_close(fds[1]);
        if (r < 0)
                return r;
        r = child_wait(&process, ret_status, err);
        *ret_done = 0;
        /* Not to the pipe's end: something left in the background may hold it open. */
        while ((n = read(read_fd, done, sizeof(done))) > 0)
                *ret_done += (size_t)n;
        return r;
}

static int run_sourced(const char *name, char *const *files, char *const *environment, size_t *ret_done,
                       int *ret_status, Error **err)
{
        size_t n = strv_length(files);
        int r;

        r = run_by_shell(name, files, environment, ret_done, ret_status, err);
        if (r < 0 || *ret_status != 0 || *ret_done >= n)
                return r;
        say("%s: %s ended the shell that sourced it (\"exit 0\"); going on after it\n", name, files[*ret_done]);
        (*ret_done)++;
        return 0;
}

/* One file natively, or all from a sourced one on. */
static int run_next(const Settings *settings, const char *name, char *const *files, char *const *environment,
                    size_t *ret_done, int *ret_status, Error **err)
{
        const char *path = files[0];
        FileKind kind = kind_of(path);
        _cleanup_strv_ char **argv = NULL;
        int r = 0;

        *ret_done = 1;
        if (kind == FILE_SOURCED)
                return run_sourced(name, files, environment, ret_done, ret_status, err);
        say(kind == FILE_IGNORED ? "%s: ignoring %s\n" : "%s: running %s\n", name, path);
        switch (kind) {
        case FILE_EXECUTED:
                argv = strv_new(path, NULL);
                r = child_run(argv, environment, ret_status, err);
                break;
        case FILE_SQL:
                r = run_sql(settings, path, environment, ret_status, err);
                break;
        case FILE_GZIP:
                r = run_packed(settings, "gzip", path, environment, ret_status, err);
                break;
        case FILE_XZ:
                r = run_packed(settings, "xz", path, environment, ret_status, err);
                break;
        case FILE_ZSTD:
                r = run_packed(settings, "zstd", path, environment, ret_status, err);
                break;
        case FILE_SOURCED:
        case FILE_IGNORED:
                break;
        }
        if (kind != FILE_EXECUTED && kind != FILE_IGNORED)
                say("\n");
        say("\n");
        return r;
}

int scripts_run(const Settings *settings, const char *name, char *const *files, char *const *environment,
                int *ret_status, Error **err)
{
        say("\n");
        for (size_t i = 0, done; files[i]; i += done) {
                int r;

                *ret_status = 0;
                r = run_next(settings, name, files + i, environment, &done, ret_status, err);
                if (r < 0)
                        return error_prefix(err, r, "%s", files[i]);
                if (*ret_status != 0) {
                        size_t at = MIN(i + (kind_of(files[i]) == FILE_SOURCED ? done : 0), strv_length(files) - 1);
                        return status_error(*ret_status, err, files[at]);
                }
        }
        return 0;
}
