#include "engine/local/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

bool folder_is_empty(int fd)
{
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;
        bool empty = true;

        if (!folder) {
                fs_close(copy);
                return false;
        }
        while (empty && (entry = readdir(folder)))
                empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
        closedir(folder);
        return empty;
}

static void copy_xattrs(int from_fd, int to_fd)
{
        char names[4096], value[4096];
        ssize_t size = flistxattr(from_fd, names, sizeof(names));

        for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
                ssize_t length;
                if (startswith(name, "trusted.") || startswith(name, "security.selinux"))
                        continue;
                length = fgetxattr(from_fd, name, value, sizeof(value));
                if (length >= 0)
                        fsetxattr(to_fd, name, value, (size_t)length, 0);
        }
}

int copy_folder_attributes(int from_fd, int to_fd, Error **err)
{
        struct stat status;

        if (fstat(from_fd, &status) < 0 || fchown(to_fd, status.st_uid, status.st_gid) < 0 ||
            fchmod(to_fd, status.st_mode & 07777) < 0)
                return error_set_errno(err, errno, "copy the owner and mode of a folder");
        copy_xattrs(from_fd, to_fd);
        return 0;
}

static int copy_content(int from_fd, int to_fd, Error **err)
{
        ssize_t n;

        if (ioctl(to_fd, FICLONE, from_fd) == 0)
                return 0;
        do {
                n = copy_file_range(from_fd, NULL, to_fd, NULL, 1 << 26, 0);
                if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
                        n = sendfile(to_fd, from_fd, NULL, 1 << 26);
        } while (n > 0 || (n < 0 && errno == EINTR));
        return n < 0 ? error_set_errno(err, errno, "copy a file") : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *status, Error **err)
{
        _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME), to = -1;
        int r;

        if (from < 0)
                return error_set_errno(err, errno, "open \"%s\"", name);
        to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return error_set_errno(err, errno, "create \"%s\"", name);
        r = copy_content(from, to, err);
        if (r < 0)
                return error_prefix(err, r, "\"%s\"", name);
        if (fchown(to, status->st_uid, status->st_gid) < 0 || fchmod(to, status->st_mode & 07777) < 0)
                return error_set_errno(err, errno, "copy the owner and mode of \"%s\"", name);
        copy_xattrs(from, to);
        futimens(to, (struct timespec[]){ status->st_atim, status->st_mtim });
        return 0;
}

static int copy_folder(int from_dir, int to_dir, const char *name, const struct stat *status, Error **err)
{
        _cleanup_close_ int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), to = -1;
        int r;

        if (from < 0)
                return error_set_errno(err, errno, "open \"%s\"", name);
        if (mkdirat(to_dir, name, 0700) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "make folder \"%s\"", name);
        to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (to < 0)
                return error_set_errno(err, errno, "open \"%s\"", name);
        r = copy_tree(from, to, err);
        if (r >= 0)
                r = copy_folder_attributes(from, to, err);
        if (r < 0)
                return error_prefix(err, r, "\"%s\"", name);
        futimens(to, (struct timespec[]){ status->st_atim, status->st_mtim });
        return 0;
}

static int copy_entry(int from_dir, int to_dir, const char *name, Error **err)
{
        char target[PATH_MAX];
        struct stat status;
        ssize_t n;

        if (fstatat(from_dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", name);
        if (S_ISDIR(status.st_mode))
                return copy_folder(from_dir, to_dir, name, &status, err);
        unlinkat(to_dir, name, 0);
        if (S_ISREG(status.st_mode))
                return copy_file(from_dir, to_dir, name, &status, err);
        if (S_ISLNK(status.st_mode)) {
                n = readlinkat(from_dir, name, target, sizeof(target) - 1);
                if (n >= 0)
                        target[n] = '\0';
                if (n < 0 || symlinkat(target, to_dir, name) < 0)
                        return error_set_errno(err, errno, "copy link \"%s\"", name);
        } else if (mknodat(to_dir, name, status.st_mode, status.st_rdev) < 0) {
                return error_set_errno(err, errno, "copy \"%s\"", name);
        } else if (fchmodat(to_dir, name, status.st_mode & 07777, 0) < 0) {
                return error_set_errno(err, errno, "chmod \"%s\"", name);
        }
        if (fchownat(to_dir, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
                return error_set_errno(err, errno, "chown \"%s\"", name);
        return 0;
}

int copy_tree(int from_fd, int to_fd, Error **err)
{
        int copy = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;

        if (!folder) {
                fs_close(copy);
                return error_set_errno(err, errno, "read folder");
        }
        while (r >= 0 && (entry = readdir(folder)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        r = copy_entry(from_fd, to_fd, entry->d_name, err);
        closedir(folder);
        return r;
}
