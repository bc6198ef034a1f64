#include "operate/upgrade_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "base/tree.h"
#include "base/vector.h"

typedef struct Copying {
        const char *from, *to;
        bool all;
        VECTOR(char *) files; /* relative to both */
} Copying;

/* Folders that stay empty. */
static const char *const empty_folders[] = { "pg_wal",       "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial",
                                             "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "log",       "pg_log" };
static const char *const left_out[] = { "postmaster.pid",   "postmaster.opts", "backup_label",   "tablespace_map",
                                        "current_logfiles", "standby.signal",  "recovery.signal" };

static const char *last_part(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static bool is_wanted(const Copying *copying, const char *path)
{
        if (copying->all)
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(empty_folders); i++) {
                const char *rest = startswith(path, empty_folders[i]);

                if (rest && *rest == '/')
                        return false;
        }
        for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
                if (streq(path, left_out[i]))
                        return false;
        return !startswith(last_part(path), "pgsql_tmp") && !startswith(last_part(path), "pg_internal.init");
}

static int note(void *context, const char *path, const struct stat *status, Error **err)
{
        Copying *copying = context;
        _cleanup_free_ char *target = path_join(copying->to, path);

        if (!is_wanted(copying, path))
                return 0;
        if (S_ISREG(status->st_mode))
                vector_add(&copying->files, xstrdup(path));
        else if (S_ISDIR(status->st_mode) && mkdir(target, 0700) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "make folder \"%s\"", target);
        return 0;
}

static int copy_content(int from, int to)
{
        ssize_t n;

        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        do {
                n = copy_file_range(from, NULL, to, NULL, 1 << 26, 0);
                if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
                        n = sendfile(to, from, NULL, 1 << 26);
        } while (n > 0 || (n < 0 && errno == EINTR));
        return n < 0 ? errno : 0;
}

static int copy_one(void *context, size_t index)
{
        const Copying *copying = context;
        _cleanup_free_ char *from_path = path_join(copying->from, copying->files.items[index]);
        _cleanup_free_ char *to_path = path_join(copying->to, copying->files.items[index]);
        _cleanup_close_ int from = open(from_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to = -1;

        if (from < 0)
                return errno == ENOENT ? 0 : errno;
        to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        return to < 0 ? errno : copy_content(from, to);
}

static int copy(const char *from, const char *to, bool all, Error **err)
{
        Copying copying = { .from = from, .to = to, .all = all };
        _cleanup_close_ int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        size_t failed = 0;
        int r;

        if (from_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", from);
        r = tree_walk(from_fd, note, &copying, err);
        if (r == 0) {
                int failure = parallel_try(copying.files.length, parallel_processors(), copy_one, &copying, &failed);

                if (failure)
                        r = error_set_errno(err, failure, "copy \"%s/%s\"", from, copying.files.items[failed]);
        }
        VECTOR_FOREACH(path, &copying.files)
                free(*path);
        vector_done(&copying.files);
        return r;
}

int upgrade_copy_data(const char *from, const char *to, Error **err)
{
        return copy(from, to, false, err);
}

int upgrade_copy_log(const char *from, const char *to, Error **err)
{
        _cleanup_free_ char *from_log = path_join(from, "pg_wal"), *to_log = path_join(to, "pg_wal");

        return copy(from_log, to_log, true, err);
}
