#include "operate/reflink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/cluster_folder.h"
#include "operate/restore_private.h"
#include "postgres/backup_mode.h"
#include "state/document.h"

#define APPLICATION "berth clone"
#define TRIAL       ".berth-reflink"

typedef struct Reflinking {
        const ReflinkCopy *copy;
        const WorkProgress *progress;
        PGconn *connection; /* an unfinished backup ends with it */
        ClusterFolder *folder;
        int to_fd;              /* of the copy's data folder */
        RestoreOptions options; /* owner and place of the copy */
        uint32_t timeline;
        Lsn start, end;
        char *label;
        uint64_t files;
} Reflinking;

static void reflinking_done(Reflinking *work)
{
        fs_close(work->to_fd);
        cluster_folder_free(work->folder);
        PQfinish(work->connection);
        free(work->label);
}
#define _cleanup_reflinking_ _cleanup_(reflinking_done)

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

static int share_blocks(int from, int to, const char *path, Error **err)
{
        if (ioctl(to, FICLONE, from) == 0 ||
            (errno == EINVAL && become_alike(from, to) && ioctl(to, FICLONE, from) == 0))
                return 0;
        if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV || errno == EINVAL || errno == ENOSYS)
                return error_set(err, ERROR_UNSUPPORTED, "the file system does not share blocks between files");
        return error_set_errno(err, errno, "share the blocks of \"%s\"", path);
}

/* Through a trial, so that nothing is asked of the server where it cannot be. */
static int try_file_system(const Reflinking *work, Error **err)
{
        _cleanup_close_ int from = cluster_folder_open_file(work->folder, "PG_VERSION"), to = -1;
        int r;

        if (from < 0)
                return error_set_errno(err, -from, "open \"PG_VERSION\"");
        to = openat(work->to_fd, TRIAL, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0)
                return error_set_errno(err, errno, "create \"" TRIAL "\"");
        r = share_blocks(from, to, "PG_VERSION", err);
        unlinkat(work->to_fd, TRIAL, 0);
        return r;
}

/* What has gone meanwhile was dropped: the log says so. */
static int clone_file(Reflinking *work, const ListedFile *file, Error **err)
{
        _cleanup_close_ int from = cluster_folder_open_file(work->folder, file->path), to = -1;
        _cleanup_free_ char *place = restore_place(file);
        int r;

        if (from < 0)
                return from == -ENOENT ? 0 : error_set_errno(err, -from, "open \"%s\"", file->path);
        r = restore_make_entry(work->to_fd, file, &work->options, err);
        if (r < 0)
                return r;
        to = openat(work->to_fd, place, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (to < 0)
                return error_set_errno(err, errno, "open \"%s\"", place);
        work->files++;
        return share_blocks(from, to, file->path, err);
}

static int clone_list(Reflinking *work, const FileList *list, Error **err)
{
        VECTOR_FOREACH(file, &list->files) {
                int r = (*file)->type == 'f' ? clone_file(work, *file, err)
                                             : restore_make_entry(work->to_fd, *file, &work->options, err);

                if (r < 0)
                        return r;
                if (progress_cancelled(work->progress))
                        return error_set(err, ERROR_CANCELLED, "cancelled");
        }
        return 0;
}

static int put(const Reflinking *work, const char *name, const void *content, size_t size, Error **err)
{
        _cleanup_close_ int fd = openat(work->to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 || fchown(fd, work->options.uid, work->options.gid) < 0)
                return error_set_errno(err, errno, "create \"%s\"", name);
        return error_prefix(err, fs_write_all(fd, content, size, err), "\"%s\"", name);
}

/* ---- the whole ---- */

static int open_both(Reflinking *work, Error **err)
{
        struct stat status;
        int r = postgres_connect(&work->copy->target, CONNECT_SQL, APPLICATION, &work->connection, err);

        if (r == 0)
                r = cluster_folder_open(work->connection, work->copy->target.pid, &work->folder, err);
        if (r == 0)
                r = cluster_folder_status(work->folder, &status, err);
        if (r < 0)
                return r;
        work->to_fd = open(work->copy->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (work->to_fd < 0 || fchown(work->to_fd, status.st_uid, status.st_gid) < 0 ||
            fchmod(work->to_fd, status.st_mode & 0777) < 0)
                return error_set_errno(err, errno, "prepare \"%s\"", work->copy->directory);
        work->options = (RestoreOptions){ .inside = work->copy->inside, .uid = status.st_uid, .gid = status.st_gid };
        return try_file_system(work, err);
}

/* After everything else: what is in it is not older than any file. */
static int put_control(const Reflinking *work, Error **err)
{
        unsigned char control[CONTROL_FILE_BYTES];
        ControlFile read;
        int r = cluster_folder_read_control(work->folder, control, &read, NULL, err);

        return r < 0 ? r : put(work, "global/pg_control", control, sizeof(control), err);
}

static int clone_data(Reflinking *work, Error **err)
{
        _cleanup_file_list_ FileList list = { 0 };
        int r = cluster_folder_check_alive(work->folder, work->start, err);

        progress_status(work->progress, "sharing files");
        if (r == 0)
                r = cluster_folder_list(work->folder, work->progress, &list, err);
        if (r == 0)
                r = clone_list(work, &list, err);
        return r < 0 ? r : put_control(work, err);
}

static int clone_log(Reflinking *work, Error **err)
{
        _cleanup_file_list_ FileList list = { 0 };
        int r = cluster_folder_list_log(work->folder, work->timeline, work->start, work->end, &list, err);
        uint64_t before = work->files;

        if (r == 0)
                r = clone_list(work, &list, err);
        if (r == 0 && work->files - before != list.files.length)
                return error_set(err, ERROR_UNAVAILABLE, "the server has taken away log that the copy needs");
        return r;
}

static int clone_all(Reflinking *work, Error **err)
{
        int r;

        progress_status(work->progress, "checkpoint");
        r = backup_mode_start(work->connection, APPLICATION, true, work->progress->cancel_fd, &work->start,
                              &work->timeline, err);
        if (r == 0)
                r = clone_data(work, err);
        if (r == 0)
                r = backup_mode_stop(work->connection, &work->end, &work->label, err);
        if (r == 0)
                r = put(work, "backup_label", work->label, strlen(work->label), err);
        return r < 0 ? r : clone_log(work, err);
}

static int prepare_recovery(const Reflinking *work, json_t **ret_tablespaces, Error **err)
{
        const RestoreTarget target = { .kind = RESTORE_LATEST, .timeline = work->timeline };
        int r = restore_put_settings(&target, work->to_fd, &work->options, err);

        if (r == 0)
                r = restore_find_tablespaces(work->to_fd, cluster_folder_wal_segment_bytes(work->folder),
                                             ret_tablespaces, err);
        if (r == 0 && syncfs(work->to_fd) < 0)
                r = error_set_errno(err, errno, "sync \"%s\"", work->copy->directory);
        return r;
}

int reflink_copy(const ReflinkCopy *copy, const WorkProgress *progress, json_t **ret, Error **err)
{
        _cleanup_reflinking_ Reflinking work = { .copy = copy, .progress = progress, .to_fd = -1 };
        _cleanup_json_ json_t *tablespaces = NULL;
        int64_t made_ns = 0;
        char end[LSN_TEXT_SIZE];
        int r = open_both(&work, err);

        if (r == 0)
                r = clone_all(&work, err);
        if (r == 0) {
                made_ns = clock_realtime_ns();
                r = prepare_recovery(&work, &tablespaces, err);
        }
        if (r < 0)
                return r;
        *ret = json_pack("{s:i, s:i, s:s, s:s, s:I, s:I, s:O}", "server_version", PQserverVersion(work.connection),
                         "timeline", (int)work.timeline, "end_lsn", lsn_format(work.end, end), "kind", "other",
                         "made_ns", (json_int_t)made_ns, "files", (json_int_t)work.files, "tablespaces", tablespaces);
        return 0;
}
