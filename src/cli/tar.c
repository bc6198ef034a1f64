#include "cli/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"

int tool_run(char *const *argv, int folder_fd, int stdin_fd, int stdout_fd, Error **err)
{
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int keep[] = { folder_fd, -1 }, status = 0, r;

        spec.argv = argv;
        spec.stdin_fd = stdin_fd;
        spec.stdout_fd = stdout_fd;
        spec.stderr_fd = STDERR_FILENO;
        spec.keep_fds = keep;
        r = process_spawn(&spec, &process, err);
        if (r >= 0)
                r = process_wait(&process, -1, &status, err);
        if (r < 0)
                return r;
        return status == 0 ? 0 : error_set(err, ERROR_FAILED, "%s ended with status %d", argv[0], status);
}

/* Into a temporary neighbour that takes the name once it is whole and synced. */
static int write_file(char *const *argv, const char *path, Error **err)
{
        _cleanup_free_ char *temporary = xasprintf("%s.part", path), *folder = path_dirname(path);
        _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", temporary);
        r = tool_run(argv, -1, -1, fd, err);
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

int tar_write_folder(const char *folder, const char *path, Error **err)
{
        char *argv[] = {
                (char *)"tar",         (char *)"--create", (char *)"--file=-", (char *)"--numeric-owner",
                (char *)"--xattrs",    (char *)"--acls",   (char *)"--sparse", (char *)"--warning=no-file-ignored",
                (char *)"--directory", (char *)folder,     (char *)".",        NULL
        };

        if (!streq(path, "-"))
                return write_file(argv, path, err);
        if (isatty(STDOUT_FILENO))
                return error_hint(err, error_set(err, ERROR_USAGE, "an archive is not for a terminal"),
                                  "Write > FILE, or --output FILE.");
        return tool_run(argv, -1, -1, STDOUT_FILENO, err);
}
