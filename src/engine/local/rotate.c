/* conmon cuts its log off at a size, which loses lines: it is renamed here instead, and conmon told to open a new one. */
#include <errno.h>
#include <stdio.h>
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

static int rotate(const ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *old = log_path(record, 1);
        int r = shift(record, err);

        if (r >= 0)
                r = monitor_reopen_log(record, err);
        if (r < 0)
                return r;
        wait_reopened(record);
        if (record->spec->log_max_files <= 1)
                unlink(old);
        return 0;
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
