#include "postgres/entrypoint/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define MOST_THREADS 8
#define BUFFER_SIZE ((size_t)128 * 1024)

typedef struct Copier {
        int source_fd, target_fd;
        char **files;           /* relative paths */
        size_t n_files, next;   /* next is taken atomically */
        int failed_errno;       /* of the first failure */
        const char *failed_file;
} Copier;

/* Folders at once, files noted for later. */
static int make_folders(int source_fd, int target_fd, const char *path, char ***files, size_t *n_files,
                        size_t *capacity, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(source_fd, *path ? path : ".", &names, err);

        STRV_FOREACH(name, names) {
                char *child = *path ? path_join(path, *name) : xstrdup(*name);
                struct stat status;

                if (r == 0 && fstatat(source_fd, child, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        r = error_set_errno(err, errno, "stat \"%s\"", child);
                if (r == 0 && S_ISREG(status.st_mode)) {
                        if (*n_files == *capacity) {
                                *capacity = *capacity ? 2 * *capacity : 1024;
                                *files = xreallocarray(*files, *capacity, sizeof(char *));
                        }
                        (*files)[(*n_files)++] = child;
                        continue;
                }
                if (r == 0 && !S_ISDIR(status.st_mode))
                        r = error_set(err, ERROR_UNSUPPORTED, "\"%s\" is neither a file nor a folder", child);
                if (r == 0 && mkdirat(target_fd, child, 0700) < 0)
                        r = error_set_errno(err, errno, "make folder \"%s\"", child);
                if (r == 0)
                        r = make_folders(source_fd, target_fd, child, files, n_files, capacity, err);
                free(child);
                if (r < 0)
                        break;
        }
        return r;
}

static bool copy_range(int from, int to, off_t start, off_t end, char *buffer)
{
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
static bool copy_data(int from, int to, off_t size, char *buffer)
{
        off_t data = lseek(from, 0, SEEK_DATA);
        bool holes = data != 0 || lseek(from, 0, SEEK_HOLE) < size;

        if (!holes || size == 0)
                return copy_range(from, to, 0, size, buffer);
        if (fallocate(to, 0, 0, size) < 0 && (errno == ENOSPC || ftruncate(to, size) < 0))
                return false;
        while (data >= 0 && data < size) {
                off_t hole = lseek(from, data, SEEK_HOLE);
                if (!copy_range(from, to, data, hole < 0 ? size : hole, buffer))
                        return false;
                data = hole < 0 ? size : lseek(from, hole, SEEK_DATA);
        }
        return true;
}

static bool copy_file(const Copier *copier, const char *file, char *buffer)
{
        _cleanup_close_ int from = openat(copier->source_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_close_ int to = openat(copier->target_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        struct stat status;

        if (from < 0 || to < 0 || fstat(from, &status) < 0)
                return false;
        if (status.st_size > 0 && ioctl(to, FICLONE, from) == 0)
                return true;
        return copy_data(from, to, status.st_size, buffer);
}

static void *work(void *argument)
{
        _cleanup_free_ char *buffer = xmalloc(BUFFER_SIZE);
        Copier *copier = argument;

        for (;;) {
                size_t i = __atomic_fetch_add(&copier->next, 1, __ATOMIC_RELAXED);
                int none = 0;

                if (i >= copier->n_files || __atomic_load_n(&copier->failed_errno, __ATOMIC_RELAXED))
                        return NULL;
                if (!copy_file(copier, copier->files[i], buffer) &&
                    __atomic_compare_exchange_n(&copier->failed_errno, &none, errno ? errno : EIO, false,
                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                        copier->failed_file = copier->files[i];
        }
}

static void work_in_parallel(Copier *copier)
{
        pthread_t threads[MOST_THREADS];
        cpu_set_t processors;
        int n = 1, started = 0;

        if (sched_getaffinity(0, sizeof(processors), &processors) == 0)
                n = MIN(CPU_COUNT(&processors), MOST_THREADS);
        while (started < n - 1 && pthread_create(&threads[started], NULL, work, copier) == 0)
                started++;
        work(copier);
        while (started > 0)
                pthread_join(threads[--started], NULL);
}

int copy_tree(const char *source, const char *target, Error **err)
{
        _cleanup_close_ int source_fd = -1, target_fd = -1;
        Copier copier = { 0 };
        size_t capacity = 0;
        int r;

        if (mkdir(target, 0700) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", target);
        source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        target_fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (source_fd < 0 || target_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", source_fd < 0 ? source : target);
        copier.source_fd = source_fd;
        copier.target_fd = target_fd;
        r = make_folders(source_fd, target_fd, "", &copier.files, &copier.n_files, &capacity, err);
        if (r == 0) {
                work_in_parallel(&copier);
                if (copier.failed_errno)
                        r = error_set_errno(err, copier.failed_errno, "copy \"%s\"", copier.failed_file);
        }
        for (size_t i = 0; i < copier.n_files; i++)
                free(copier.files[i]);
        free(copier.files);
        return r;
}
