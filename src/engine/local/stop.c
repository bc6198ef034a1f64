#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/copy.h"
#include "engine/local/lifecycle.h"
#include "engine/local/volume.h"

#define KILL_WAIT_MS   10000
#define LISTEN_POLL_MS 50

/* -1 where it does not run. */
static int open_process(ContainerRecord *record)
{
        ContainerState state = container_record_state(record);
        _cleanup_close_ int fd = -1;

        if (state != CONTAINER_RUNNING && state != CONTAINER_PAUSED)
                return -1;
        fd = (int)syscall(SYS_pidfd_open, (pid_t)record->run.pid, 0);
        if (fd < 0 || !process_is_alive((pid_t)record->run.pid, record->run.pid_start))
                return -1;
        return TAKE_FD(fd);
}

static int send_signal(int pidfd, int signal_number, const ContainerRecord *record, Error **err)
{
        if (syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 && errno != ESRCH)
                return error_set_errno(err, errno, "send signal %d to container %s", signal_number, record->spec->name);
        return 0;
}

static bool wait_end(int pidfd, int timeout_ms)
{
        int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * NSEC_PER_MSEC;
        struct pollfd poller = { .fd = pidfd, .events = POLLIN };

        for (;;) {
                int64_t left_ms = (deadline - clock_monotonic_ns() + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
                int n = poll(&poller, 1, (int)MAX(left_ms, 0));
                if (n > 0)
                        return true;
                if (n == 0 || errno != EINTR)
                        return false;
        }
}

/* Whether the process has a handler for the signal, or keeps it waiting. */
static bool would_hear(pid_t pid, int signal_number)
{
        static const char *const masks[] = { "\nSigBlk:\t", "\nSigCgt:\t" };
        _cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        bool hears = false;

        if (fs_read_file(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
                const char *line = strstr(strbuf_text(&text), masks[i]);

                hears |= line && (strtoull(line + strlen(masks[i]), NULL, 16) >> (signal_number - 1)) & 1;
        }
        return hears;
}

/* The kernel throws away what the first process of a PID namespace has no handler for. One that has just begun may get its
 * handler a moment after the signal: it is told again then. */
static bool wait_polite_end(const ContainerRecord *record, int pidfd, int signal_number, bool heard, int grace_ms)
{
        int64_t deadline = clock_monotonic_ns() + (int64_t)grace_ms * NSEC_PER_MSEC, left_ms = grace_ms;

        while (!heard && left_ms > 0) {
                if (wait_end(pidfd, (int)MIN(left_ms, (int64_t)LISTEN_POLL_MS)))
                        return true;
                heard = would_hear((pid_t)record->run.pid, signal_number);
                if (heard)
                        send_signal(pidfd, signal_number, record, NULL);
                left_ms = (deadline - clock_monotonic_ns()) / NSEC_PER_MSEC;
        }
        return wait_end(pidfd, (int)MAX(left_ms, (int64_t)0));
}

static int thaw(ContainerRecord *record, Error **err)
{
        int r;

        if (!record->run.paused)
                return 0;
        r = cgroup_freeze(record->run.cgroup, false, err);
        if (r < 0)
                return r;
        record->run.paused = false;
        return container_record_save_run(record, err);
}

static int stop_process(ContainerRecord *record, int pidfd, int grace_ms, Error **err)
{
        const ContainerSpec *spec = record->spec;
        int number = spec->stop_signal ? signal_from_name(spec->stop_signal) : SIGTERM, r;
        bool heard;

        if (grace_ms < 0)
                grace_ms = (int)MIN(spec->stop_grace_ns / NSEC_PER_MSEC, (int64_t)INT32_MAX);
        if (number <= 0)
                number = SIGTERM;
        heard = number == SIGKILL || would_hear((pid_t)record->run.pid, number);
        r = thaw(record, err);
        if (r >= 0)
                r = send_signal(pidfd, number, record, err);
        if (r < 0 || wait_polite_end(record, pidfd, number, heard, grace_ms))
                return r;
        r = send_signal(pidfd, SIGKILL, record, err);
        if (r < 0)
                return r;
        if (!wait_end(pidfd, KILL_WAIT_MS))
                return error_set(err, ERROR_TIMEOUT, "container %s does not end after being killed", spec->name);
        return 0;
}

static int remember_reason(ContainerRecord *record, StopReason reason, Error **err)
{
        bool *said = reason == STOP_FOR_HALT ? &record->past.halted : &record->past.manually_stopped;

        if (reason == STOP_RELEASE || *said)
                return 0;
        *said = true;
        return container_record_save_past(record, true, err);
}

int local_container_stop(Engine *engine, const char *id, int grace_ms, StopReason reason, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int lock = -1, pidfd = -1;
        int r;

        r = container_lock(layout, id, &record, &lock, err);
        if (r < 0)
                return r;
        r = remember_reason(record, reason, err);
        if (r < 0)
                return r;
        pidfd = open_process(record);
        if (pidfd >= 0)
                r = stop_process(record, pidfd, container_is_half_started(layout, record) ? 0 : grace_ms, err);
        if (r < 0)
                return r;
        return container_release(layout, record, err);
}

/* Without the lock: a stop that waits for its grace to pass must not keep a kill waiting. */
int local_container_kill(Engine *engine, const char *id, int signal_number, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int pidfd = -1;
        int r = local_running(engine, id, true, &record, err);

        if (r < 0)
                return r;
        pidfd = open_process(record);
        return pidfd < 0 ? 0 : send_signal(pidfd, signal_number, record, err);
}

/* Into the trash, unless there is nothing in it. */
static void remove_anonymous_volumes(const Layout *layout, char *const *names)
{
        STRV_FOREACH(name, names) {
                _cleanup_volume_ VolumeRecord *volume = NULL;
                _cleanup_close_ int fd = -1;
                _cleanup_free_ char *path = NULL;
                if (volume_record_load(layout, *name, &volume, NULL) < 0)
                        continue;
                path = volume_data_path(volume);
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                volume_remove(layout, *name, fd >= 0 && folder_is_empty(fd), NULL);
        }
}

int local_container_remove(Engine *engine, const char *id, unsigned flags, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_strv_ char **volumes = NULL;
        _cleanup_error_ Error *error = NULL;
        _cleanup_close_ int lock = -1;
        ContainerState state;
        int r = container_lock(layout, id, &record, &lock, &error);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &error, r);
        state = container_record_state(record);
        if ((state == CONTAINER_RUNNING || state == CONTAINER_PAUSED) && !container_is_half_started(layout, record))
                return error_hint(err, error_set(err, ERROR_CONFLICT, "container %s is running", record->spec->name),
                                  "Stop it first.");
        for (size_t i = 0; i < record->spec->n_mounts; i++)
                if (record->spec->mounts[i].kind == SPEC_MOUNT_VOLUME && record->spec->mounts[i].anonymous)
                        strv_add(&volumes, record->spec->mounts[i].source);
        r = container_erase(layout, record, err);
        if (r >= 0 && (flags & REMOVE_ANONYMOUS_VOLUMES))
                remove_anonymous_volumes(layout, volumes);
        return r;
}
