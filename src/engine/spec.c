#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "engine/engine.h"
#include "engine/fields.h"
#include "state/document.h"

static const Field mount_fields[] = {
        FIELD(SpecMount, FIELD_INT, kind),
        FIELD(SpecMount, FIELD_STRING, source),
        FIELD(SpecMount, FIELD_STRING, target),
        FIELD(SpecMount, FIELD_BOOL, read_only),
        FIELD(SpecMount, FIELD_BOOL, create_host_path),
        FIELD(SpecMount, FIELD_BOOL, nocopy),
        FIELD(SpecMount, FIELD_BOOL, anonymous),
        FIELD(SpecMount, FIELD_STRING, subpath),
        FIELD(SpecMount, FIELD_STRING, propagation),
        FIELD(SpecMount, FIELD_STRING, selinux),
        FIELD_NUMBER(SpecMount, FIELD_INT64, tmpfs_size, -1),
        FIELD_NUMBER(SpecMount, FIELD_INT64, tmpfs_mode, -1),
        FIELD(SpecMount, FIELD_STRV, options),
};
static const FieldTable mount_table = FIELD_TABLE(SpecMount, mount_fields);

/* content is written beside these, see files_to_json. */
static const Field file_fields[] = {
        FIELD(SpecFile, FIELD_STRING, target),         FIELD(SpecFile, FIELD_STRING, host_path),
        FIELD_NUMBER(SpecFile, FIELD_INT64, uid, -1),  FIELD_NUMBER(SpecFile, FIELD_INT64, gid, -1),
        FIELD_NUMBER(SpecFile, FIELD_INT64, mode, -1), FIELD(SpecFile, FIELD_STRING, owner),
        FIELD(SpecFile, FIELD_BOOL, secret),           FIELD(SpecFile, FIELD_BOOL, in_memory),
};
static const FieldTable file_table = FIELD_TABLE(SpecFile, file_fields);

static const Field port_fields[] = {
        FIELD(SpecPort, FIELD_STRING, host_ip),
        FIELD(SpecPort, FIELD_UINT16, host_port),
        FIELD(SpecPort, FIELD_UINT16, host_port_last),
        FIELD(SpecPort, FIELD_UINT16, container_port),
        FIELD(SpecPort, FIELD_BOOL, udp),
};
static const FieldTable port_table = FIELD_TABLE(SpecPort, port_fields);

static const Field network_fields[] = {
        FIELD(SpecNetwork, FIELD_STRING, network), FIELD(SpecNetwork, FIELD_STRV, aliases),
        FIELD(SpecNetwork, FIELD_STRING, ipv4),    FIELD(SpecNetwork, FIELD_STRING, ipv6),
        FIELD(SpecNetwork, FIELD_STRING, mac),     FIELD(SpecNetwork, FIELD_INT64, priority),
};
static const FieldTable network_table = FIELD_TABLE(SpecNetwork, network_fields);

static const Field ulimit_fields[] = {
        FIELD(SpecUlimit, FIELD_STRING, name),
        FIELD(SpecUlimit, FIELD_INT64, soft),
        FIELD(SpecUlimit, FIELD_INT64, hard),
};
static const FieldTable ulimit_table = FIELD_TABLE(SpecUlimit, ulimit_fields);

static const Field device_fields[] = {
        FIELD(SpecDevice, FIELD_STRING, source),
        FIELD(SpecDevice, FIELD_STRING, target),
        FIELD(SpecDevice, FIELD_STRING, permissions),
};
static const FieldTable device_table = FIELD_TABLE(SpecDevice, device_fields);

#define STRING(member)           FIELD(ContainerSpec, FIELD_STRING, member)
#define STRV(member)             FIELD(ContainerSpec, FIELD_STRV, member)
#define BOOL(member)             FIELD(ContainerSpec, FIELD_BOOL, member)
#define NUMBER(member, fallback) FIELD_NUMBER(ContainerSpec, FIELD_INT64, member, fallback)

static const Field spec_fields[] = {
        STRING(name),
        STRING(project),
        STRING(service),
        FIELD(ContainerSpec, FIELD_INT, number),
        BOOL(oneoff),
        STRING(image),
        STRING(image_id),
        STRV(argv),
        STRV(launcher),
        STRV(environment),
        STRING(user),
        STRING(working_dir),
        STRING(hostname),
        STRING(domainname),
        BOOL(tty),
        BOOL(open_stdin),
        BOOL(read_only),
        BOOL(privileged),
        BOOL(init),
        BOOL(no_new_privileges),
        STRV(group_add),
        STRV(cap_add),
        STRV(cap_drop),
        STRV(security_opt),
        FIELD_ITEMS(ContainerSpec, mounts, n_mounts, &mount_table),
        FIELD_ITEMS(ContainerSpec, files, n_files, &file_table),
        STRING(network_mode),
        FIELD_ITEMS(ContainerSpec, networks, n_networks, &network_table),
        FIELD_ITEMS(ContainerSpec, ports, n_ports, &port_table),
        STRV(extra_hosts),
        STRV(dns),
        STRV(dns_search),
        STRV(dns_options),
        STRV(sysctls),
        FIELD_ITEMS(ContainerSpec, ulimits, n_ulimits, &ulimit_table),
        FIELD_ITEMS(ContainerSpec, devices, n_devices, &device_table),
        NUMBER(shm_size, -1),
        NUMBER(memory, -1),
        NUMBER(memory_reservation, -1),
        NUMBER(memory_swap, -1),
        NUMBER(memory_swappiness, -1),
        FIELD_NUMBER(ContainerSpec, FIELD_DOUBLE, cpus, -1),
        NUMBER(cpu_shares, -1),
        NUMBER(cpu_quota, -1),
        NUMBER(cpu_period, -1),
        NUMBER(pids, -1),
        STRING(cpuset),
        NUMBER(oom_score_adj, INT64_MIN),
        STRING(pid_mode),
        STRING(ipc_mode),
        STRING(uts_mode),
        STRING(cgroup_parent),
        STRING(stop_signal),
        NUMBER(stop_grace_ns, 10 * INT64_C(1000000000)),
        STRING(log_driver),
        NUMBER(log_max_size, -1),
        NUMBER(log_max_files, 1),
        STRING(restart),
        STRV(labels),
        STRV(annotations),
        STRING(healthcheck_json),
};
static const FieldTable spec_table = FIELD_TABLE(ContainerSpec, spec_fields);

ContainerSpec *container_spec_create(void)
{
        ContainerSpec *spec = xnew(ContainerSpec);

        fields_set_defaults(&spec_table, spec);
        spec->arena = arena_create();
        return spec;
}

void container_spec_free(ContainerSpec *spec)
{
        if (!spec)
                return;
        for (size_t i = 0; i < spec->n_files; i++)
                if (spec->files[i].secret && spec->files[i].content)
                        erase_memory(spec->files[i].content, spec->files[i].content_size);
        arena_free(spec->arena);
        free(spec);
}

/* Contents that are not UTF-8 cannot be JSON strings: those are written in hexadecimal. */
static void add_contents(const ContainerSpec *spec, json_t *files)
{
        for (size_t i = 0; i < spec->n_files; i++) {
                const SpecFile *file = &spec->files[i];
                json_t *text;
                if (!file->content || file->secret)
                        continue;
                text = json_stringn(file->content, file->content_size);
                if (text) {
                        json_object_set_new(json_array_get(files, i), "content", text);
                } else {
                        _cleanup_free_ char *hex = hex_encode(file->content, file->content_size);
                        json_object_set_new(json_array_get(files, i), "content_hex", json_string(hex));
                }
        }
}

json_t *container_spec_to_json(const ContainerSpec *spec)
{
        json_t *json = fields_to_json(&spec_table, spec);

        add_contents(spec, json_object_get(json, "files"));
        return json;
}

static int hex_value(char c)
{
        return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static void read_content(const json_t *json, Arena *arena, SpecFile *file)
{
        const json_t *text = json_object_get(json, "content");
        const char *hex = json_get_string(json, "content_hex", NULL);

        if (json_is_string(text)) {
                file->content_size = json_string_length(text);
                file->content = arena_alloc(arena, file->content_size + 1);
                memcpy(file->content, json_string_value(text), file->content_size);
        } else if (hex) {
                file->content_size = strlen(hex) / 2;
                file->content = arena_alloc(arena, file->content_size + 1);
                for (size_t i = 0; i < file->content_size; i++)
                        file->content[i] = (char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
        }
}

int container_spec_from_json(const json_t *json, ContainerSpec **ret, Error **err)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = container_spec_create();
        Arena *arena = spec->arena;
        int r;

        r = fields_from_json(&spec_table, json, arena, spec, err);
        spec->arena = arena;
        if (r < 0)
                return error_prefix(err, r, "container specification");
        if (!spec->argv || !spec->argv[0] || !spec->name)
                return error_set(err, ERROR_INVALID, "container specification: it has no name or no command");
        for (size_t i = 0; i < spec->n_files; i++)
                read_content(json_array_get(json_object_get(json, "files"), i), arena, &spec->files[i]);
        *ret = TAKE_PTR(spec);
        return 0;
}
