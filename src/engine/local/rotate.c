/* conmon cuts its log off at a size, which loses lines: it is renamed here instead, and conmon told to open a new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "engine/local/monitor.h"

#define REOPEN_WAIT_MS 1000

static char *log_path(const ContainerRecord *record, int64_t number)
{
        return number ? xasprintf("%s/logs/container.log.%lld", record->data_path, (long long)number)
                      : xasprintf("%s/logs/container.log", record->data_path);
}

/* max-file counts the present one too. With only one there is nowhere to put the old lines. */
static int shift(const ContainerRecord *record, Error **err)
{
        int64_t kept = MIN(MAX(record->spec->log_max_files, INT64_C(1)), INT64_C(100)) - 1;
        _cleanup_free_ char *last = log_path(record, MAX(kept, INT64_C(1)));

        unlink(last);
        for (int64_t number = MAX(kept, INT64_C(1)) - 1; number >= 0; number--) {
                _cleanup_free_ char *from = log_path(record, number), *to = log_path(record, number + 1);
                if (rename(from, to) < 0 && errno != ENOENT)
                        return error_set_errno(err, errno, "rotate \"%s\"", from);
        }
        return 0;
}

static void wait_reopened(const ContainerRecord *record)
{
        const struct timespec pause = { .tv_nsec = NSEC_PER_MSEC };
        _cleanup_free_ char *path = log_path(record, 0);

        for (int i = 0; i < REOPEN_WAIT_MS && !fs_exists(path); i++)
                nanosleep(&pause, NULL);
}

/* ---- a burst wrote more than one file may hold ---- */

/* Where the piece that ends at `end` begins: at a line's beginning, not more than `size` bytes before. */
static off_t piece_start(int fd, off_t end, int64_t size)
{
        char chunk[65536];
        off_t start = end - (off_t)size;
        ssize_t n;
        char *newline;

        if (start <= 0)
                return 0;
        n = pread(fd, chunk, (size_t)MIN((off_t)sizeof(chunk), end - start), start - 1);
        newline = n > 0 ? memchr(chunk, '\n', (size_t)n) : NULL;
        return newline && start + (newline - chunk) < end ? start + (newline - chunk) : start;
}

static int write_piece(int fd, off_t start, off_t end, const char *path, Error **err)
{
        _cleanup_close_ int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (to < 0)
                return error_set_errno(err, errno, "create \"%s\"", path);
        while (start < end) {
                ssize_t n = copy_file_range(fd, &start, to, NULL, (size_t)(end - start), 0);
                if (n <= 0)
                        return error_set_errno(err, n < 0 ? errno : EIO, "write \"%s\"", path);
        }
        return 0;
}

/* Cuts the file that was the present one into as many as may be kept, the newest lines in .1; older files go. */
static int split(const ContainerRecord *record, int64_t kept, Error **err)
{
        _cleanup_free_ char *path = log_path(record, 1);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;
        off_t end;
        int64_t n = 0;
        int r = 0;

        if (fd < 0 || fstat(fd, &status) < 0 || status.st_size <= record->spec->log_max_size)
                return 0;
        for (end = status.st_size; r >= 0 && end > 0 && n < kept; n++) {
                _cleanup_free_ char *piece = log_path(record, n + 1), *temporary = xasprintf("%s.tmp", piece);
                off_t start = piece_start(fd, end, record->spec->log_max_size);
                r = write_piece(fd, start, end, temporary, err);
                if (r >= 0 && rename(temporary, piece) < 0)
                        r = error_set_errno(err, errno, "rename \"%s\"", temporary);
                end = start;
        }
        return r;
}

static int rotate(const ContainerRecord *record, Error **err)
{
        int64_t kept = MIN(MAX(record->spec->log_max_files, INT64_C(1)), INT64_C(100)) - 1;
        _cleanup_free_ char *old = log_path(record, 1);
        int r = shift(record, err);

        if (r >= 0)
                r = monitor_reopen_log(record, err);
        if (r < 0)
                return r;
        wait_reopened(record);
        if (kept == 0) {
                unlink(old);
                return 0;
        }
        return split(record, kept, err);
}

int local_container_rotate_logs(Engine *engine, const char *id, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int lock = -1;
        struct stat status;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0 || record->spec->log_max_size <= 0)
                return r;
        path = log_path(record, 0);
        if (stat(path, &status) < 0 || status.st_size < record->spec->log_max_size)
                return 0;
        container_record_free(TAKE_PTR(record));
        r = container_lock(engine_layout(engine), id, &record, &lock, err);
        if (r < 0 || container_record_state(record) != CONTAINER_RUNNING)
                return r;
        return rotate(record, err);
}
