#include <errno.h>
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
#include "engine/local/bundle.h"
#include "engine/local/lifecycle.h"
#include "engine/local/monitor.h"
#include "engine/local/mounts.h"
#include "engine/local/network.h"
#include "engine/local/rootfs.h"
#include "engine/local/runtime.h"

#define PARENT_WAIT_MS  5000
#define PARENT_PAUSE_MS 2

bool container_is_half_started(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *state = runtime_state_path(layout),
                            *fifo = xasprintf("%s/%s/exec.fifo", state, record->id);

        return fs_exists(fifo);
}

/* Whether a process is this container's monitor, or the runtime making it: both carry its id in their arguments. */
static bool is_about(pid_t pid, const char *id)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/cmdline", (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return pid > 1 && fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) >= 0 && text.length &&
               memmem(text.data, text.length, id, strlen(id));
}

static pid_t monitor_of(const ContainerRecord *record)
{
        _cleanup_free_ char *path = path_join(record->run_path, "monitor.pid");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int64_t pid;

        if (fs_read_file(AT_FDCWD, path, 64, &text, NULL) < 0)
                return 0;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        return parse_int64(strbuf_text(&text), 2, INT32_MAX, &pid) && is_about((pid_t)pid, record->id) ? (pid_t)pid : 0;
}

static void kill_and_wait(pid_t pid)
{
        const struct timespec pause = { .tv_nsec = 1000 * 1000 };

        kill(pid, SIGKILL);
        for (int i = 0; i < 1000 && process_is_alive(pid, 0); i++)
                nanosleep(&pause, NULL);
}

/* Where a start was cut off, conmon and the runtime may be at work for it and have written no pid yet: they are found in
 * the cgroup they were started in. */
static void end_strays(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *group = xasprintf("/berth-%s/monitors", layout->id),
                            *folder = cgroup_path("systemd", group);
        _cleanup_free_ char *path = folder ? path_join(folder, "cgroup.procs") : NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int64_t pid;

        if (!path || fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
                return;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines)
                if (parse_int64(*line, 2, INT32_MAX, &pid) && is_about((pid_t)pid, record->id))
                        kill_and_wait((pid_t)pid);
}

static void end_monitor(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *bundle = path_join(record->run_path, "bundle");
        pid_t monitor = monitor_of(record);

        if (monitor)
                kill_and_wait(monitor);
        if (!record->has_run && fs_exists(bundle))
                end_strays(layout, record);
}

/* The runtime's `delete` removes its state folder and the cgroup: done here without starting it. */
static void forget_in_runtime(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *state = runtime_state_path(layout), *path = path_join(state, record->id);
        _cleanup_free_ char *cgroup = bundle_cgroup(layout, record->spec, record->id);

        cgroup_kill(cgroup);
        if (!cgroup_remove(cgroup)) {
                cgroup_kill(cgroup);
                cgroup_remove(cgroup);
        }
        fs_remove_tree(AT_FDCWD, path, NULL);
}

static void remove_run_file(const ContainerRecord *record, const char *name)
{
        _cleanup_free_ char *path = path_join(record->run_path, name);

        unlink(path);
}

int container_release(const Layout *layout, ContainerRecord *record, Error **err)
{
        bool uses_network = !(record->spec->network_mode && startswith(record->spec->network_mode, "container:"));
        int r;

        if (!fs_exists(record->run_path))
                return 0;
        if (record->has_run) {
                container_record_state(record);
                r = container_record_save_past(record, true, err);
                if (r < 0)
                        return r;
        }
        end_monitor(layout, record);
        forget_in_runtime(layout, record);
        if (uses_network) {
                r = local_network_detach(layout, record->spec, record->id, record->run_path, err);
                if (r < 0)
                        return r;
        }
        r = rootfs_unmount(record, err);
        if (r < 0)
                return r;
        remove_run_file(record, "monitor.pid");
        remove_run_file(record, "pid");
        remove_run_file(record, "run.json");
        record->has_run = false;
        return 0;
}

static bool has_monitors_alone(const char *parent)
{
        _cleanup_strv_ char **children = cgroup_children(parent);

        return strv_length(children) == 1 && streq(children[0], "monitors");
}

/* The installation's own cgroups go with its last container; while others are in them, rmdir refuses. What a monitor runs
 * after its container has ended (its exit command) is in them for a moment longer, and is waited for. */
void container_remove_parent_cgroups(const Layout *layout)
{
        const struct timespec pause = { .tv_nsec = PARENT_PAUSE_MS * 1000 * 1000 };
        _cleanup_free_ char *parent = xasprintf("/berth-%s", layout->id), *monitors = xasprintf("%s/monitors", parent);

        for (int waited_ms = 0; !(cgroup_remove_empty(monitors) && cgroup_remove_empty(parent));
             waited_ms += PARENT_PAUSE_MS) {
                if (waited_ms >= PARENT_WAIT_MS || !has_monitors_alone(parent))
                        return;
                nanosleep(&pause, NULL);
        }
}

/* Renamed first: from then on it does not exist, and the rest is sweeping up, which recover does too. */
int container_erase(const Layout *layout, ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *aside = xasprintf("%s.removed", record->data_path);
        int r;

        r = container_release(layout, record, err);
        if (r < 0)
                return r;
        fs_remove_tree(AT_FDCWD, aside, NULL);
        if (rename(record->data_path, aside) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove container %s", record->spec->name);
        container_name_release(layout, record->spec->name, record->id);
        files_remove(layout, record);
        r = fs_remove_tree(AT_FDCWD, aside, err);
        if (r >= 0)
                r = fs_remove_tree(AT_FDCWD, record->run_path, err);
        container_remove_parent_cgroups(layout);
        return error_prefix(err, r, "remove container %s", record->spec->name);
}
