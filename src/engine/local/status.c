/* How a container is: from its run file, the kernel and the monitor's exit file. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/local/record.h"

#define EXIT_FILE_WAIT_MS 3000
#define LOST_EXIT_CODE    137 /* the monitor is gone and left no exit file: as if killed */

/* State letter and start ticks from /proc/<pid>/stat; false where there is no such process. */
static bool read_stat(pid_t pid, char *ret_state, int64_t *ret_start)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/stat", (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        long long start;
        const char *rest;

        if (pid <= 0 || fs_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
                return false;
        rest = strrchr(strbuf_text(&text), ')');
        if (!rest ||
            sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
                   ret_state, &start) != 2)
                return false;
        *ret_start = start;
        return true;
}

int64_t process_start_ticks(pid_t pid)
{
        int64_t start;
        char state;

        return read_stat(pid, &state, &start) ? start : 0;
}

bool process_is_alive(pid_t pid, int64_t start_ticks)
{
        int64_t start;
        char state;

        return read_stat(pid, &state, &start) && state != 'Z' && state != 'X' && (!start_ticks || start == start_ticks);
}

/* Reads the exit code that the monitor wrote, and when. */
static bool read_exit_file(const ContainerRecord *record, int *ret_code, int64_t *ret_time_ns)
{
        _cleanup_free_ char *path = path_join(record->run_path, "exit");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;
        int64_t code;

        if (fs_read_file(AT_FDCWD, path, 64, &text, NULL) < 0 || stat(path, &status) < 0)
                return false;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        if (!parse_int64(strbuf_text(&text), -255, 255, &code))
                return false;
        *ret_code = (int)code;
        *ret_time_ns = status.st_mtim.tv_sec * NSEC_PER_SEC + status.st_mtim.tv_nsec;
        return true;
}

/* The process has ended: the monitor drains its output and then writes the exit file, which takes it a moment. */
static bool wait_exit_file(const ContainerRecord *record, int *ret_code, int64_t *ret_time_ns)
{
        const struct timespec pause = { .tv_nsec = NSEC_PER_MSEC };
        int64_t deadline = clock_monotonic_ns() + EXIT_FILE_WAIT_MS * NSEC_PER_MSEC;

        for (;;) {
                bool monitor_alive = process_is_alive((pid_t)record->run.monitor_pid, 0);
                if (read_exit_file(record, ret_code, ret_time_ns))
                        return true;
                if (!monitor_alive || clock_monotonic_ns() > deadline)
                        return false;
                nanosleep(&pause, NULL);
        }
}

static bool was_oom_killed(const ContainerRecord *record)
{
        _cleanup_free_ char *path = path_join(record->run_path, "bundle/oom"), *v2 = NULL;

        if (fs_exists(path))
                return true;
        v2 = path_join(record->run_path, "oom");
        return fs_exists(v2);
}

ContainerState container_record_state(ContainerRecord *record)
{
        ContainerPast *past = &record->past;

        if (!record->has_run || record->run.pid <= 0) {
                /* After a reboot nothing runs: what was started then, ended with it. */
                if (past->started_ns && past->finished_ns < past->started_ns) {
                        past->finished_ns = past->started_ns;
                        past->exit_code = LOST_EXIT_CODE;
                }
                return past->started_ns ? CONTAINER_EXITED : CONTAINER_CREATED;
        }
        past->started_ns = record->run.started_ns;
        if (process_is_alive((pid_t)record->run.pid, record->run.pid_start))
                return record->run.paused ? CONTAINER_PAUSED : CONTAINER_RUNNING;
        if (past->finished_ns < past->started_ns) {
                past->oom_killed = was_oom_killed(record);
                if (!wait_exit_file(record, &past->exit_code, &past->finished_ns)) {
                        past->exit_code = LOST_EXIT_CODE;
                        past->finished_ns = clock_realtime_ns();
                }
                /* File times lag by a tick of the kernel; an end before the start would be taken for one not seen yet. */
                past->finished_ns = MAX(past->finished_ns, past->started_ns);
        }
        return CONTAINER_EXITED;
}

static void take_addresses(ContainerInfo *info, const ContainerRun *run)
{
        info->n_addresses = run->n_addresses;
        info->addresses = run->n_addresses ? xnew_array(ContainerAddress, run->n_addresses) : NULL;
        for (size_t i = 0; i < run->n_addresses; i++) {
                const ContainerAddress *from = &run->addresses[i];
                info->addresses[i] = (ContainerAddress){
                        .network = xstrdup(from->network),
                        .ipv4 = xstrdup(from->ipv4),
                        .ipv6 = xstrdup(from->ipv6),
                        .mac = xstrdup(from->mac),
                        .ipv4_prefix = from->ipv4_prefix,
                        .gateway = xstrdup(from->gateway),
                };
        }
        info->n_ports = run->n_ports;
        info->ports = run->n_ports ? xnew_array(ContainerPort, run->n_ports) : NULL;
        for (size_t i = 0; i < run->n_ports; i++) {
                info->ports[i] = run->ports[i];
                info->ports[i].host_ip = xstrdup(run->ports[i].host_ip);
        }
}

/* Secrets that came with the request lie on the project's tmpfs alone. */
static bool has_lost_files(const ContainerRecord *record)
{
        for (size_t i = 0; i < record->spec->n_files; i++) {
                _cleanup_free_ char *path = xasprintf("%s/../../secrets/%s/%zu", record->run_path, record->id, i);

                if (record->spec->files[i].secret && !record->spec->files[i].host_path && access(path, F_OK) < 0)
                        return true;
        }
        return false;
}

ContainerInfo *container_record_take_info(ContainerRecord *record)
{
        ContainerInfo *info = xnew(ContainerInfo);
        ContainerState state = container_record_state(record);
        const ContainerSpec *spec = record->spec;
        const ContainerPast *past = &record->past;
        bool runs = state == CONTAINER_RUNNING || state == CONTAINER_PAUSED;

        *info = (ContainerInfo){
                .id = xstrdup(record->id),
                .name = xstrdup(spec->name),
                .image = xstrdup(spec->image),
                .image_id = xstrdup(spec->image_id),
                .project = xstrdup(spec->project),
                .service = xstrdup(spec->service),
                .number = spec->number,
                .oneoff = spec->oneoff,
                .state = state,
                .manually_stopped = past->manually_stopped,
                .halted = past->halted,
                .pid = runs ? (pid_t)record->run.pid : 0,
                .exit_code = runs ? 0 : past->exit_code,
                .oom_killed = past->oom_killed,
                .error = xstrdup(past->error),
                .damage = xstrdup(record->damage),
                .created_ns = record->created_ns,
                .started_ns = past->started_ns,
                .finished_ns = past->finished_ns,
                .restart_count = record->restart_count,
                .health = runs ? xstrdup(record->health) : NULL,
                .log_path = xasprintf("%s/logs/container.log", record->data_path),
        };
        if (runs)
                take_addresses(info, &record->run);
        info->lost_files = !runs && has_lost_files(record);
        info->spec = TAKE_PTR(record->spec);
        return info;
}
