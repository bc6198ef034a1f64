#include "cli/volume_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/tree.h"

int check_not_running(Engine *engine, const VolumeInfo *info, bool force, Error **err)
{
        if (force)
                return 0;
        STRV_FOREACH(name, info->used_by) {
                _cleanup_(container_info_freep) ContainerInfo *user = NULL;

                if (engine->operations->container_inspect(engine, *name, &user, NULL) < 0)
                        continue;
                if (user->state != CONTAINER_RUNNING && user->state != CONTAINER_PAUSED)
                        continue;
                return error_hint(
                        err,
                        error_set(err, ERROR_CONFLICT, "volume \"%s\" is in use by %s, which runs", info->name, *name),
                        "Stop it first: files that change while they are copied make a broken archive. --force does it "
                        "all the "
                        "same.");
        }
        return 0;
}

bool volume_is_empty(const VolumeInfo *info)
{
        _cleanup_strv_ char **names = NULL;

        return !info->path || fs_list_directory(AT_FDCWD, info->path, &names, NULL) < 0 || !names || !*names;
}

static int run_tar(char *const *argv, int stdin_fd, int stdout_fd, Error **err)
{
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int status, r;

        spec.argv = argv;
        spec.stdin_fd = stdin_fd;
        spec.stdout_fd = stdout_fd;
        spec.stderr_fd = STDERR_FILENO;
        r = process_spawn(&spec, &process, err);
        if (r < 0)
                return r;
        r = process_wait(&process, -1, &status, err);
        if (r < 0)
                return r;
        return status == 0 ? 0 : error_set(err, ERROR_FAILED, "tar ended with status %d", status);
}

/* Into a temporary neighbour that takes the name once it is whole and synced. */
static int write_file(char *const *argv, const char *path, Error **err)
{
        _cleanup_free_ char *temporary = xasprintf("%s.part", path), *folder = path_dirname(path);
        _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", temporary);
        r = run_tar(argv, -1, fd, err);
        if (r >= 0 && fsync(fd) < 0)
                r = error_set_errno(err, errno, "sync \"%s\"", temporary);
        if (r >= 0 && rename(temporary, path) < 0)
                r = error_set_errno(err, errno, "rename \"%s\"", temporary);
        if (r < 0) {
                unlink(temporary);
                return r;
        }
        return fs_sync_directory(AT_FDCWD, folder, err);
}

int volume_archive_write(const VolumeInfo *info, const char *path, Error **err)
{
        char *argv[] = {
                (char *)"tar",         (char *)"--create", (char *)"--file=-", (char *)"--numeric-owner",
                (char *)"--xattrs",    (char *)"--acls",   (char *)"--sparse", (char *)"--warning=no-file-ignored",
                (char *)"--directory", info->path,         (char *)".",        NULL
        };
        int r;

        if (!streq(path, "-"))
                r = write_file(argv, path, err);
        else if (isatty(STDOUT_FILENO))
                return error_hint(err, error_set(err, ERROR_USAGE, "an archive is not for a terminal"),
                                  "Write > FILE, or --output FILE.");
        else
                r = run_tar(argv, -1, STDOUT_FILENO, err);
        return error_prefix(err, r, "export volume \"%s\"", info->name);
}

int volume_archive_read(const VolumeInfo *info, const char *path, Error **err)
{
        _cleanup_free_ char *file = xasprintf("--file=%s", path);
        char *argv[] = { (char *)"tar",
                         (char *)"--extract",
                         file,
                         (char *)"--numeric-owner",
                         (char *)"--xattrs",
                         (char *)"--acls",
                         (char *)"--same-owner",
                         (char *)"--preserve-permissions",
                         (char *)"--directory",
                         info->path,
                         NULL };
        int r;

        r = run_tar(argv, STDIN_FILENO, -1, err);
        return error_prefix(err, r < 0 ? r : tree_sync(info->path, err), "import into volume \"%s\"", info->name);
}
