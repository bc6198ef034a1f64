#include "postgres/entrypoint/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/tree.h"

#define MOST_THREADS 8
#define BUFFER_SIZE  ((size_t)128 * 1024)

typedef struct Copier {
        int source_fd, target_fd;
        char **files; /* relative paths */
        size_t n_files, capacity;
} Copier;

/* Folders at once, files noted for later. */
static int take_entry(void *context, const char *path, const struct stat *status, Error **err)
{
        Copier *copier = context;

        if (S_ISDIR(status->st_mode))
                return mkdirat(copier->target_fd, path, 0700) < 0
                               ? error_set_errno(err, errno, "make folder \"%s\"", path)
                               : 0;
        if (!S_ISREG(status->st_mode))
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\" is neither a file nor a folder", path);
        if (copier->n_files == copier->capacity) {
                copier->capacity = copier->capacity ? 2 * copier->capacity : 1024;
                copier->files = xreallocarray(copier->files, copier->capacity, sizeof(char *));
        }
        copier->files[copier->n_files++] = xstrdup(path);
        return 0;
}

static bool copy_range(int from, int to, off_t start, off_t end)
{
        char buffer[BUFFER_SIZE];

        while (start < end) {
                ssize_t n = pread(from, buffer, MIN(BUFFER_SIZE, (size_t)(end - start)), start);
                if (n <= 0) {
                        errno = n == 0 ? EIO : errno;
                        return false;
                }
                for (ssize_t done = 0, m; done < n; done += m) {
                        m = pwrite(to, buffer + done, (size_t)(n - done), start + done);
                        if (m <= 0)
                                return false;
                }
                start += n;
        }
        return true;
}

/* The log's segment is mostly a hole: its space is reserved, its zeros are not written. */
static bool copy_data(int from, int to, off_t size)
{
        off_t data = lseek(from, 0, SEEK_DATA);
        bool holes = data != 0 || lseek(from, 0, SEEK_HOLE) < size;

        if (!holes || size == 0)
                return copy_range(from, to, 0, size);
        if (fallocate(to, 0, 0, size) < 0 && (errno == ENOSPC || ftruncate(to, size) < 0))
                return false;
        while (data >= 0 && data < size) {
                off_t hole = lseek(from, data, SEEK_HOLE);
                if (!copy_range(from, to, data, hole < 0 ? size : hole))
                        return false;
                data = hole < 0 ? size : lseek(from, hole, SEEK_DATA);
        }
        return true;
}

static int copy_file(void *context, size_t index)
{
        const Copier *copier = context;
        const char *file = copier->files[index];
        _cleanup_close_ int from = openat(copier->source_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_close_ int to = openat(copier->target_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        struct stat status;

        if (from < 0 || to < 0 || fstat(from, &status) < 0)
                return errno ? errno : EIO;
        if (status.st_size > 0 && ioctl(to, FICLONE, from) == 0)
                return 0;
        if (!copy_data(from, to, status.st_size))
                return errno ? errno : EIO;
        /* The disk begins while the next one is copied; the first start's end waits for it. */
        sync_file_range(to, 0, 0, SYNC_FILE_RANGE_WRITE);
        return 0;
}

static int copy_all(Copier *copier, Error **err)
{
        size_t failed = 0;
        int failure, r;

        r = tree_walk(copier->source_fd, take_entry, copier, err);
        if (r < 0)
                return r;
        failure = parallel_try(copier->n_files, MIN(parallel_processors(), (size_t)MOST_THREADS), copy_file, copier,
                               &failed);
        return failure ? error_set_errno(err, failure, "copy \"%s\"", copier->files[failed]) : 0;
}

int copy_tree(const char *source, const char *target, Error **err)
{
        _cleanup_close_ int source_fd = -1, target_fd = -1;
        Copier copier = { 0 };
        int r;

        if (mkdir(target, 0700) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", target);
        source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        target_fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (source_fd < 0 || target_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", source_fd < 0 ? source : target);
        copier.source_fd = source_fd;
        copier.target_fd = target_fd;
        r = copy_all(&copier, err);
        for (size_t i = 0; i < copier.n_files; i++)
                free(copier.files[i]);
        free(copier.files);
        return r;
}
