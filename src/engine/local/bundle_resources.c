#include "engine/local/bundle_resources.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/private.h"
#include "state/document.h"

#define CPU_PERIOD_US 100000
#define MIN_MEMORY    (6 * INT64_C(1024) * 1024) /* as Docker: less cannot even start a process */

static void set_number(json_t *object, const char *key, int64_t value)
{
        if (value >= 0)
                json_object_set_new(object, key, json_integer(value));
}

/* ---- devices ---- */

static int device_of(const char *path, char *ret_type, struct stat *ret, Error **err)
{
        if (stat(path, ret) < 0)
                return error_set_errno(err, errno, "device \"%s\"", path);
        if (!S_ISCHR(ret->st_mode) && !S_ISBLK(ret->st_mode))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a device", path);
        *ret_type = S_ISBLK(ret->st_mode) ? 'b' : 'c';
        return 0;
}

static int add_device(const SpecDevice *device, json_t *devices, json_t *rules, Error **err)
{
        const char *access = isempty(device->permissions) ? "rwm" : device->permissions;
        char type[2] = { 0 };
        struct stat status;
        int r = device_of(device->source, type, &status, err);

        if (r < 0)
                return r;
        json_array_append_new(devices,
                              json_pack("{s:s,s:s,s:I,s:I,s:i,s:I,s:I}", "path",
                                        isempty(device->target) ? device->source : device->target, "type", type,
                                        "major", (json_int_t)major(status.st_rdev), "minor",
                                        (json_int_t)minor(status.st_rdev), "fileMode", (int)(status.st_mode & 0777),
                                        "uid", (json_int_t)status.st_uid, "gid", (json_int_t)status.st_gid));
        json_array_append_new(rules, json_pack("{s:b,s:s,s:I,s:I,s:s}", "allow", 1, "type", type, "major",
                                               (json_int_t)major(status.st_rdev), "minor",
                                               (json_int_t)minor(status.st_rdev), "access", access));
        return 0;
}

/* Privileged containers see the host's devices, those right below /dev. */
static void add_host_devices(json_t *devices, json_t *rules)
{
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, "/dev", &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join("/dev", *name);
                SpecDevice device = { .source = path };
                struct stat status;
                if (!streq(*name, "console") && lstat(path, &status) == 0 && !S_ISLNK(status.st_mode))
                        add_device(&device, devices, rules, NULL);
        }
}

static int make_devices(const ContainerSpec *spec, json_t *devices, json_t *rules, Error **err)
{
        int r = 0;

        if (spec->privileged) {
                add_host_devices(devices, rules);
                json_array_append_new(rules, json_pack("{s:b,s:s}", "allow", 1, "access", "rwm"));
                return 0;
        }
        json_array_append_new(rules, json_pack("{s:b,s:s}", "allow", 0, "access", "rwm"));
        for (const SpecDevice *device = spec->devices; r >= 0 && device < spec->devices + spec->n_devices; device++)
                r = add_device(device, devices, rules, err);
        return r;
}

/* ---- limits ---- */

static int make_memory(const ContainerSpec *spec, json_t *resources, Error **err)
{
        json_t *memory = json_object();

        json_object_set_new(resources, "memory", memory);
        if (spec->memory >= 0 && spec->memory > 0 && spec->memory < MIN_MEMORY)
                return error_set(err, ERROR_INVALID, "a memory limit of %lld bytes is below the least, 6 MiB",
                                 (long long)spec->memory);
        if (spec->memory > 0) {
                set_number(memory, "limit", spec->memory);
                /* As Docker: without memswap_limit as much swap again as memory. */
                json_object_set_new(memory, "swap",
                                    json_integer(spec->memory_swap == 0 || spec->memory_swap < -1 ? 2 * spec->memory
                                                 : spec->memory_swap > 0                          ? spec->memory_swap
                                                                                                  : 2 * spec->memory));
        }
        if (spec->memory_reservation > 0)
                set_number(memory, "reservation", spec->memory_reservation);
        if (spec->memory_swappiness >= 0 && !cgroup_is_v2())
                set_number(memory, "swappiness", spec->memory_swappiness);
        return 0;
}

static void make_cpu(const ContainerSpec *spec, json_t *resources)
{
        json_t *cpu = json_object();

        json_object_set_new(resources, "cpu", cpu);
        if (spec->cpus > 0) {
                set_number(cpu, "period", CPU_PERIOD_US);
                set_number(cpu, "quota", (int64_t)(spec->cpus * CPU_PERIOD_US));
        }
        if (spec->cpu_quota > 0)
                set_number(cpu, "quota", spec->cpu_quota);
        if (spec->cpu_period > 0)
                set_number(cpu, "period", spec->cpu_period);
        if (spec->cpu_shares > 0)
                set_number(cpu, "shares", spec->cpu_shares);
        json_set_string(cpu, "cpus", isempty(spec->cpuset) ? NULL : spec->cpuset);
}

int bundle_devices_and_resources(const ContainerSpec *spec, const EngineProgress *progress, json_t **ret_devices,
                                 json_t **ret_resources, Error **err)
{
        _cleanup_json_ json_t *devices = json_array(), *resources = json_object();
        json_t *rules = json_array();
        int r;

        json_object_set_new(resources, "devices", rules);
        r = make_devices(spec, devices, rules, err);
        if (r >= 0)
                r = make_memory(spec, resources, err);
        if (r < 0)
                return r;
        make_cpu(spec, resources);
        json_object_set_new(resources, "pids",
                            json_pack("{s:I}", "limit", (json_int_t)(spec->pids > 0 ? spec->pids : DEFAULT_PIDS)));
        *ret_devices = TAKE_PTR(devices);
        *ret_resources = TAKE_PTR(resources);
        return 0;
}
