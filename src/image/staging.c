#include "image/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/index.h"

void staging_remove_leftovers(const Layout *layout)
{
        _cleanup_free_ char *folder = store_staging_path(layout);
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
                        fs_remove_tree(AT_FDCWD, path, NULL);
        }
}

/* Made and locked in one step as others see it: between mkdtemp and flock a cleaner may take the folder away. */
static int make_locked(const char *folder, Staging *ret, Error **err)
{
        for (;;) {
                _cleanup_free_ char *path = path_join(folder, "XXXXXX");
                _cleanup_close_ int fd = -1;
                struct stat status;

                if (!mkdtemp(path))
                        return error_set_errno(err, errno, "make folder in \"%s\"", folder);
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 && errno != ENOENT)
                        return error_set_errno(err, errno, "open \"%s\"", path);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &status) < 0 || status.st_nlink == 0)
                        continue;
                ret->path = TAKE_PTR(path);
                ret->fd = TAKE_FD(fd);
                return 0;
        }
}

int staging_create(const Layout *layout, Staging *ret, Error **err)
{
        _cleanup_free_ char *folder = store_staging_path(layout);
        int r = store_prepare(layout, err);

        if (r < 0)
                return r;
        staging_remove_leftovers(layout);
        return make_locked(folder, ret, err);
}

void staging_done(Staging *staging)
{
        if (staging->path)
                fs_remove_tree(AT_FDCWD, staging->path, NULL);
        free(staging->path);
        fs_close(staging->fd);
        *staging = (Staging)STAGING_INIT;
}
