#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "compose/short_syntax.h"
#include "compose/typed.h"
#include "compose/typed_values.h"

static void read_command(Arena *arena, const Node *service, const char *key, char ***ret, bool *ret_given)
{
        const Node *node = node_get(service, key);

        *ret_given = node_is(node, NODE_LIST);
        *ret = typed_texts(arena, node);
}

static void read_ports(Arena *arena, const Node *list, Port **ret, size_t *ret_length)
{
        if (!node_is(list, NODE_LIST))
                return;
        *ret = arena_new_array(arena, Port, list->n_items + 1);
        *ret_length = 0;
        NODE_FOREACH_ITEM(item, list)
        {
                Port *port = &(*ret)[(*ret_length)++];

                port->host_ip = typed_text(arena, *item, "host_ip");
                port->published = typed_text(arena, *item, "published");
                port->target = (uint16_t)typed_int(*item, "target", 0);
                port->protocol = typed_text(arena, *item, "protocol");
                port->mode = typed_text(arena, *item, "mode");
        }
}

int ports_parse(Arena *arena, const char *text, Port **ret, size_t *ret_length, Error **err)
{
        const char *reason = NULL;
        const Node *list = short_port(arena, NULL, text, &reason);

        if (!list)
                return error_set(err, ERROR_USAGE, "publish \"%s\": %s", text, reason);
        read_ports(arena, list, ret, ret_length);
        return 0;
}

static void read_mount(Arena *arena, const Node *node, Mount *mount)
{
        const Node *bind = node_get(node, "bind"), *volume = node_get(node, "volume"), *tmpfs = node_get(node, "tmpfs");
        const char *type = node_text(node_get(node, "type"));

        if (!type)
                type = "volume";
        mount->type = streq(type, "bind")     ? MOUNT_TYPE_BIND
                      : streq(type, "volume") ? MOUNT_TYPE_VOLUME
                      : streq(type, "tmpfs")  ? MOUNT_TYPE_TMPFS
                                              : MOUNT_TYPE_OTHER;
        if (mount->type == MOUNT_TYPE_OTHER)
                mount->other_type = (char *)type;
        mount->source = typed_text(arena, node, "source");
        mount->target = typed_text(arena, node, "target");
        mount->read_only = typed_bool(node, "read_only");
        /* A long form that says nothing makes the folder. */
        mount->create_host_path = !node_find(bind, "create_host_path") || typed_bool(bind, "create_host_path");
        mount->propagation = typed_text(arena, bind, "propagation");
        mount->selinux = typed_text(arena, bind, "selinux");
        mount->nocopy = typed_bool(volume, "nocopy");
        mount->subpath = typed_text(arena, volume, "subpath");
        mount->tmpfs_size = typed_size(tmpfs, "size");
        mount->tmpfs_mode = typed_int(tmpfs, "mode", -1);
}

static void read_mounts(Arena *arena, const Node *list, Service *service)
{
        if (!node_is(list, NODE_LIST))
                return;
        service->mounts = arena_new_array(arena, Mount, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        read_mount(arena, *item, &service->mounts[service->n_mounts++]);
}

static void read_networks(Arena *arena, const Node *map, Service *service)
{
        if (!node_is(map, NODE_MAP))
                return;
        service->networks = arena_new_array(arena, ServiceNetwork, map->n_entries + 1);
        NODE_FOREACH_ENTRY(entry, map)
        {
                ServiceNetwork *network = &service->networks[service->n_networks++];

                network->network = (char *)entry->key;
                network->aliases = typed_texts(arena, node_get(entry->value, "aliases"));
                network->ipv4_address = typed_text(arena, entry->value, "ipv4_address");
                network->ipv6_address = typed_text(arena, entry->value, "ipv6_address");
                network->mac_address = typed_text(arena, entry->value, "mac_address");
                network->priority = typed_int(entry->value, "gw_priority", typed_int(entry->value, "priority", 0));
        }
}

static int64_t read_number(const Node *map, const char *key, int base)
{
        const char *text = node_text(node_get(map, key));
        char *end;
        long long value;

        if (isempty(text))
                return -1;
        value = strtoll(text, &end, base);
        return *end ? -1 : value;
}

static void read_files(Arena *arena, const Node *list, const char *folder, FileReference **ret, size_t *ret_length)
{
        if (!node_is(list, NODE_LIST))
                return;
        *ret = arena_new_array(arena, FileReference, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        {
                FileReference *file = &(*ret)[(*ret_length)++];
                const char *target = node_text(node_get(*item, "target"));

                file->source = typed_text(arena, *item, "source");
                if (!target)
                        target = file->source;
                file->target = *target == '/' ? (char *)target : arena_printf(arena, "%s/%s", folder, target);
                file->uid = read_number(*item, "uid", 10);
                file->gid = read_number(*item, "gid", 10);
                file->mode = read_number(*item, "mode", 8);
        }
}

static void read_healthcheck(Arena *arena, const Node *node, Service *service)
{
        Healthcheck *check;

        if (!node_is(node, NODE_MAP))
                return;
        check = service->healthcheck = arena_new(arena, Healthcheck);
        check->test = typed_texts(arena, node_get(node, "test"));
        check->disable = typed_bool(node, "disable") || (check->test && streq(check->test[0], "NONE"));
        check->interval_ns = typed_duration(node, "interval");
        check->timeout_ns = typed_duration(node, "timeout");
        check->start_period_ns = typed_duration(node, "start_period");
        check->start_interval_ns = typed_duration(node, "start_interval");
        check->retries = typed_int(node, "retries", -1);
}

static void read_dependencies(Arena *arena, const Node *map, Service *service)
{
        if (!node_is(map, NODE_MAP))
                return;
        service->depends_on = arena_new_array(arena, Dependency, map->n_entries + 1);
        NODE_FOREACH_ENTRY(entry, map)
        {
                Dependency *dependency = &service->depends_on[service->n_depends_on++];
                const char *condition = node_text(node_get(entry->value, "condition"));
                const Node *required = node_get(entry->value, "required");

                dependency->service = (char *)entry->key;
                dependency->condition = !condition || streq(condition, "service_started") ? DEPENDENCY_STARTED
                                        : streq(condition, "service_healthy")             ? DEPENDENCY_HEALTHY
                                                                                          : DEPENDENCY_COMPLETED;
                dependency->restart = typed_bool(entry->value, "restart");
                dependency->required = !required || typed_bool(entry->value, "required");
                dependency->list_form = (entry->value->flags & NODE_LIST_FORM) || node_find(entry->value, "x-#list");
        }
}

static void read_restart(const Node *node, Service *service)
{
        const char *text = node_text(node_get(node, "restart")), *attempts;
        const Node *policy = node_get(node_get(node, "deploy"), "restart_policy");
        const char *condition = node_text(node_get(policy, "condition"));
        RestartPolicy *restart = &service->restart;

        *restart = (RestartPolicy){ RESTART_NO, -1, -1, -1 };
        if (policy) {
                restart->kind = !condition || streq(condition, "any") ? RESTART_ALWAYS
                                : streq(condition, "on-failure")      ? RESTART_ON_FAILURE
                                                                      : RESTART_NO;
                restart->max_attempts = typed_int(policy, "max_attempts", -1);
                restart->delay_ns = typed_duration(policy, "delay");
                restart->window_ns = typed_duration(policy, "window");
                return;
        }
        if (!text)
                return;
        attempts = startswith(text, "on-failure");
        if (attempts) {
                restart->kind = RESTART_ON_FAILURE;
                if (*attempts == ':')
                        parse_int64(attempts + 1, 0, INT64_MAX, &restart->max_attempts);
        } else if (streq(text, "always")) {
                restart->kind = RESTART_ALWAYS;
        } else if (streq(text, "unless-stopped")) {
                restart->kind = RESTART_UNLESS_STOPPED;
        }
}

static void read_ulimits(Arena *arena, const Node *map, Service *service)
{
        if (!node_is(map, NODE_MAP))
                return;
        service->ulimits = arena_new_array(arena, Ulimit, map->n_entries + 1);
        NODE_FOREACH_ENTRY(entry, map)
        {
                Ulimit *ulimit = &service->ulimits[service->n_ulimits++];

                ulimit->name = (char *)entry->key;
                if (entry->value->kind == NODE_INT)
                        ulimit->soft = ulimit->hard = entry->value->integer;
                else {
                        ulimit->soft = typed_int(entry->value, "soft", 0);
                        ulimit->hard = typed_int(entry->value, "hard", 0);
                }
        }
}

static void read_hosts(Arena *arena, const Node *list, Service *service)
{
        if (!node_is(list, NODE_LIST))
                return;
        service->extra_hosts = arena_new_array(arena, ExtraHost, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        {
                const char *text = node_text(*item), *equals = text ? strchr(text, '=') : NULL;

                if (equals)
                        service->extra_hosts[service->n_extra_hosts++] = (ExtraHost){
                                arena_strndup(arena, text, (size_t)(equals - text)),
                                arena_strdup(arena, equals + 1),
                        };
        }
}

static void read_devices(Arena *arena, const Node *list, Service *service)
{
        if (!node_is(list, NODE_LIST))
                return;
        service->devices = arena_new_array(arena, Device, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        {
                char *target = typed_text(arena, *item, "target"),
                     *permissions = typed_text(arena, *item, "permissions");
                char *source = typed_text(arena, *item, "source");

                service->devices[service->n_devices++] = (Device){
                        source,
                        target ? target : source,
                        permissions ? permissions : arena_strdup(arena, "rwm"),
                };
        }
}

static void read_resources(Arena *arena, const Node *node, Resources *resources)
{
        const Node *all = node_get(node_get(node, "deploy"), "resources");
        const Node *limits = node_get(all, "limits"), *reservations = node_get(all, "reservations");

        resources->cpus = typed_float(limits, "cpus", typed_float(node, "cpus", -1));
        resources->cpu_shares = typed_int(node, "cpu_shares", -1);
        resources->cpu_quota = typed_int(node, "cpu_quota", -1);
        resources->cpu_period = typed_int(node, "cpu_period", -1);
        resources->cpuset = typed_text(arena, node, "cpuset");
        resources->memory = typed_size(limits, "memory");
        if (resources->memory < 0)
                resources->memory = typed_size(node, "mem_limit");
        resources->memory_reservation = typed_size(reservations, "memory");
        if (resources->memory_reservation < 0)
                resources->memory_reservation = typed_size(node, "mem_reservation");
        resources->memory_swap = typed_size(node, "memswap_limit");
        resources->memory_swappiness = typed_size(node, "mem_swappiness");
        resources->pids = typed_int(limits, "pids", typed_int(node, "pids_limit", -1));
}

static void read_hooks(Arena *arena, const Node *list, Hook **ret, size_t *ret_length)
{
        if (!node_is(list, NODE_LIST))
                return;
        *ret = arena_new_array(arena, Hook, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        {
                Hook *hook = &(*ret)[(*ret_length)++];

                hook->command = typed_texts(arena, node_get(*item, "command"));
                hook->user = typed_text(arena, *item, "user");
                hook->working_dir = typed_text(arena, *item, "working_dir");
                hook->environment = typed_pairs(arena, node_get(*item, "environment"));
                hook->privileged = typed_bool(*item, "privileged");
        }
}

/* Fields that are a copy of one value. */
static void read_plain(Arena *arena, const Node *node, Service *service)
{
        static const struct {
                const char *key;
                size_t offset;
        } texts[] = {
                { "container_name", offsetof(Service, container_name) }, { "image", offsetof(Service, image) },
                { "pull_policy", offsetof(Service, pull_policy) },       { "platform", offsetof(Service, platform) },
                { "network_mode", offsetof(Service, network_mode) },     { "stop_signal", offsetof(Service, stop_signal) },
                { "user", offsetof(Service, user) },                     { "working_dir", offsetof(Service, working_dir) },
                { "hostname", offsetof(Service, hostname) },             { "domainname", offsetof(Service, domainname) },
                { "mac_address", offsetof(Service, mac_address) },       { "ipc", offsetof(Service, ipc) },
                { "pid", offsetof(Service, pid) },                       { "uts", offsetof(Service, uts) },
                { "userns_mode", offsetof(Service, userns_mode) },       { "cgroup", offsetof(Service, cgroup) },
                { "cgroup_parent", offsetof(Service, cgroup_parent) },   { "runtime", offsetof(Service, runtime) },
                { "isolation", offsetof(Service, isolation) },
        }, lists[] = {
                { "expose", offsetof(Service, expose) },             { "tmpfs", offsetof(Service, tmpfs) },
                { "volumes_from", offsetof(Service, volumes_from) }, { "group_add", offsetof(Service, group_add) },
                { "cap_add", offsetof(Service, cap_add) },           { "cap_drop", offsetof(Service, cap_drop) },
                { "security_opt", offsetof(Service, security_opt) }, { "dns", offsetof(Service, dns) },
                { "dns_search", offsetof(Service, dns_search) },     { "dns_opt", offsetof(Service, dns_opt) },
                { "profiles", offsetof(Service, profiles) },
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                *(char **)((char *)service + texts[i].offset) = typed_text(arena, node, texts[i].key);
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                *(char ***)((char *)service + lists[i].offset) = typed_texts(arena, node_get(node, lists[i].key));
        service->environment = typed_pairs(arena, node_get(node, "environment"));
        service->labels = typed_pairs(arena, node_get(node, "labels"));
        service->annotations = typed_pairs(arena, node_get(node, "annotations"));
        service->sysctls = typed_pairs(arena, node_get(node, "sysctls"));
        service->read_only = typed_bool(node, "read_only");
        service->privileged = typed_bool(node, "privileged");
        service->tty = typed_bool(node, "tty");
        service->stdin_open = typed_bool(node, "stdin_open");
        service->oom_kill_disable = typed_bool(node, "oom_kill_disable");
        service->oom_score_adj = typed_int(node, "oom_score_adj", INT64_MIN);
        service->shm_size = typed_size(node, "shm_size");
        service->stop_grace_period_ns = typed_duration(node, "stop_grace_period");
        service->init = node_find(node, "init") ? typed_bool(node, "init") : -1;
        service->attach = !node_find(node, "attach") || typed_bool(node, "attach");
        service->scale = typed_int(node, "scale", typed_int(node_get(node, "deploy"), "replicas", 1));
}

void typed_service(Arena *arena, const char *name, const Node *node, Service *service)
{
        const Node *logging = node_get(node, "logging");

        service->name = (char *)name;
        service->node = node;
        service->x_berth = node_get(node, "x-berth");
        service->has_build = node_is(node_get(node, "build"), NODE_MAP);
        read_plain(arena, node, service);
        read_command(arena, node, "command", &service->command, &service->has_command);
        read_command(arena, node, "entrypoint", &service->entrypoint, &service->has_entrypoint);
        read_ports(arena, node_get(node, "ports"), &service->ports, &service->n_ports);
        read_mounts(arena, node_get(node, "volumes"), service);
        read_networks(arena, node_get(node, "networks"), service);
        read_files(arena, node_get(node, "secrets"), "/run/secrets", &service->secrets, &service->n_secrets);
        read_files(arena, node_get(node, "configs"), "", &service->configs, &service->n_configs);
        read_healthcheck(arena, node_get(node, "healthcheck"), service);
        read_dependencies(arena, node_get(node, "depends_on"), service);
        read_restart(node, service);
        read_ulimits(arena, node_get(node, "ulimits"), service);
        read_hosts(arena, node_get(node, "extra_hosts"), service);
        read_devices(arena, node_get(node, "devices"), service);
        read_resources(arena, node, &service->resources);
        read_hooks(arena, node_get(node, "post_start"), &service->post_start, &service->n_post_start);
        read_hooks(arena, node_get(node, "pre_stop"), &service->pre_stop, &service->n_pre_stop);
        service->log_driver = typed_text(arena, logging, "driver");
        service->log_options = typed_pairs(arena, node_get(logging, "options"));
}
