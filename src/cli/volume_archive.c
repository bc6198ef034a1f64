#include "cli/volume_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/tree.h"
#include "cli/tar.h"

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
                        "all the same.");
        }
        return 0;
}

bool volume_is_empty(const VolumeInfo *info)
{
        _cleanup_strv_ char **names = NULL;

        return !info->path || fs_list_directory(AT_FDCWD, info->path, &names, NULL) < 0 || !names || !*names;
}

int volume_archive_write(const VolumeInfo *info, const char *path, Error **err)
{
        return error_prefix(err, tar_write_folder(info->path, path, err), "export volume \"%s\"", info->name);
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

        r = tool_run(argv, -1, STDIN_FILENO, -1, err);
        return error_prefix(err, r < 0 ? r : tree_sync(info->path, err), "import into volume \"%s\"", info->name);
}
