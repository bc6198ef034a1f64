#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/dump_private.h"

#define SUFFIX        ".berth-dump"
#define TELL_EVERY_MS 200
#define TRIES         5

/* A folder that could be locked belongs to nobody any more; the lock stays with *ret_fd. */
static bool lock_folder(const char *path, int *ret_fd)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat locked, named;

        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &locked) < 0 || stat(path, &named) < 0 ||
            locked.st_ino != named.st_ino || locked.st_dev != named.st_dev)
                return false;
        *ret_fd = fd;
        fd = -1;
        return true;
}

static void remove_leftovers(const char *parent)
{
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, parent, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_close_ int fd = -1;
                _cleanup_free_ char *path = path_join(parent, *name);

                if (**name == '.' && endswith(*name, SUFFIX) && lock_folder(path, &fd))
                        fs_remove_tree(AT_FDCWD, path, NULL);
        }
}

int dump_staging_open(const char *target, DumpStaging *ret, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(target);

        remove_leftovers(parent);
        ret->path = xasprintf("%s/.%s" SUFFIX, parent, path_basename(target));
        for (int i = 0; i < TRIES; i++) {
                if (mkdir(ret->path, 0700) == 0 && lock_folder(ret->path, &ret->fd))
                        return 0;
                if (!fs_is_directory(ret->path)) {
                        int r = error_set_errno(err, errno, "make \"%s\"", ret->path);
                        free_and_replace(&ret->path, NULL);
                        return r;
                }
                remove_leftovers(parent);
        }
        free_and_replace(&ret->path, NULL); /* not ours to remove */
        return error_set(err, ERROR_CONFLICT, "another dump writes \"%s\" now", target);
}

static void *watch(void *argument)
{
        DumpStaging *staging = argument;
        struct pollfd poller = { .fd = staging->stop_fd, .events = POLLIN };

        while (poll(&poller, 1, TELL_EVERY_MS) == 0)
                staging->progress->bytes(staging->progress->context, staging->what, fs_disk_usage(staging->path), 0);
        return NULL;
}

void dump_staging_watch(DumpStaging *staging, const EngineProgress *progress, const char *what)
{
        if (!progress->bytes)
                return;
        staging->progress = progress;
        staging->what = what;
        staging->stop_fd = eventfd(0, EFD_CLOEXEC);
        staging->watched = staging->stop_fd >= 0 && pthread_create(&staging->watcher, NULL, watch, staging) == 0;
}

int dump_staging_file(const DumpStaging *staging, const char *name, Error **err)
{
        int fd = openat(staging->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 ? error_set_errno(err, errno, "write \"%s/%s\"", staging->path, name) : fd;
}

void dump_staging_close(DumpStaging *staging)
{
        if (staging->watched) {
                eventfd_write(staging->stop_fd, 1);
                pthread_join(staging->watcher, NULL);
        }
        if (staging->path)
                fs_remove_tree(AT_FDCWD, staging->path, NULL);
        fs_close(staging->stop_fd);
        fs_close(staging->fd);
        free(staging->path);
        *staging = (DumpStaging)DUMP_STAGING_INIT;
}
