#include "postgres/entrypoint/directories.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

static int give_entry(int dir_fd, const char *name, const struct stat *status, uid_t owner, Error **err)
{
        if (status->st_uid == owner)
                return 0;
        /* A link itself, never what it points to: a folder mounted from outside may hold links to anywhere. */
        if (fchownat(dir_fd, name, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "chown \"%s\" to user %u", name, (unsigned)owner);
        return 0;
}

/* Takes fd. */
static int give_children(int fd, uid_t owner, Error **err)
{
        DIR *folder = fdopendir(fd);
        struct dirent *entry;
        struct stat status;
        int r = 0;

        if (!folder) {
                fs_close(fd);
                return error_set_errno(err, errno, "read folder");
        }
        while (r == 0 && (entry = readdir(folder))) {
                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                r = give_entry(dirfd(folder), entry->d_name, &status, owner, err);
                if (r == 0 && S_ISDIR(status.st_mode)) {
                        int child =
                                openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        if (child >= 0)
                                r = give_children(child, owner, err);
                }
        }
        closedir(folder);
        return r;
}

static int give_tree(const char *path, uid_t owner, Error **err)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat status;
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        if (fstat(fd, &status) == 0 && status.st_uid != owner && fchown(fd, owner, (gid_t)-1) < 0) {
                r = error_set_errno(err, errno, "chown \"%s\" to user %u", path, (unsigned)owner);
                fs_close(fd);
                return error_hint(err, r,
                                  "The folder may be on a file system without owners (NFS with root_squash, a "
                                  "rootless mount) or the container lacks CAP_CHOWN.");
        }
        return give_children(fd, owner, err);
}

int directories_prepare(const Settings *settings, uid_t owner, Error **err)
{
        bool root = geteuid() == 0;
        int r;

        r = fs_make_directories(settings->data_dir, 0777, err);
        if (r < 0)
                return r;
        _unused_ int ignored = chmod(settings->data_dir, 0700);

        if (fs_make_directories(SOCKET_DIR, 0777, NULL) == 0)
                ignored = chmod(SOCKET_DIR, 03775);

        if (settings->waldir) {
                r = fs_make_directories(settings->waldir, 0777, err);
                if (r == 0 && root)
                        r = give_tree(settings->waldir, owner, err);
                if (r == 0 && chmod(settings->waldir, 0700) < 0)
                        r = error_set_errno(err, errno, "chmod \"%s\"", settings->waldir);
                if (r < 0)
                        return error_prefix(err, r, "POSTGRES_INITDB_WALDIR");
        }
        if (root) {
                r = give_tree(settings->data_dir, owner, err);
                if (r == 0 && fs_is_directory(SOCKET_DIR))
                        r = give_tree(SOCKET_DIR, owner, err);
        }
        return r;
}
