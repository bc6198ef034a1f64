#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/bundle.h"
#include "engine/local/lifecycle.h"
#include "engine/local/monitor.h"
#include "engine/local/mounts.h"
#include "engine/local/network.h"
#include "engine/local/rootfs.h"
#include "engine/local/runtime.h"
#include "engine/local/seccomp_program.h"
#include "state/document.h"

#define ATTACH_WAIT_MS 5000

typedef struct Start {
        const Layout *layout;
        ContainerRecord *record;
        const EngineProgress *progress;
        char *runtime, *rootfs, *cgroup;
        LocalNetworkResult network;
        json_t *mounts;
} Start;

static void start_done(Start *start)
{
        free(start->runtime);
        free(start->rootfs);
        free(start->cgroup);
        local_network_result_done(&start->network);
        json_decref(start->mounts);
}

/* network_mode container:NAME: the other's namespace and files. */
static int join_network(Start *start, const char *name, Error **err)
{
        _cleanup_record_ ContainerRecord *other = NULL;
        LocalNetworkResult *network = &start->network;
        int r = container_record_find(start->layout, name, &other, err);

        if (r < 0)
                return error_prefix(err, r, "network of container \"%s\"", name);
        if (container_record_state(other) != CONTAINER_RUNNING)
                return error_hint(err,
                                  error_set(err, ERROR_CONFLICT,
                                            "container %s, whose network is joined, is not running", other->spec->name),
                                  "Start it first.");
        if (other->run.netns)
                network->netns_path = xasprintf("/proc/%d/ns/net", (int)other->run.pid);
        network->hosts_path = xstrdup(other->run.hosts_path);
        network->resolv_path = xstrdup(other->run.resolv_path);
        network->hostname_path = xstrdup(other->run.hostname_path);
        network->port_fds = xnew(int);
        network->port_fds[0] = -1;
        return 0;
}

static int connect_network(Start *start, Error **err)
{
        const ContainerSpec *spec = start->record->spec;
        const char *other = spec->network_mode ? startswith(spec->network_mode, "container:") : NULL;

        if (other)
                return join_network(start, other, err);
        return local_network_attach(start->layout, spec, start->record->id, start->record->run_path, start->progress,
                                    &start->network, err);
}

static int write_bundle(Start *start, Error **err)
{
        Bundle bundle = { .layout = start->layout,
                          .record = start->record,
                          .progress = start->progress,
                          .rootfs = start->rootfs,
                          .network = &start->network,
                          .cgroup = start->cgroup };
        int r;

        r = mounts_prepare(start->layout, start->record, start->rootfs, &start->network, start->progress,
                           &start->mounts, err);
        if (r < 0)
                return r;
        bundle.mounts = start->mounts;
        return bundle_write(&bundle, err);
}

/* Borrows the network's strings and arrays: for writing run.json. */
static void describe_run(Start *start, pid_t pid, pid_t monitor_pid)
{
        start->record->run = (ContainerRun){
                .pid = pid,
                .pid_start = process_start_ticks(pid),
                .monitor_pid = monitor_pid,
                .started_ns = clock_realtime_ns(),
                .runtime = start->runtime,
                .cgroup = start->cgroup,
                .netns = start->network.netns_path,
                .hosts_path = start->network.hosts_path,
                .resolv_path = start->network.resolv_path,
                .hostname_path = start->network.hostname_path,
                .addresses = start->network.addresses,
                .n_addresses = start->network.n_addresses,
                .ports = start->network.ports,
                .n_ports = start->network.n_ports,
        };
}

/* conmon runs it when the container has ended, so that a keeper that died comes back to apply the restart policy. */
static char **exit_command(const Start *start)
{
        _cleanup_free_ char *keeper = layout_libexec(start->layout, "berth-keeper");

        if (!start->record->spec->project || access(keeper, X_OK) < 0)
                return NULL;
        return strv_new(keeper, "revive", start->record->spec->project, NULL);
}

/* Somebody who attaches before the start holds this file locked until the monitor's socket is connected. */
static void wait_for_attachment(const ContainerRecord *record)
{
        _cleanup_free_ char *path = path_join(record->run_path, "attaching");
        _cleanup_close_ int lock = -1;

        if (fs_exists(path) && lock_file(path, ATTACH_WAIT_MS, &lock, NULL) >= 0)
                unlink(path);
}

/* What a check said of its last run does not hold for this one: nobody may read it until somebody has looked again. */
static int forget_health(ContainerRecord *record, Error **err)
{
        if (!record->health || streq(record->health, HEALTH_OF_A_START))
                return 0;
        record->health = arena_strdup(record->arena, HEALTH_OF_A_START);
        return container_record_save_note(record, err);
}

static int run(Start *start, Error **err)
{
        _cleanup_strv_ char **after = exit_command(start);
        MonitorStart monitor = { .layout = start->layout,
                                 .record = start->record,
                                 .runtime = start->runtime,
                                 .port_fds = start->network.port_fds,
                                 .exit_command = after };
        ContainerRecord *record = start->record;
        pid_t pid, monitor_pid;
        int r = forget_health(record, err);

        if (r >= 0)
                r = monitor_create(&monitor, &pid, &monitor_pid, err);
        if (r < 0)
                return r;
        describe_run(start, pid, monitor_pid);
        r = container_record_save_run(record, err);
        wait_for_attachment(record);
        if (r >= 0)
                r = monitor_start(start->layout, record, start->runtime, err);
        if (r < 0)
                return r;
        record->past = (ContainerPast){ .started_ns = record->run.started_ns };
        return container_record_save_past(record, false, err);
}

/* A copy beside what runs, from which a damaged record is rebuilt. */
static void keep_copy(const ContainerRecord *record)
{
        _cleanup_free_ char *from = path_join(record->data_path, "container.json");
        _cleanup_free_ char *to = path_join(record->run_path, "container.json");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, from, (size_t)64 << 20, &text, NULL) >= 0)
                fs_rewrite_in_place(AT_FDCWD, to, text.data, text.length, 0600, NULL);
}

static int start_steps(Start *start, Error **err)
{
        ContainerRecord *record = start->record;
        int r;

        start->cgroup = bundle_cgroup(start->layout, record->spec, record->id);
        r = layout_prepare(start->layout, err);
        if (r >= 0)
                r = runtime_find(start->layout, &start->runtime, err);
        if (r >= 0)
                r = fs_make_directories(record->run_path, 0700, err);
        if (r >= 0)
                r = rootfs_mount(start->layout, record, &start->rootfs, err);
        if (r >= 0)
                r = connect_network(start, err);
        if (r >= 0)
                r = write_bundle(start, err);
        if (r < 0)
                return r;
        keep_copy(record);
        return run(start, err);
}

/* What exec needs to enter without the runtime; where it cannot be made, the runtime does it. */
static void prepare_entering(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *path = path_join(record->run_path, "bundle/config.json");
        _cleanup_json_ json_t *config = json_load_file(path, 0, NULL);
        const json_t *section = json_object_get(json_object_get(config, "linux"), "seccomp");

        if (section)
                seccomp_program_make(layout, section, NULL);
}

/* What the start made is taken back; why it failed is kept for inspect. */
static void start_failed(Start *start, const Error *error)
{
        ContainerRecord *record = start->record;

        record->has_run = false;
        container_release(start->layout, record, NULL);
        record->past.error = arena_strdup(record->arena, error ? error->message : NULL);
        record->past.exit_code = 128;
        container_record_save_past(record, false, NULL);
}

/* Whether an earlier start got as far as leaving something behind. The network's part is replaced by the next one. */
static bool was_begun(const ContainerRecord *record)
{
        _cleanup_free_ char *bundle = path_join(record->run_path, "bundle");

        return record->has_run || fs_exists(bundle);
}

int local_container_start(Engine *engine, const char *id, const EngineProgress *progress, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int lock = -1;
        _cleanup_error_ Error *error = NULL;
        _cleanup_(start_done) Start start = { .layout = layout, .progress = progress };
        ContainerState state;
        int r;

        r = container_lock(layout, id, &record, &lock, err);
        if (r < 0)
                return r;
        state = container_record_state(record);
        if ((state == CONTAINER_RUNNING || state == CONTAINER_PAUSED) && !container_is_half_started(layout, record))
                return 0;
        if (was_begun(record))
                r = container_release(layout, record, err);
        if (r < 0)
                return r;
        start.record = record;
        r = start_steps(&start, &error);
        if (r < 0)
                start_failed(&start, error);
        else
                prepare_entering(layout, record);
        return error_move(err, &error, r);
}
