/* The files of a copy that shares its blocks. Folders are opened one inside the other by descriptor, so that nobody who may
 * write there can lead the walk elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/reflink_private.h"
#include "operate/restore_private.h"
#include "state/document.h"

#define TRIAL ".berth-reflink"
#define CONTROL "pg_control"

/* As a server leaves them out of its own base backups (basebackup.c). Its folders are there and empty. */
static const char *const empty_folders[] = { "pg_wal",    "pg_replslot",  "pg_dynshmem", "pg_notify", "pg_serial",
                                             "pg_snapshots", "pg_stat_tmp", "pg_subtrans" };
static const char *const left_out[] = { "postmaster.pid", "postmaster.opts", "backup_label",   "backup_label.old",
                                        "tablespace_map", "tablespace_map.old", "backup_manifest", "postgresql.auto.conf.tmp",
                                        "current_logfiles.tmp", "recovery.signal", "standby.signal", RESTORED_TABLESPACES };

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* ---- one file ---- */

/* btrfs shares blocks only between files that are alike in whether they are copied on write. */
static bool become_alike(int from, int to)
{
        unsigned flags = 0;

        if (ioctl(from, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & FS_NOCOW_FL))
                return false;
        flags = FS_NOCOW_FL;
        return ioctl(to, FS_IOC_SETFLAGS, &flags) == 0;
}

static int share_blocks(int from, int to)
{
        if (ioctl(to, FICLONE, from) == 0 || (errno == EINVAL && become_alike(from, to) && ioctl(to, FICLONE, from) == 0))
                return 0;
        return -errno;
}

/* A descriptor that only names the thing is asked what it is before it is opened: opening a pipe or a device does something. */
static int open_regular(int dir_fd, const char *name, struct stat *ret)
{
        _cleanup_close_ int named = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        char path[64];

        if (named < 0 || fstat(named, ret) < 0)
                return -1;
        if (!S_ISREG(ret->st_mode)) {
                errno = EINVAL;
                return -1;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", named);
        return open(path, O_RDONLY | O_CLOEXEC);
}

static int unable(Error **err, int failure, const char *name)
{
        if (failure == EOPNOTSUPP || failure == ENOTTY || failure == EXDEV || failure == EINVAL || failure == ENOSYS)
                return error_set(err, ERROR_UNSUPPORTED, "the file system does not share blocks between files");
        return error_set_errno(err, failure, "share the blocks of \"%s\"", name);
}

/* 0: shared; 1: it has gone meanwhile. */
static int clone_file(Reflinking *work, int from_dir, int to_dir, const char *name, Error **err)
{
        struct stat status;
        _cleanup_close_ int from = open_regular(from_dir, name, &status), to = -1;
        int r;

        if (from < 0)
                return errno == ENOENT ? 1 : error_set_errno(err, errno, "open \"%s\"", name);
        to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0)
                return error_set_errno(err, errno, "create \"%s\"", name);
        r = share_blocks(from, to);
        if (r < 0)
                return unable(err, -r, name);
        if (fchown(to, status.st_uid, status.st_gid) < 0 || fchmod(to, status.st_mode & 0777) < 0)
                return error_set_errno(err, errno, "create \"%s\"", name);
        work->files++;
        return 0;
}

/* ---- folders ---- */

/* As another is; *ret_fd is the caller's. */
static int make_folder(int to_dir, const char *name, const struct stat *like, int *ret_fd, Error **err)
{
        _cleanup_close_ int fd = -1;

        if (mkdirat(to_dir, name, 0700) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "make folder \"%s\"", name);
        fd = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchown(fd, like->st_uid, like->st_gid) < 0 || fchmod(fd, like->st_mode & 0777) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", name);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

typedef enum Depth { DEPTH_ROOT, DEPTH_GLOBAL, DEPTH_TABLESPACES, DEPTH_OTHER } Depth;

static Depth depth_below(Depth depth, const char *name)
{
        if (depth == DEPTH_ROOT && streq(name, "global"))
                return DEPTH_GLOBAL;
        return depth == DEPTH_ROOT && streq(name, "pg_tblspc") ? DEPTH_TABLESPACES : DEPTH_OTHER;
}

static bool is_wanted(Depth depth, const char *name)
{
        if (depth == DEPTH_ROOT && is_one_of(name, left_out, ARRAY_SIZE(left_out)))
                return false;
        if (depth == DEPTH_GLOBAL && streq(name, CONTROL))
                return false;
        return !startswith(name, "pgsql_tmp") && !startswith(name, "pg_internal.init");
}

static int copy_folder(Reflinking *work, int from_fd, int to_fd, Depth depth, Error **err);
static int copy_tablespace(Reflinking *work, int links_fd, const char *oid, Error **err);

static int copy_folder_entry(Reflinking *work, int from_fd, int to_fd, const char *name, Depth depth, Error **err)
{
        _cleanup_close_ int from = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), to = -1;
        struct stat status;
        int r;

        if (from < 0 || fstat(from, &status) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "open \"%s\"", name);
        r = make_folder(to_fd, name, &status, &to, err);
        if (r < 0 || (depth == DEPTH_ROOT && is_one_of(name, empty_folders, ARRAY_SIZE(empty_folders))))
                return r;
        return copy_folder(work, from, to, depth_below(depth, name), err);
}

static int copy_entry(Reflinking *work, int from_fd, int to_fd, const char *name, Depth depth, Error **err)
{
        struct stat status;

        if (!is_wanted(depth, name))
                return 0;
        if (fstatat(from_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "stat \"%s\"", name);
        if (S_ISREG(status.st_mode))
                return MIN(clone_file(work, from_fd, to_fd, name, err), 0);
        if (S_ISDIR(status.st_mode))
                return copy_folder_entry(work, from_fd, to_fd, name, depth, err);
        if (S_ISLNK(status.st_mode) && depth == DEPTH_TABLESPACES)
                return copy_tablespace(work, from_fd, name, err);
        return 0; /* a server leaves such things out of its backups as well */
}

static int copy_folder(Reflinking *work, int from_fd, int to_fd, Depth depth, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(from_fd, ".", &names, err);

        STRV_FOREACH(name, names) {
                if (r == 0)
                        r = copy_entry(work, from_fd, to_fd, *name, depth, err);
                if (r == 0 && progress_cancelled(work->progress))
                        r = error_set(err, ERROR_CANCELLED, "cancelled");
        }
        return r;
}

/* ---- what lies elsewhere in the container ---- */

/* Only through a mount, and from there without any link. */
static int open_inside(const Reflinking *work, const char *path, int *ret_fd, Error **err)
{
        const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                                      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
        _cleanup_free_ char *clean = path_clean("/", path);
        _cleanup_close_ int root_fd = -1;
        const json_t *mount, *found = NULL;
        const char *source, *rest;
        size_t i, longest = 0;

        json_array_foreach(work->copy->mounts, i, mount) {
                const char *target = json_get_string(mount, "target", "");

                if (path_below(clean, target) && strlen(target) >= longest) {
                        longest = strlen(target);
                        found = mount;
                }
        }
        source = json_get_string(found, "source", NULL);
        if (!source)
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\" is in no volume", clean);
        rest = path_below(clean, json_get_string(found, "target", ""));
        root_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root_fd >= 0)
                *ret_fd = *rest ? (int)syscall(SYS_openat2, root_fd, rest, &how, sizeof(how)) : TAKE_FD(root_fd);
        else
                *ret_fd = -1;
        return *ret_fd < 0 ? error_set_errno(err, errno, "open \"%s\" of the container", clean) : 0;
}

static int read_link_at(int dir_fd, const char *name, char **ret, Error **err)
{
        char target[4096];
        ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);

        if (n < 0)
                return error_set_errno(err, errno, "read link \"%s\"", name);
        *ret = xstrndup(target, (size_t)n);
        return 0;
}

static int copy_tablespace(Reflinking *work, int links_fd, const char *oid, Error **err)
{
        _cleanup_close_ int from = -1, all = -1, to = -1;
        _cleanup_free_ char *place = NULL, *own = xasprintf("%s/" RESTORED_TABLESPACES "/%s", work->copy->inside, oid),
                            *link = xasprintf("pg_tblspc/%s", oid);
        struct stat status;
        int r = read_link_at(links_fd, oid, &place, err);

        if (r == 0)
                r = open_inside(work, place, &from, err);
        if (r == 0 && fstat(from, &status) < 0)
                r = error_set_errno(err, errno, "stat \"%s\"", place);
        if (r == 0)
                r = make_folder(work->to_fd, RESTORED_TABLESPACES, &status, &all, err);
        if (r == 0)
                r = make_folder(all, oid, &status, &to, err);
        if (r == 0 && (symlinkat(own, work->to_fd, link) < 0 ||
                       fchownat(work->to_fd, link, work->uid, work->gid, AT_SYMLINK_NOFOLLOW) < 0))
                r = error_set_errno(err, errno, "link \"%s\"", link);
        if (r == 0)
                r = copy_folder(work, from, to, DEPTH_OTHER, err);
        return error_prefix(err, r, "tablespace %s", oid);
}

/* ---- the whole ---- */

static int try_file_system(Reflinking *work, Error **err)
{
        struct stat status;
        _cleanup_close_ int from = open_regular(work->from_fd, "PG_VERSION", &status), to = -1;
        int r;

        if (from < 0)
                return error_set_errno(err, errno, "open \"PG_VERSION\"");
        to = openat(work->to_fd, TRIAL, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0)
                return error_set_errno(err, errno, "create \"" TRIAL "\"");
        r = share_blocks(from, to);
        unlinkat(work->to_fd, TRIAL, 0);
        return r < 0 ? unable(err, -r, "PG_VERSION") : 0;
}

int reflink_open(Reflinking *work, Error **err)
{
        struct stat status;
        int r;

        r = open_inside(work, work->copy->inside, &work->from_fd, err);
        if (r < 0)
                return r;
        work->to_fd = open(work->copy->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fstat(work->from_fd, &status) < 0 || work->to_fd < 0 || fchown(work->to_fd, status.st_uid, status.st_gid) < 0 ||
            fchmod(work->to_fd, status.st_mode & 0777) < 0)
                return error_set_errno(err, errno, "prepare \"%s\"", work->copy->directory);
        work->uid = status.st_uid;
        work->gid = status.st_gid;
        return try_file_system(work, err);
}

void reflink_close(Reflinking *work)
{
        work->from_fd = fs_close(work->from_fd);
        work->to_fd = fs_close(work->to_fd);
}

int reflink_data(Reflinking *work, Error **err)
{
        return copy_folder(work, work->from_fd, work->to_fd, DEPTH_ROOT, err);
}

int reflink_control(Reflinking *work, Error **err)
{
        _cleanup_close_ int from = openat(work->from_fd, "global", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                            to = openat(work->to_fd, "global", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r;

        if (from < 0 || to < 0)
                return error_set_errno(err, errno, "open \"global\"");
        r = clone_file(work, from, to, CONTROL, err);
        return r > 0 ? error_set(err, ERROR_CORRUPT, "the cluster has no " CONTROL) : r;
}

int reflink_put(const Reflinking *work, const char *name, const char *text, Error **err)
{
        _cleanup_close_ int fd = openat(work->to_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 || fchown(fd, work->uid, work->gid) < 0)
                return error_set_errno(err, errno, "create \"%s\"", name);
        return error_prefix(err, fs_write_all(fd, text, strlen(text), err), "\"%s\"", name);
}

/* ---- the log ---- */

/* initdb --waldir makes it a link. */
static int open_log(const Reflinking *work, int *ret_fd, Error **err)
{
        _cleanup_free_ char *place = NULL;
        int r;

        *ret_fd = openat(work->from_fd, "pg_wal", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (*ret_fd >= 0)
                return 0;
        r = read_link_at(work->from_fd, "pg_wal", &place, err);
        return r < 0 ? r : open_inside(work, place, ret_fd, err);
}

static int copy_histories(Reflinking *work, int from, int to, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(from, ".", &names, err);

        STRV_FOREACH(name, names)
                if (r >= 0 && strlen(*name) == 16 && endswith(*name, ".history"))
                        r = clone_file(work, from, to, *name, err);
        return MIN(r, 0);
}

int reflink_log(Reflinking *work, uint32_t timeline, Lsn start, Lsn end, uint32_t segment_bytes, Error **err)
{
        _cleanup_close_ int from = -1, to = -1;
        char name[WAL_NAME_SIZE];
        struct stat status;
        int r = open_log(work, &from, err);

        if (r == 0 && fstat(from, &status) < 0)
                r = error_set_errno(err, errno, "stat \"pg_wal\"");
        if (r == 0)
                r = make_folder(work->to_fd, "pg_wal", &status, &to, err);
        for (Lsn at = wal_segment_start(start, segment_bytes); r == 0 && at < end; at += segment_bytes) {
                r = clone_file(work, from, to, wal_segment_name(timeline, at, segment_bytes, name), err);
                if (r > 0)
                        r = error_set(err, ERROR_NOT_FOUND, "segment %s of the log has gone meanwhile", name);
        }
        return r < 0 ? r : copy_histories(work, from, to, err);
}
