#include "engine/local/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/bundle_process.h"
#include "engine/local/private.h"
#include "engine/local/volume_use.h"
#include "state/document.h"

#define DEFAULT_SHM_SIZE (64 * INT64_C(1024) * 1024)

typedef struct Work {
        const Layout *layout;
        const ContainerRecord *record;
        const char *rootfs;
        const EngineProgress *progress;
        json_t *list;
} Work;

/* ---- one mount ---- */

static void add_mount(Work *work, const char *target, const char *type, const char *source, json_t *options)
{
        _cleanup_free_ char *clean = path_clean("/", target);

        json_array_append_new(work->list, json_pack("{s:s,s:s,s:s,s:o}", "destination", clean, "type", type, "source",
                                                    source, "options", options));
}

static json_t *options_of(const char *text)
{
        _cleanup_strv_ char **options = strv_split(text, ',');

        return json_from_strv(options);
}

static void add_bind(Work *work, const char *source, const char *target, bool read_only, const char *propagation)
{
        json_t *options = options_of("rbind");

        json_array_append_new(options, json_string(read_only ? "ro" : "rw"));
        json_array_append_new(options, json_string(propagation ? propagation : "rprivate"));
        add_mount(work, target, "bind", source, options);
}

/* ---- what every container has ---- */

static void add_kernel_mounts(Work *work)
{
        const ContainerSpec *spec = work->record->spec;
        int64_t shm_size = spec->shm_size > 0 ? spec->shm_size : DEFAULT_SHM_SIZE;
        _cleanup_free_ char *shm = xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld", (long long)shm_size);
        const char *access = spec->privileged ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro";

        add_mount(work, "/proc", "proc", "proc", options_of("nosuid,noexec,nodev"));
        add_mount(work, "/dev", "tmpfs", "tmpfs", options_of("nosuid,strictatime,mode=755,size=65536k"));
        add_mount(work, "/dev/pts", "devpts", "devpts",
                  options_of("nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"));
        /* A sysfs of its own shows the network of the namespace that mounts it: on the host's it must be bound. */
        if (spec->network_mode && streq(spec->network_mode, "host"))
                add_mount(
                        work, "/sys", "none", "/sys",
                        options_of(spec->privileged ? "rbind,nosuid,noexec,nodev,rw" : "rbind,nosuid,noexec,nodev,ro"));
        else
                add_mount(work, "/sys", "sysfs", "sysfs", options_of(access));
        add_mount(work, "/sys/fs/cgroup", "cgroup", "cgroup", options_of(access));
        if (spec->ipc_mode && streq(spec->ipc_mode, "host")) {
                add_bind(work, "/dev/shm", "/dev/shm", false, NULL);
                add_bind(work, "/dev/mqueue", "/dev/mqueue", false, NULL);
                return;
        }
        add_mount(work, "/dev/mqueue", "mqueue", "mqueue", options_of("nosuid,noexec,nodev"));
        add_mount(work, "/dev/shm", "tmpfs", "shm", options_of(shm));
}

static void add_image_binds(Work *work)
{
        const ContainerRecord *record = work->record;

        for (const ImageBind *bind = record->binds; bind < record->binds + record->n_binds; bind++) {
                json_t *options = options_of("rbind,rprivate");
                json_array_append_new(options, json_string(bind->read_only ? "ro" : "rw"));
                if (bind->nosuid)
                        json_array_append_new(options, json_string("nosuid"));
                add_mount(work, bind->target, "bind", bind->source, options);
        }
}

static void add_network_files(Work *work, const LocalNetworkResult *network)
{
        bool read_only = work->record->spec->read_only;

        if (network->hosts_path)
                add_bind(work, network->hosts_path, "/etc/hosts", read_only, NULL);
        if (network->hostname_path)
                add_bind(work, network->hostname_path, "/etc/hostname", read_only, NULL);
        if (network->resolv_path)
                add_bind(work, network->resolv_path, "/etc/resolv.conf", read_only, NULL);
}

static int add_init(Work *work, Error **err)
{
        _cleanup_free_ char *path = layout_libexec(work->layout, "berth-init");

        if (!work->record->spec->init)
                return 0;
        if (access(path, X_OK) < 0)
                return error_set_errno(err, errno, "init of the container: \"%s\"", path);
        add_bind(work, path, INIT_TARGET, true, NULL);
        return 0;
}

/* ---- what the specification asks for ---- */

static int add_host_bind(Work *work, const SpecMount *mount, Error **err)
{
        struct stat status;

        if (stat(mount->source, &status) < 0) {
                if (errno != ENOENT || !mount->create_host_path)
                        return error_set_errno(err, errno, "bind mount \"%s\" at %s", mount->source, mount->target);
                if (fs_make_directories(mount->source, 0755, err) < 0)
                        return error_prefix(err, -ERROR_IO, "bind mount at %s", mount->target);
        }
        add_bind(work, mount->source, mount->target, mount->read_only, mount->propagation);
        return 0;
}

static void add_tmpfs(Work *work, const SpecMount *mount)
{
        json_t *options = options_of("nosuid,nodev");
        bool exec = false, has_mode = mount->tmpfs_mode >= 0;

        STRV_FOREACH(option, mount->options) {
                exec = exec || streq(*option, "exec");
                has_mode = has_mode || startswith(*option, "mode=");
                if (!streq(*option, "exec"))
                        json_array_append_new(options, json_string(*option));
        }
        if (!exec)
                json_array_append_new(options, json_string("noexec"));
        if (mount->read_only)
                json_array_append_new(options, json_string("ro"));
        if (mount->tmpfs_size > 0)
                json_array_append_new(options, json_sprintf("size=%lld", (long long)mount->tmpfs_size));
        if (mount->tmpfs_mode >= 0)
                json_array_append_new(options,
                                      json_sprintf("mode=%04llo", (unsigned long long)mount->tmpfs_mode & 07777));
        if (!has_mode)
                json_array_append_new(options, json_string("mode=1777"));
        add_mount(work, mount->target, "tmpfs", "tmpfs", options);
}

static int add_volume(Work *work, const SpecMount *mount, Error **err)
{
        _cleanup_free_ char *source = NULL;
        _cleanup_strv_ char **tmpfs_options = NULL;
        int r = volume_use(work->layout, work->record, mount, work->rootfs, &source, &tmpfs_options, err);

        if (r < 0)
                return error_prefix(err, r, "volume at %s", mount->target);
        if (source) {
                add_bind(work, source, mount->target, mount->read_only, NULL);
        } else {
                SpecMount tmpfs = { .target = mount->target,
                                    .read_only = mount->read_only,
                                    .tmpfs_size = -1,
                                    .tmpfs_mode = -1,
                                    .options = tmpfs_options };
                add_tmpfs(work, &tmpfs);
        }
        return 0;
}

static int add_asked_mounts(Work *work, Error **err)
{
        const ContainerSpec *spec = work->record->spec;
        int r = 0;

        for (const SpecMount *mount = spec->mounts; r >= 0 && mount < spec->mounts + spec->n_mounts; mount++) {
                if (!mount->target || *mount->target != '/')
                        return error_set(err, ERROR_INVALID, "mount target \"%s\" is not an absolute path",
                                         mount->target ? mount->target : "");
                switch (mount->kind) {
                case SPEC_MOUNT_BIND:
                        r = add_host_bind(work, mount, err);
                        break;
                case SPEC_MOUNT_VOLUME:
                        r = add_volume(work, mount, err);
                        break;
                case SPEC_MOUNT_TMPFS:
                        add_tmpfs(work, mount);
                        break;
                }
        }
        for (size_t i = 0; r >= 0 && i < spec->n_files; i++) {
                _cleanup_free_ char *source = NULL;
                r = files_prepare(work->layout, work->record, work->rootfs, i, &source, err);
                if (r >= 0)
                        add_bind(work, source, spec->files[i].target, true, NULL);
        }
        return r;
}

/* ---- order ---- */

static size_t depth_of(const json_t *mount)
{
        size_t depth = 0;

        for (const char *c = json_get_string(mount, "destination", ""); *c; c++)
                depth += *c == '/' && c[1];
        return depth;
}

static bool is_replaced_later(const json_t *list, size_t index)
{
        const char *target = json_get_string(json_array_get(list, index), "destination", "");

        for (size_t i = index + 1; i < json_array_size(list); i++)
                if (streq(json_get_string(json_array_get(list, i), "destination", ""), target))
                        return true;
        return false;
}

/* Parents before children, otherwise as they came; of two at one place the later one. */
static json_t *in_order(const json_t *list)
{
        json_t *sorted = json_array();
        size_t deepest = 0;

        for (size_t i = 0; i < json_array_size(list); i++)
                deepest = MAX(deepest, depth_of(json_array_get(list, i)));
        for (size_t depth = 0; depth <= deepest; depth++)
                for (size_t i = 0; i < json_array_size(list); i++)
                        if (depth_of(json_array_get(list, i)) == depth && !is_replaced_later(list, i))
                                json_array_append(sorted, json_array_get(list, i));
        return sorted;
}

int mounts_prepare(const Layout *layout, const ContainerRecord *record, const char *rootfs,
                   const LocalNetworkResult *network, const EngineProgress *progress, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *list = json_array();
        Work work = { .layout = layout, .record = record, .rootfs = rootfs, .progress = progress, .list = list };
        int r;

        add_kernel_mounts(&work);
        add_image_binds(&work);
        add_network_files(&work, network);
        r = add_init(&work, err);
        if (r >= 0)
                r = add_asked_mounts(&work, err);
        if (r < 0)
                return r;
        *ret = in_order(list);
        return 0;
}
