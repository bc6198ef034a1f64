#include "compose/model_types.h"

#include <stddef.h>

#define FIELDS(...)            ((const Field[]){ __VA_ARGS__, { NULL } })
#define PUBLIC_TYPE(name, ...) const Type name = { FIELDS(__VA_ARGS__) }
#define TYPE(name, ...)        static PUBLIC_TYPE(name, __VA_ARGS__)

TYPE(type_file_mount, { "source", F_TEXT }, { "target", F_TEXT }, { "uid", F_TEXT }, { "gid", F_TEXT },
     { "mode", F_MODE });
TYPE(type_hook, { "command", F_COMMAND }, { "user", F_TEXT }, { "privileged", F_BOOL }, { "working_dir", F_TEXT },
     { "environment", F_VARIABLES });
TYPE(type_watch, { "path", F_TEXT, NULL, ALWAYS }, { "action", F_TEXT, NULL, ALWAYS }, { "target", F_TEXT },
     { "exec", F_STRUCT, &type_hook }, { "include", F_TEXTS }, { "ignore", F_TEXTS }, { "initial_sync", F_BOOL });
TYPE(type_develop, { "watch", F_LIST, &type_watch });
TYPE(type_build, { "context", F_TEXT }, { "dockerfile", F_TEXT }, { "dockerfile_inline", F_TEXT },
     { "entitlements", F_TEXTS }, { "args", F_VARIABLES }, { "provenance", F_TEXT }, { "sbom", F_TEXT },
     { "ssh", F_SSH }, { "labels", F_PAIRS }, { "cache_from", F_TEXTS }, { "cache_to", F_TEXTS },
     { "no_cache", F_BOOL }, { "additional_contexts", F_PAIRS }, { "pull", F_BOOL }, { "extra_hosts", F_HOSTS },
     { "isolation", F_TEXT }, { "network", F_TEXT }, { "target", F_TEXT }, { "secrets", F_LIST, &type_file_mount },
     { "shm_size", F_SIZE }, { "tags", F_TEXTS }, { "ulimits", F_ULIMITS }, { "platforms", F_TEXTS },
     { "privileged", F_BOOL });
TYPE(type_weight, { "path", F_TEXT, NULL, ALWAYS, "Path" }, { "weight", F_INT, NULL, ALWAYS, "Weight" });
TYPE(type_rate, { "path", F_TEXT, NULL, ALWAYS, "Path" }, { "rate", F_SIZE, NULL, ALWAYS, "Rate" });
TYPE(type_blkio, { "weight", F_INT }, { "weight_device", F_LIST, &type_weight },
     { "device_read_bps", F_LIST, &type_rate }, { "device_read_iops", F_LIST, &type_rate },
     { "device_write_bps", F_LIST, &type_rate }, { "device_write_iops", F_LIST, &type_rate });
TYPE(type_credential, { "config", F_TEXT }, { "file", F_TEXT }, { "registry", F_TEXT });
TYPE(type_dependency, { "condition", F_TEXT }, { "restart", F_BOOL }, { "required", F_BOOL, NULL, ALWAYS });
TYPE(type_device_request, { "capabilities", F_TEXTS }, { "driver", F_TEXT }, { "count", F_DEVICES },
     { "device_ids", F_TEXTS }, { "options", F_PAIRS });
TYPE(type_resource_spec, { "kind", F_TEXT, NULL, ALWAYS }, { "value", F_INT, NULL, ALWAYS });
TYPE(type_generic, { "discrete_resource_spec", F_POINTER, &type_resource_spec });
TYPE(type_resource, { "cpus", F_CPUS }, { "memory", F_SIZE }, { "pids", F_INT },
     { "devices", F_LIST, &type_device_request }, { "generic_resources", F_LIST, &type_generic });
TYPE(type_resources, { "limits", F_POINTER, &type_resource }, { "reservations", F_POINTER, &type_resource });
TYPE(type_update, { "parallelism", F_COUNT }, { "delay", F_DURATION }, { "failure_action", F_TEXT },
     { "monitor", F_DURATION }, { "max_failure_ratio", F_SINGLE }, { "order", F_TEXT });
TYPE(type_restart, { "condition", F_TEXT }, { "delay", F_SHOWN_DURATION }, { "max_attempts", F_COUNT },
     { "window", F_SHOWN_DURATION });
TYPE(type_preference, { "spread", F_TEXT });
TYPE(type_placement, { "constraints", F_TEXTS }, { "preferences", F_LIST, &type_preference },
     { "max_replicas_per_node", F_INT });
TYPE(type_deploy, { "mode", F_TEXT }, { "replicas", F_SHOWN_INT }, { "labels", F_PAIRS },
     { "update_config", F_POINTER, &type_update }, { "rollback_config", F_POINTER, &type_update },
     { "resources", F_STRUCT, &type_resources }, { "restart_policy", F_POINTER, &type_restart },
     { "placement", F_STRUCT, &type_placement }, { "endpoint_mode", F_TEXT });
TYPE(type_device, { "source", F_TEXT }, { "target", F_TEXT }, { "permissions", F_TEXT });
TYPE(type_provider, { "type", F_TEXT }, { "options", F_MULTI });
TYPE(type_extends, { "file", F_TEXT }, { "service", F_TEXT });
TYPE(type_healthcheck, { "test", F_TEST }, { "timeout", F_SHOWN_DURATION }, { "interval", F_SHOWN_DURATION },
     { "retries", F_COUNT }, { "start_period", F_SHOWN_DURATION }, { "start_interval", F_SHOWN_DURATION },
     { "disable", F_BOOL });
TYPE(type_logging, { "driver", F_TEXT }, { "options", F_PAIRS });
TYPE(type_service_model, { "endpoint_var", F_TEXT }, { "model_var", F_TEXT });
TYPE(type_service_network, { "aliases", F_TEXTS }, { "driver_opts", F_PAIRS }, { "gw_priority", F_INT },
     { "interface_name", F_TEXT }, { "ipv4_address", F_TEXT }, { "ipv6_address", F_TEXT },
     { "link_local_ips", F_TEXTS }, { "mac_address", F_TEXT }, { "priority", F_INT });
TYPE(type_port, { "name", F_TEXT }, { "mode", F_TEXT }, { "host_ip", F_TEXT }, { "target", F_INT },
     { "published", F_TEXT }, { "protocol", F_TEXT }, { "app_protocol", F_TEXT });
TYPE(type_mount_bind, { "selinux", F_TEXT }, { "propagation", F_TEXT },
     { "create_host_path", F_BOOL, NULL, KEEP_FALSE }, { "recursive", F_TEXT });
TYPE(type_mount_volume, { "labels", F_PAIRS }, { "nocopy", F_BOOL }, { "subpath", F_TEXT });
TYPE(type_mount_tmpfs, { "size", F_SIZE }, { "mode", F_INT });
TYPE(type_mount_image, { "subpath", F_TEXT });
TYPE(type_mount, { "type", F_TEXT }, { "source", F_TEXT }, { "target", F_TEXT }, { "read_only", F_BOOL },
     { "consistency", F_TEXT }, { "bind", F_POINTER, &type_mount_bind }, { "volume", F_POINTER, &type_mount_volume },
     { "tmpfs", F_POINTER, &type_mount_tmpfs }, { "image", F_POINTER, &type_mount_image });

PUBLIC_TYPE(type_service, { "profiles", F_TEXTS }, { "annotations", F_PAIRS }, { "attach", F_SHOWN_BOOL },
            { "build", F_POINTER, &type_build }, { "develop", F_POINTER, &type_develop },
            { "blkio_config", F_POINTER, &type_blkio }, { "cap_add", F_TEXTS }, { "cap_drop", F_TEXTS },
            { "cgroup_parent", F_TEXT }, { "cgroup", F_TEXT }, { "cpu_count", F_INT }, { "cpu_percent", F_SINGLE },
            { "cpu_period", F_INT }, { "cpu_quota", F_INT }, { "cpu_rt_period", F_INT }, { "cpu_rt_runtime", F_INT },
            { "cpus", F_SINGLE }, { "cpuset", F_TEXT }, { "cpu_shares", F_INT }, { "command", F_COMMAND },
            { "configs", F_LIST, &type_file_mount }, { "container_name", F_TEXT },
            { "credential_spec", F_POINTER, &type_credential }, { "depends_on", F_MAP, &type_dependency },
            { "deploy", F_POINTER, &type_deploy }, { "device_cgroup_rules", F_TEXTS },
            { "devices", F_LIST, &type_device }, { "dns", F_TEXTS }, { "dns_opt", F_TEXTS }, { "dns_search", F_TEXTS },
            { "domainname", F_TEXT }, { "entrypoint", F_COMMAND }, { "provider", F_POINTER, &type_provider },
            { "environment", F_VARIABLES }, { "env_file", F_ENV_FILES }, { "expose", F_NUMBERS },
            { "extends", F_POINTER, &type_extends }, { "external_links", F_TEXTS }, { "extra_hosts", F_HOSTS },
            { "group_add", F_NUMBERS }, { "gpus", F_LIST, &type_device_request }, { "hostname", F_TEXT },
            { "healthcheck", F_POINTER, &type_healthcheck }, { "image", F_TEXT }, { "init", F_SHOWN_BOOL },
            { "ipc", F_TEXT }, { "isolation", F_TEXT }, { "labels", F_PAIRS }, { "label_file", F_TEXTS },
            { "links", F_TEXTS }, { "logging", F_POINTER, &type_logging }, { "mem_limit", F_SIZE },
            { "mem_reservation", F_SIZE }, { "memswap_limit", F_SIZE }, { "mem_swappiness", F_SIZE },
            { "mac_address", F_TEXT }, { "models", F_MAP, &type_service_model }, { "network_mode", F_TEXT },
            { "networks", F_MAP, &type_service_network }, { "oom_kill_disable", F_BOOL }, { "oom_score_adj", F_INT },
            { "pid", F_TEXT }, { "pids_limit", F_INT }, { "platform", F_TEXT }, { "ports", F_LIST, &type_port },
            { "privileged", F_BOOL }, { "pull_policy", F_TEXT }, { "read_only", F_BOOL }, { "restart", F_TEXT },
            { "runtime", F_TEXT }, { "scale", F_SHOWN_INT }, { "secrets", F_LIST, &type_file_mount },
            { "security_opt", F_TEXTS }, { "shm_size", F_SIZE }, { "stdin_open", F_BOOL },
            { "stop_grace_period", F_SHOWN_DURATION }, { "stop_signal", F_TEXT }, { "storage_opt", F_STRINGS },
            { "sysctls", F_PAIRS }, { "tmpfs", F_TEXTS }, { "tty", F_BOOL }, { "ulimits", F_ULIMITS },
            { "use_api_socket", F_BOOL }, { "user", F_TEXT }, { "userns_mode", F_TEXT }, { "uts", F_TEXT },
            { "volumes", F_LIST, &type_mount }, { "volumes_from", F_TEXTS }, { "working_dir", F_TEXT },
            { "post_start", F_LIST, &type_hook }, { "pre_stop", F_LIST, &type_hook });

TYPE(type_pool, { "subnet", F_TEXT }, { "gateway", F_TEXT }, { "ip_range", F_TEXT }, { "aux_addresses", F_PAIRS });
TYPE(type_ipam, { "driver", F_TEXT }, { "config", F_LIST, &type_pool });
PUBLIC_TYPE(type_network, { "name", F_TEXT }, { "driver", F_TEXT }, { "driver_opts", F_PAIRS },
            { "ipam", F_STRUCT, &type_ipam }, { "external", F_BOOL }, { "internal", F_BOOL }, { "attachable", F_BOOL },
            { "labels", F_PAIRS }, { "enable_ipv4", F_SHOWN_BOOL }, { "enable_ipv6", F_SHOWN_BOOL });
PUBLIC_TYPE(type_volume, { "name", F_TEXT }, { "driver", F_TEXT }, { "driver_opts", F_PAIRS }, { "external", F_BOOL },
            { "labels", F_PAIRS });
PUBLIC_TYPE(type_file_object, { "name", F_TEXT }, { "file", F_TEXT }, { "environment", F_TEXT }, { "content", F_TEXT },
            { "external", F_BOOL }, { "labels", F_PAIRS }, { "driver", F_TEXT }, { "driver_opts", F_STRINGS },
            { "template_driver", F_TEXT });
PUBLIC_TYPE(type_model, { "name", F_TEXT }, { "model", F_TEXT }, { "context_size", F_INT },
            { "runtime_flags", F_TEXTS });
