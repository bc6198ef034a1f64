#include "engine/local/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/bundle_process.h"
#include "engine/local/bundle_resources.h"
#include "engine/local/capabilities.h"
#include "engine/local/private.h"
#include "engine/local/seccomp_profile.h"
#include "state/document.h"

/* Docker's. */
static const char *const masked_paths[] = {
        "/proc/asound",
        "/proc/acpi",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = {
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static json_t *string_list(const char *const *strings, size_t length)
{
        json_t *list = json_array();

        for (size_t i = 0; i < length; i++)
                json_array_append_new(list, json_string(strings[i]));
        return list;
}

/* ---- namespaces ---- */

static void add_namespace(json_t *list, const char *type, const char *path)
{
        json_t *entry = json_pack("{s:s}", "type", type);

        json_set_string(entry, "path", path);
        json_array_append_new(list, entry);
}

/* mode: NULL, "private", "shareable": a new one; "host": none; "container:<name>": that container's. */
static int add_shared_namespace(const Bundle *bundle, json_t *list, const char *type, const char *file,
                                const char *mode, Error **err)
{
        _cleanup_record_ ContainerRecord *other = NULL;
        _cleanup_free_ char *path = NULL;
        const char *name = mode ? startswith(mode, "container:") : NULL;
        int r;

        if (mode && streq(mode, "host"))
                return 0;
        if (!name) {
                add_namespace(list, type, NULL);
                return 0;
        }
        r = container_record_find(bundle->layout, name, &other, err);
        if (r < 0)
                return r;
        if (container_record_state(other) != CONTAINER_RUNNING)
                return error_set(err, ERROR_CONFLICT, "container %s, whose %s namespace it joins, is not running", name,
                                 type);
        path = xasprintf("/proc/%d/ns/%s", (int)other->run.pid, file);
        add_namespace(list, type, path);
        return 0;
}

static int make_namespaces(const Bundle *bundle, json_t **ret, Error **err)
{
        const ContainerSpec *spec = bundle->record->spec;
        _cleanup_json_ json_t *list = json_array();
        int r;

        add_namespace(list, "mount", NULL);
        r = add_shared_namespace(bundle, list, "pid", "pid", spec->pid_mode, err);
        if (r >= 0)
                r = add_shared_namespace(bundle, list, "ipc", "ipc", spec->ipc_mode, err);
        if (r < 0)
                return r;
        if (bundle->network->netns_path)
                add_namespace(list, "network", bundle->network->netns_path);
        /* On the host's network a container has the host's name too, as with Docker. */
        if (!(spec->uts_mode && streq(spec->uts_mode, "host")) &&
            !(spec->network_mode && streq(spec->network_mode, "host") && !spec->hostname))
                add_namespace(list, "uts", NULL);
        if (cgroup_is_v2() && !spec->privileged)
                add_namespace(list, "cgroup", NULL);
        *ret = TAKE_PTR(list);
        return 0;
}

/* ---- the rest of "linux" ---- */

static bool security_option(const ContainerSpec *spec, const char *name, const char **ret)
{
        STRV_FOREACH(option, spec->security_opt) {
                const char *value = startswith(*option, name);
                if (value && (*value == '=' || *value == ':')) {
                        *ret = value + 1;
                        return true;
                }
        }
        return false;
}

static int add_seccomp(const Bundle *bundle, json_t *linux_part, char *const *capabilities, Error **err)
{
        const ContainerSpec *spec = bundle->record->spec;
        const char *profile = NULL;
        json_t *filter = NULL;
        int r;

        if (spec->privileged || (security_option(spec, "seccomp", &profile) && streq(profile, "unconfined")))
                return 0;
        r = seccomp_resolve(profile, capabilities, &filter, err);
        if (r < 0)
                return r;
        if (filter)
                json_object_set_new(linux_part, "seccomp", filter);
        else
                tell_warning(bundle->progress, "no seccomp profile at /usr/share/containers/seccomp.json: "
                                               "containers run without a system call filter");
        return 0;
}

static bool has_sysctl(const ContainerSpec *spec, const char *key)
{
        return strv_env_get(spec->sysctls, key) != NULL;
}

static json_t *make_sysctls(const Bundle *bundle)
{
        const ContainerSpec *spec = bundle->record->spec;
        json_t *sysctls = json_object();

        /* As Docker: any user may listen on low ports and ping, in a network of its own. */
        if (bundle->network->netns_path && !(spec->network_mode && startswith(spec->network_mode, "container:"))) {
                if (!has_sysctl(spec, "net.ipv4.ip_unprivileged_port_start"))
                        json_set_string(sysctls, "net.ipv4.ip_unprivileged_port_start", "0");
                if (!has_sysctl(spec, "net.ipv4.ping_group_range"))
                        json_set_string(sysctls, "net.ipv4.ping_group_range", "0 2147483647");
        }
        STRV_FOREACH(entry, spec->sysctls) {
                const char *value = strchr(*entry, '=');
                _cleanup_free_ char *key = value ? xstrndup(*entry, (size_t)(value - *entry)) : NULL;
                if (key)
                        json_set_string(sysctls, key, value + 1);
        }
        return sysctls;
}

static void add_paths(const ContainerSpec *spec, json_t *linux_part)
{
        const char *value;

        if (spec->privileged || (security_option(spec, "systempaths", &value) && streq(value, "unconfined")))
                return;
        json_object_set_new(linux_part, "maskedPaths", string_list(masked_paths, ARRAY_SIZE(masked_paths)));
        json_object_set_new(linux_part, "readonlyPaths", string_list(read_only_paths, ARRAY_SIZE(read_only_paths)));
}

static int make_linux(const Bundle *bundle, char *const *capabilities, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *part = json_object();
        json_t *namespaces = NULL, *devices = NULL, *resources = NULL;
        int r;

        r = make_namespaces(bundle, &namespaces, err);
        if (r < 0)
                return r;
        json_object_set_new(part, "namespaces", namespaces);
        json_set_string(part, "cgroupsPath", bundle->cgroup);
        json_object_set_new(part, "sysctl", make_sysctls(bundle));
        add_paths(bundle->record->spec, part);
        r = bundle_devices_and_resources(bundle->record->spec, bundle->progress, &devices, &resources, err);
        if (r < 0)
                return r;
        json_object_set_new(part, "devices", devices);
        json_object_set_new(part, "resources", resources);
        r = add_seccomp(bundle, part, capabilities, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(part);
        return 0;
}

static int make_config(const Bundle *bundle, int root_fd, json_t **ret, Error **err)
{
        const ContainerRecord *record = bundle->record;
        const ContainerSpec *spec = record->spec;
        _cleanup_json_ json_t *config = json_pack("{s:s}", "ociVersion", "1.0.2"), *process = NULL, *linux_part = NULL;
        _cleanup_strv_ char **capabilities = NULL;
        int r;

        r = bundle_process(spec, root_fd, NULL, bundle->progress, &process, err);
        if (r < 0)
                return r;
        r = bundle_process_main(record, process, err);
        if (r < 0)
                return r;
        r = capabilities_resolve(spec, NULL, &capabilities, err);
        if (r < 0)
                return r;
        r = make_linux(bundle, capabilities, &linux_part, err);
        if (r < 0)
                return r;
        json_object_set(config, "process", process);
        json_object_set_new(config, "root",
                            json_pack("{s:s,s:b}", "path", bundle->rootfs, "readonly", spec->read_only));
        if (!(spec->network_mode && streq(spec->network_mode, "host") && !spec->hostname) &&
            !(spec->uts_mode && streq(spec->uts_mode, "host"))) {
                _cleanup_free_ char *hostname = container_hostname(record);
                json_set_string(config, "hostname", hostname);
        }
        json_object_set(config, "mounts", bundle->mounts);
        json_object_set(config, "linux", linux_part);
        *ret = TAKE_PTR(config);
        return 0;
}

int bundle_write(const Bundle *bundle, Error **err)
{
        _cleanup_free_ char *folder = path_join(bundle->record->run_path, "bundle"),
                            *path = path_join(folder, "config.json");
        _cleanup_close_ int root_fd = open(bundle->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_json_ json_t *config = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        if (root_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", bundle->rootfs);
        r = make_config(bundle, root_fd, &config, err);
        if (r >= 0)
                r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        text = json_dumps(config, JSON_COMPACT);
        return fs_rewrite_in_place(AT_FDCWD, path, text, strlen(text), 0600, err);
}

char *bundle_cgroup(const Layout *layout, const ContainerSpec *spec, const char *id)
{
        const char *parent = spec->cgroup_parent;

        if (isempty(parent))
                return xasprintf("/berth-%s/%s", layout->id, id);
        return xasprintf("%s%s/berth-%s-%s", *parent == '/' ? "" : "/", parent, layout->id, id);
}
