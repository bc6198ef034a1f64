#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/strv.h"

/* They wait for the disk, not for a processor; so many waits share the journal's commits. */
#define SYNC_THREADS 16

static int walk(int root_fd, const char *folder, TreeVisitor visitor, void *context, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(root_fd, *folder ? folder : ".", &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = *folder ? path_join(folder, *name) : xstrdup(*name);
                struct stat status;

                if (fstatat(root_fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                        continue; /* it went meanwhile */
                if (fstatat(root_fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_set_errno(err, errno, "stat \"%s\"", path);
                r = visitor(context, path, &status, err);
                if (r == 0 && S_ISDIR(status.st_mode))
                        r = walk(root_fd, path, visitor, context, err);
                if (r < 0)
                        return r;
        }
        return r;
}

int tree_walk(int root_fd, TreeVisitor visitor, void *context, Error **err)
{
        return walk(root_fd, "", visitor, context, err);
}

/* ---- making durable ---- */

typedef struct Syncing {
        int root_fd;
        char **paths;
        size_t n_paths, capacity;
        bool some_closed; /* to us: then the file system is synced as a whole */
} Syncing;

static int note_path(void *context, const char *path, const struct stat *status, Error **err)
{
        Syncing *syncing = context;

        if (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode))
                return 0;
        if (syncing->n_paths == syncing->capacity) {
                syncing->capacity = syncing->capacity ? 2 * syncing->capacity : 1024;
                syncing->paths = xreallocarray(syncing->paths, syncing->capacity, sizeof(char *));
        }
        syncing->paths[syncing->n_paths++] = xstrdup(path);
        return 0;
}

static int open_noted(Syncing *syncing, size_t index, int *ret_fd)
{
        *ret_fd = openat(syncing->root_fd, syncing->paths[index], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (*ret_fd >= 0)
                return 0;
        if (errno == EACCES || errno == EPERM)
                __atomic_store_n(&syncing->some_closed, true, __ATOMIC_RELAXED);
        return errno == EACCES || errno == EPERM || errno == ENOENT ? 0 : errno;
}

/* All data is on its way before anything is waited for. */
static int begin_writing(void *context, size_t index)
{
        _cleanup_close_ int fd = -1;
        int failure = open_noted(context, index, &fd);

        if (fd >= 0)
                sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint: fsync reports */
        return failure;
}

static int wait_written(void *context, size_t index)
{
        _cleanup_close_ int fd = -1;
        int failure = open_noted(context, index, &fd);

        return fd >= 0 && fsync(fd) < 0 ? errno : failure;
}

static int sync_noted(Syncing *syncing, const char *root, Error **err)
{
        size_t failed = 0;
        int failure = parallel_try(syncing->n_paths, SYNC_THREADS, begin_writing, syncing, &failed);

        if (!failure)
                failure = parallel_try(syncing->n_paths, SYNC_THREADS, wait_written, syncing, &failed);
        if (failure)
                return error_set_errno(err, failure, "sync \"%s/%s\"", root, syncing->paths[failed]);
        if (fsync(syncing->root_fd) < 0 || (syncing->some_closed && syncfs(syncing->root_fd) < 0))
                return error_set_errno(err, errno, "sync \"%s\"", root);
        return 0;
}

int tree_sync(const char *root, Error **err)
{
        _cleanup_close_ int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Syncing syncing = { .root_fd = root_fd };
        int r;

        if (root_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", root);
        r = tree_walk(root_fd, note_path, &syncing, err);
        if (r == 0)
                r = sync_noted(&syncing, root, err);
        for (size_t i = 0; i < syncing.n_paths; i++)
                free(syncing.paths[i]);
        free(syncing.paths);
        return r;
}
