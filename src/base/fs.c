#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"

int fs_close(int fd)
{
        int saved = errno;

        if (fd >= 0)
                close(fd);
        errno = saved;
        return -1;
}

int fs_read_fd(int fd, size_t limit_bytes, Strbuf *ret, Error **err)
{
        for (;;) {
                ssize_t n;

                strbuf_reserve(ret, 4096);
                n = read(fd, ret->data + ret->length, ret->capacity - ret->length - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, errno, "read");
                if (n == 0)
                        return 0;
                ret->length += (size_t)n;
                ret->data[ret->length] = '\0';
                if (ret->length > limit_bytes)
                        return error_set(err, ERROR_INVALID, "larger than %zu bytes", limit_bytes);
        }
}

int fs_read_file(int dir_fd, const char *path, size_t limit_bytes, Strbuf *ret, Error **err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat status;
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
                strbuf_reserve(ret, (size_t)MIN((off_t)limit_bytes, status.st_size) + 1);
        r = fs_read_fd(fd, limit_bytes, ret, err);
        return error_prefix(err, r, "\"%s\"", path);
}

int fs_write_all(int fd, const void *data, size_t size, Error **err)
{
        const char *position = data;

        while (size > 0) {
                ssize_t n = write(fd, position, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, errno, "write");
                position += n;
                size -= (size_t)n;
        }
        return 0;
}

int fs_memory_file(const char *name, const void *data, size_t size, Error **err)
{
        _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
        int r = 0;

        if (fd < 0)
                return error_set_errno(err, errno, "make a file in memory");
        if (data)
                r = fs_write_all(fd, data, size, err);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(err, errno, "rewind a file in memory");
        return TAKE_FD(fd);
}

/* path: what it stands for, for messages. */
static int write_synced(int dir_fd, const char *temporary, const char *path, const void *data, size_t size, mode_t mode,
                        Error **err)
{
        _cleanup_close_ int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "write \"%s\"", path);
        if (fchmod(fd, mode) < 0)
                return error_set_errno(err, errno, "chmod \"%s\"", path);
        r = fs_write_all(fd, data, size, err);
        if (r < 0)
                return error_prefix(err, r, "\"%s\"", path);
        if (fsync(fd) < 0)
                return error_set_errno(err, errno, "sync \"%s\"", path);
        return 0;
}

int fs_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(path);
        _cleanup_free_ char *temporary = NULL;
        static unsigned counter;
        int r;

        temporary = xasprintf("%s/.%s.%d.%u.tmp", parent, path_basename(path), (int)getpid(),
                              __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED));
        r = write_synced(dir_fd, temporary, path, data, size, mode, err);
        if (r < 0) {
                unlinkat(dir_fd, temporary, 0);
                return r;
        }
        if (renameat(dir_fd, temporary, dir_fd, path) < 0) {
                r = error_set_errno(err, errno, "rename to \"%s\"", path);
                unlinkat(dir_fd, temporary, 0);
                return r;
        }
        return fs_sync_directory(dir_fd, parent, err);
}

int fs_rewrite_in_place(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, Error **err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
        ssize_t n;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        /* One write and then the cut: a reader never sees an empty file. */
        n = pwrite(fd, data, size, 0);
        if (n < 0 || (size_t)n != size)
                return error_set_errno(err, n < 0 ? errno : ENOSPC, "write \"%s\"", path);
        if (ftruncate(fd, (off_t)size) < 0)
                return error_set_errno(err, errno, "truncate \"%s\"", path);
        return 0;
}

int fs_make_directories(const char *path, mode_t mode, Error **err)
{
        _cleanup_free_ char *copy = xstrdup(path);

        for (char *slash = copy + 1; *copy; slash++) {
                char kept = *slash;
                if (kept != '/' && kept != '\0')
                        continue;
                *slash = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST && !fs_is_directory(copy))
                        return error_set_errno(err, errno, "make folder \"%s\"", copy);
                if (kept == '\0')
                        break;
                *slash = kept;
        }
        if (!fs_is_directory(path))
                return error_set_errno(err, ENOTDIR, "make folder \"%s\"", path);
        return 0;
}

#define REMOVE_DEPTH 64 /* each level holds a descriptor open */

/* A tree may be deeper than a process may have files open: what lies too deep is moved up to the top, and removed in the
 * next round. */
typedef struct Removal {
        dev_t device;
        int top_fd;
        unsigned moved;
} Removal;

static int remove_children(Removal *removal, int fd, unsigned depth, Error **err);

static int move_up(Removal *removal, int dir_fd, const char *name, Error **err)
{
        for (unsigned tries = 0; tries < 1000; tries++) {
                _cleanup_free_ char *moved = xasprintf(".removed-%u", removal->moved++);

                if (renameat(dir_fd, name, removal->top_fd, moved) == 0)
                        return 0;
                if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
                        break;
        }
        return error_set_errno(err, errno, "move \"%s\"", name);
}

/* EXDEV where name is a mount point, also a bind mount of the same file system, which st_dev would not tell. */
static int open_same_mount(int dir_fd, const char *name)
{
        struct open_how how = {
                .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
        };
        int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

        if (fd >= 0 || errno != ENOSYS)
                return fd;
        return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int remove_entry(Removal *removal, int dir_fd, const char *name, unsigned depth, Error **err)
{
        _cleanup_close_ int fd = -1;
        struct stat status;
        int r;

        if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return error_set_errno(err, errno, "remove \"%s\"", name);
        fd = open_same_mount(dir_fd, name);
        if (fd < 0 && errno != EXDEV)
                return error_set_errno(err, errno, "open \"%s\"", name);
        if (fd >= 0 && fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", name);
        if (fd < 0 || status.st_dev != removal->device)
                return error_set(err, ERROR_CONFLICT, "\"%s\" is a mount point", name);
        if (depth >= REMOVE_DEPTH)
                return move_up(removal, dir_fd, name, err);
        r = remove_children(removal, TAKE_FD(fd), depth + 1, err);
        if (r < 0)
                return error_prefix(err, r, "\"%s\"", name);
        if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove folder \"%s\"", name);
        return 0;
}

/* Takes fd. */
static int remove_children(Removal *removal, int fd, unsigned depth, Error **err)
{
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;
        int r = 0;

        if (!folder) {
                fs_close(fd);
                return error_set_errno(err, errno, "read folder");
        }
        while (r == 0 && (entry = readdir(folder)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        r = remove_entry(removal, dirfd(folder), entry->d_name, depth, err);
        closedir(folder);
        return r;
}

static int remove_folder(int dir_fd, const char *path, Error **err)
{
        _cleanup_close_ int top_fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        Removal removal = { .top_fd = top_fd };
        struct stat status;
        unsigned before;
        int r;

        if (top_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        if (fstat(top_fd, &status) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", path);
        removal.device = status.st_dev;
        do {
                before = removal.moved;
                r = remove_children(&removal, openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, err);
                if (r < 0)
                        return error_prefix(err, r, "\"%s\"", path);
        } while (removal.moved != before);
        if (unlinkat(dir_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove folder \"%s\"", path);
        return 0;
}

int fs_remove_tree(int dir_fd, const char *path, Error **err)
{
        if (unlinkat(dir_fd, path, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return error_set_errno(err, errno, "remove \"%s\"", path);
        return remove_folder(dir_fd, path, err);
}

int fs_sync_directory(int dir_fd, const char *path, Error **err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_set_errno(err, errno, "open folder \"%s\"", path);
        if (fsync(fd) < 0 && errno != EINVAL)
                return error_set_errno(err, errno, "sync folder \"%s\"", path);
        return 0;
}

bool fs_exists(const char *path)
{
        struct stat status;

        return lstat(path, &status) == 0;
}

bool fs_is_directory(const char *path)
{
        struct stat status;

        return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

#define USAGE_DEPTH 512 /* levels that are looked into: a tree may be deeper than the stack */

static uint64_t usage_of(int dir_fd, const char *name, unsigned depth)
{
        struct stat status;
        uint64_t total;
        struct dirent *entry;
        DIR *folder;
        int fd;

        if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        total = (uint64_t)status.st_blocks * 512;
        if (!S_ISDIR(status.st_mode) || depth >= USAGE_DEPTH)
                return total;
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        folder = fd >= 0 ? fdopendir(fd) : NULL;
        if (!folder) {
                fs_close(fd);
                return total;
        }
        while ((entry = readdir(folder)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        total += usage_of(dirfd(folder), entry->d_name, depth + 1);
        closedir(folder);
        return total;
}

uint64_t fs_disk_usage(const char *path)
{
        return usage_of(AT_FDCWD, path, 0);
}

int fs_list_directory(int dir_fd, const char *path, char ***ret, Error **err)
{
        VECTOR(char *) names = { 0 }; /* there may be very many: strv_add would count them each time */
        int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!folder) {
                fs_close(fd);
                return error_set_errno(err, errno, "read folder \"%s\"", path);
        }
        while ((entry = readdir(folder)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        vector_add(&names, xstrdup(entry->d_name));
        closedir(folder);
        *ret = strv_of(names.items, names.length);
        vector_done(&names);
        strv_sort(*ret);
        return 0;
}

int fs_read_link(const char *path, char **ret, Error **err)
{
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n < 0)
                return error_set_errno(err, errno, "read link \"%s\"", path);
        *ret = xstrndup(target, (size_t)n);
        return 0;
}

char *path_join(const char *base, const char *name)
{
        if (*name == '/' || !*base)
                return xstrdup(name);
        return xasprintf("%s%s%s", base, endswith(base, "/") ? "" : "/", name);
}

char *path_clean(const char *base, const char *path)
{
        _cleanup_free_ char *joined = path_join(base, path);
        _cleanup_strv_ char **parts = strv_split(joined, '/');
        Strbuf cleaned = STRBUF_INIT;

        STRV_FOREACH(part, parts) {
                if (!**part || streq(*part, "."))
                        continue;
                if (streq(*part, "..")) {
                        const char *slash = strrchr(strbuf_text(&cleaned), '/');
                        strbuf_truncate(&cleaned, slash ? (size_t)(slash - cleaned.data) : 0);
                        continue;
                }
                strbuf_addc(&cleaned, '/');
                strbuf_adds(&cleaned, *part);
        }
        if (!cleaned.length)
                strbuf_addc(&cleaned, '/');
        return strbuf_take(&cleaned);
}

const char *path_below(const char *path, const char *folder)
{
        size_t length = strlen(folder);

        while (length > 0 && folder[length - 1] == '/')
                length--;
        if (strncmp(path, folder, length) != 0 || (path[length] != '\0' && path[length] != '/'))
                return NULL;
        return path + length + strspn(path + length, "/");
}

const char *path_basename(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

char *path_dirname(const char *path)
{
        const char *slash = strrchr(path, '/');

        if (!slash)
                return xstrdup(".");
        return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

bool path_is_component(const char *name)
{
        return *name && !streq(name, ".") && !streq(name, "..") && !strchr(name, '/') && strlen(name) <= 255;
}

char *path_of_self(void)
{
        char *path = NULL;

        if (fs_read_link("/proc/self/exe", &path, NULL) < 0)
                return xstrdup("");
        return path;
}

int lock_file(const char *path, int timeout_ms, int *ret_fd, Error **err)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
        int operation = timeout_ms < 0 ? LOCK_EX : LOCK_EX | LOCK_NB;

        if (fd < 0)
                return error_set_errno(err, errno, "open lock \"%s\"", path);
        while (flock(fd, operation) < 0) {
                if (errno == EINTR)
                        continue;
                if (errno != EWOULDBLOCK)
                        return error_set_errno(err, errno, "lock \"%s\"", path);
                if (timeout_ms <= 0)
                        return error_set(err, ERROR_CONFLICT, "lock \"%s\" is held by another process", path);
                nanosleep(&pause, NULL);
                timeout_ms -= 5;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}
