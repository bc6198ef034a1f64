#include "cli/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/database.h"

static char *dump_path(const Scope *scope, const ContainerInfo *info, const char *folder)
{
        time_t now = time(NULL);
        struct tm parts;
        char stamp[32] = "";

        if (gmtime_r(&now, &parts))
                strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &parts);
        return xasprintf("%s/%s-%s-%s.sql", folder, scope->name, info->service, stamp);
}

static int write_dump(const Scope *scope, const ContainerInfo *info, int fd, Error **err)
{
        _cleanup_strv_ char **command = strv_new("pg_dumpall", NULL), **argv = database_client(command);
        ExecSpec spec = { .argv = argv, .stdin_fd = -1, .stdout_fd = fd, .stderr_fd = STDERR_FILENO, .timeout_ms = -1 };
        int code = 0, r;

        r = scope->engine->operations->exec_stdio(scope->engine, info->id, &spec, &code, err);
        if (r < 0)
                return r;
        if (code != 0)
                return error_set(err, ERROR_FAILED, "pg_dumpall in container %s exited with status %d", info->name, code);
        return fsync(fd) < 0 ? error_set_errno(err, errno, "sync the dump") : 0;
}

int dump_database(const Scope *scope, const ContainerInfo *info, const char *folder, char **ret_path, Error **err)
{
        _cleanup_free_ char *path = dump_path(scope, info, folder), *partial = xasprintf("%s.partial", path);
        _cleanup_close_ int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "write \"%s\"", partial);
        r = write_dump(scope, info, fd, err);
        if (r == 0 && rename(partial, path) < 0)
                r = error_set_errno(err, errno, "rename \"%s\"", partial);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, folder, err);
        if (r < 0) {
                unlink(partial);
                return error_prefix(err, r, "dump of service \"%s\"", info->service);
        }
        *ret_path = TAKE_PTR(path);
        return 0;
}
