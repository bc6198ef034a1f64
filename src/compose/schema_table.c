/* The rules of the compose specification. See schema.h for what the fields mean. */
#include <string.h>

#include "base/mem.h"
#include "compose/schema.h"

#define KEYS(...)  ((const SchemaKey[]){ __VA_ARGS__, { NULL, NULL } })
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const Schema text = { .types = T_STRING };
static const Schema flag = { .types = T_BOOL };
static const Schema flag_or_text = { .types = T_BOOL | T_STRING };
static const Schema integer = { .types = T_INT };
static const Schema integer_or_text = { .types = T_INT | T_STRING };
static const Schema number = { .types = T_NUMBER };
static const Schema number_or_text = { .types = T_NUMBER | T_STRING };
static const Schema open_map = { .types = T_MAP, .open = true };

static const Schema texts = { .types = T_LIST, .items = &text };
static const Schema unique_texts = { .types = T_LIST, .items = &text, .unique = true };
static const Schema unique_texts_or_numbers = { .types = T_LIST, .items = &number_or_text, .unique = true };
static const Schema text_or_texts = { .types = T_STRING | T_LIST, .items = &text, .unique = true };
static const Schema text_or_any_texts = { .types = T_STRING | T_LIST, .items = &text };
static const Schema command = { .types = T_NULL | T_STRING | T_LIST, .items = &text };

static const Schema scalar = { .types = T_STRING | T_NUMBER | T_BOOL | T_NULL };
static const Schema list_or_map = {
        .types = T_LIST | T_MAP,
        .items = &text,
        .unique = true,
        .names = NAMES_ANY,
        .values = &scalar,
};
static const Schema options = { .types = T_MAP, .names = NAMES_ANY, .values = &number_or_text, .open = true };
static const Schema string_map = { .types = T_MAP, .names = NAMES_ANY, .values = &text };
static const Schema hosts = {
        .types = T_LIST | T_MAP,
        .items = &text,
        .unique = true,
        .names = NAMES_ANY,
        .values = &text_or_any_texts,
};

static const Schema file_mount = {
        .types = T_STRING | T_MAP,
        .extensions = true,
        .keys = KEYS({ "source", &text }, { "target", &text }, { "uid", &text }, { "gid", &text },
                     { "mode", &number_or_text }),
};
static const Schema file_mounts = { .types = T_LIST, .items = &file_mount };

static const Schema ulimit = {
        .types = T_INT | T_STRING | T_MAP,
        .extensions = true,
        .required = WORDS("soft", "hard"),
        .keys = KEYS({ "hard", &integer_or_text }, { "soft", &integer_or_text }),
};
static const Schema ulimits = { .types = T_MAP, .names = NAMES_LOWER, .values = &ulimit, .open = true };

static const Schema hook = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("command"),
        .keys = KEYS({ "command", &command }, { "user", &text }, { "privileged", &flag_or_text },
                     { "working_dir", &text }, { "environment", &list_or_map }),
};
static const Schema hooks = { .types = T_LIST, .items = &hook };

static const Schema build = {
        .types = T_STRING | T_MAP,
        .extensions = true,
        .keys = KEYS({ "context", &text }, { "dockerfile", &text }, { "dockerfile_inline", &text },
                     { "entitlements", &texts }, { "args", &list_or_map }, { "ssh", &list_or_map },
                     { "labels", &list_or_map }, { "cache_from", &texts }, { "cache_to", &texts },
                     { "no_cache", &flag_or_text }, { "additional_contexts", &list_or_map }, { "network", &text },
                     { "provenance", &flag_or_text }, { "sbom", &flag_or_text }, { "pull", &flag_or_text },
                     { "target", &text }, { "shm_size", &integer_or_text }, { "extra_hosts", &hosts },
                     { "isolation", &text }, { "privileged", &flag_or_text }, { "secrets", &file_mounts },
                     { "tags", &texts }, { "ulimits", &ulimits }, { "platforms", &texts }),
};

static const Schema blkio_rate = { .types = T_MAP, .keys = KEYS({ "path", &text }, { "rate", &integer_or_text }) };
static const Schema blkio_rates = { .types = T_LIST, .items = &blkio_rate };
static const Schema blkio_weight = { .types = T_MAP, .keys = KEYS({ "path", &text }, { "weight", &integer_or_text }) };
static const Schema blkio_weights = { .types = T_LIST, .items = &blkio_weight };
static const Schema blkio = {
        .types = T_MAP,
        .keys = KEYS({ "device_read_bps", &blkio_rates }, { "device_read_iops", &blkio_rates },
                     { "device_write_bps", &blkio_rates }, { "device_write_iops", &blkio_rates },
                     { "weight", &integer_or_text }, { "weight_device", &blkio_weights }),
};

static const Schema cgroup = { .types = T_STRING, .words = WORDS("host", "private") };
static const Schema cpu_count = { .types = T_STRING | T_INT, .bounded = true, .low = 0, .high = INT64_MAX };
static const Schema cpu_percent = { .types = T_STRING | T_INT, .bounded = true, .low = 0, .high = 100 };
static const Schema oom_score = { .types = T_STRING | T_INT, .bounded = true, .low = -1000, .high = 1000 };
static const Schema credential_spec = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "config", &text }, { "file", &text }, { "registry", &text }),
};

static const Schema condition = {
        .types = T_STRING,
        .words = WORDS("service_started", "service_healthy", "service_completed_successfully"),
};
static const Schema dependency = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("condition"),
        .keys = KEYS({ "restart", &flag_or_text }, { "required", &flag }, { "condition", &condition }),
};
static const Schema depends_on = {
        .types = T_LIST | T_MAP,
        .items = &text,
        .unique = true,
        .names = NAMES_RESOURCE,
        .values = &dependency,
};

static const Schema device = {
        .types = T_STRING | T_MAP,
        .extensions = true,
        .required = WORDS("source"),
        .keys = KEYS({ "source", &text }, { "target", &text }, { "permissions", &text }),
};
static const Schema devices = { .types = T_LIST, .items = &device };

static const Schema env_file_item = {
        .types = T_STRING | T_MAP,
        .required = WORDS("path"),
        .keys = KEYS({ "path", &text }, { "format", &text }, { "required", &flag_or_text }),
};
static const Schema env_file = { .types = T_STRING | T_LIST, .items = &env_file_item };

static const Schema extends = {
        .types = T_STRING | T_MAP,
        .required = WORDS("service"),
        .keys = KEYS({ "service", &text }, { "file", &text }),
};

static const Schema provider_scalar = { .types = T_STRING | T_NUMBER | T_BOOL };
static const Schema provider_option = { .types = T_STRING | T_NUMBER | T_BOOL | T_LIST, .items = &provider_scalar };
static const Schema provider_options = { .types = T_MAP, .names = NAMES_ANY, .values = &provider_option, .open = true };
static const Schema provider = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("type"),
        .keys = KEYS({ "type", &text }, { "options", &provider_options }),
};

static const Schema healthcheck = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "disable", &flag_or_text }, { "interval", &text }, { "retries", &number_or_text },
                     { "test", &text_or_any_texts }, { "timeout", &text }, { "start_period", &text },
                     { "start_interval", &text }),
};

static const Schema log_option = { .types = T_STRING | T_NUMBER | T_NULL };
static const Schema log_options = { .types = T_MAP, .names = NAMES_ANY, .values = &log_option, .open = true };
static const Schema logging = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "driver", &text }, { "options", &log_options }),
};

static const Schema service_model = {
        .types = T_NULL | T_MAP,
        .extensions = true,
        .keys = KEYS({ "endpoint_var", &text }, { "model_var", &text }),
};
static const Schema service_models = {
        .types = T_LIST | T_MAP,
        .items = &text,
        .unique = true,
        .names = NAMES_RESOURCE,
        .values = &service_model,
        .open = true,
};

static const Schema service_network = {
        .types = T_NULL | T_MAP,
        .extensions = true,
        .keys = KEYS({ "aliases", &unique_texts }, { "interface_name", &text }, { "ipv4_address", &text },
                     { "ipv6_address", &text }, { "link_local_ips", &unique_texts }, { "mac_address", &text },
                     { "driver_opts", &options }, { "priority", &number }, { "gw_priority", &number }),
};
static const Schema service_networks = {
        .types = T_LIST | T_MAP,
        .items = &text,
        .unique = true,
        .names = NAMES_RESOURCE,
        .values = &service_network,
};

static const Schema port = {
        .types = T_NUMBER | T_STRING | T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }, { "mode", &text }, { "host_ip", &text }, { "target", &integer_or_text },
                     { "published", &integer_or_text }, { "protocol", &text }, { "app_protocol", &text }),
};
static const Schema ports = { .types = T_LIST, .items = &port, .unique = true };

static const Schema mount_type = { .types = T_STRING,
                                   .words = WORDS("bind", "volume", "tmpfs", "cluster", "npipe", "image") };
static const Schema bind_recursive = { .types = T_STRING,
                                       .words = WORDS("enabled", "disabled", "writable", "readonly") };
static const Schema bind_selinux = { .types = T_STRING, .words = WORDS("z", "Z") };
static const Schema mount_bind = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "propagation", &text }, { "create_host_path", &flag_or_text }, { "recursive", &bind_recursive },
                     { "selinux", &bind_selinux }),
};
static const Schema mount_volume = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "labels", &list_or_map }, { "nocopy", &flag_or_text }, { "subpath", &text }),
};
static const Schema tmpfs_size = { .types = T_INT | T_STRING, .bounded = true, .low = 0, .high = INT64_MAX };
static const Schema mount_tmpfs = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "size", &tmpfs_size }, { "mode", &number_or_text }),
};
static const Schema mount_image = { .types = T_MAP, .extensions = true, .keys = KEYS({ "subpath", &text }) };
static const Schema mount = {
        .types = T_STRING | T_MAP,
        .extensions = true,
        .required = WORDS("type"),
        .keys = KEYS({ "type", &mount_type }, { "source", &text }, { "target", &text }, { "read_only", &flag_or_text },
                     { "consistency", &text }, { "bind", &mount_bind }, { "volume", &mount_volume },
                     { "tmpfs", &mount_tmpfs }, { "image", &mount_image }),
};
static const Schema mounts = { .types = T_LIST, .items = &mount, .unique = true };

static const Schema watch_action = {
        .types = T_STRING,
        .words = WORDS("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
};
static const Schema watch = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("path", "action"),
        .keys = KEYS({ "ignore", &text_or_texts }, { "include", &text_or_texts }, { "path", &text },
                     { "action", &watch_action }, { "target", &text }, { "exec", &hook }, { "initial_sync", &flag }),
};
static const Schema watches = { .types = T_LIST, .items = &watch };
static const Schema develop = { .types = T_NULL | T_MAP, .extensions = true, .keys = KEYS({ "watch", &watches }) };

static const Schema update_order = { .types = T_STRING, .words = WORDS("start-first", "stop-first") };
static const Schema update_config = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "parallelism", &integer_or_text }, { "delay", &text }, { "failure_action", &text },
                     { "monitor", &text }, { "max_failure_ratio", &number_or_text }, { "order", &update_order }),
};
static const Schema resource_spec = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "kind", &text }, { "value", &number_or_text }),
};
static const Schema generic_resource = { .types = T_MAP,
                                         .extensions = true,
                                         .keys = KEYS({ "discrete_resource_spec", &resource_spec }) };
static const Schema generic_resources = { .types = T_LIST, .items = &generic_resource };
static const Schema device_request = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("capabilities"),
        .keys = KEYS({ "capabilities", &unique_texts }, { "count", &integer_or_text }, { "device_ids", &unique_texts },
                     { "driver", &text }, { "options", &list_or_map }),
};
static const Schema device_requests = { .types = T_LIST, .items = &device_request };
static const Schema gpu = {
        .types = T_MAP,
        .open = true,
        .keys = KEYS({ "capabilities", &unique_texts }, { "count", &integer_or_text }, { "device_ids", &unique_texts },
                     { "driver", &text }, { "options", &list_or_map }),
};
static const Schema gpus = { .types = T_STRING | T_LIST, .words = WORDS("all"), .items = &gpu };

static const Schema limits = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "cpus", &number_or_text }, { "memory", &text }, { "pids", &integer_or_text }),
};
static const Schema reservations = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "cpus", &number_or_text }, { "memory", &text }, { "generic_resources", &generic_resources },
                     { "devices", &device_requests }),
};
static const Schema resources = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "limits", &limits }, { "reservations", &reservations }),
};
static const Schema restart_policy = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "condition", &text }, { "delay", &text }, { "max_attempts", &integer_or_text },
                     { "window", &text }),
};
static const Schema preference = { .types = T_MAP, .extensions = true, .keys = KEYS({ "spread", &text }) };
static const Schema preferences = { .types = T_LIST, .items = &preference };
static const Schema placement = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "constraints", &texts }, { "preferences", &preferences },
                     { "max_replicas_per_node", &integer_or_text }),
};
static const Schema deploy = {
        .types = T_NULL | T_MAP,
        .extensions = true,
        .keys = KEYS({ "mode", &text }, { "endpoint_mode", &text }, { "replicas", &integer_or_text },
                     { "labels", &list_or_map }, { "rollback_config", &update_config },
                     { "update_config", &update_config }, { "resources", &resources },
                     { "restart_policy", &restart_policy }, { "placement", &placement }),
};

/* A letter or digit and one more character, anywhere in the name: as loose as the reference. */
static bool check_container_name(const char *name)
{
        for (; *name; name++) {
                bool start = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                             (*name >= '0' && *name <= '9');
                char next = name[1];

                if (start && next &&
                    ((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || (next >= '0' && next <= '9') ||
                     strchr("_.-", next)))
                        return true;
        }
        return false;
}

static bool check_pull_policy(const char *policy)
{
        static const char *const words[] = { "always",  "never",   "build", "if_not_present",
                                             "missing", "refresh", "daily", "weekly" };
        const char *every = policy;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strstr(policy, words[i]))
                        return true;
        while ((every = strstr(every, "every_"))) {
                size_t digits = strspn(every += 6, "0123456789");

                if (digits > 0 && every[digits] && strchr("wdhms", every[digits]))
                        return true;
        }
        return false;
}

static const Schema container_name = {
        .types = T_STRING,
        .check = check_container_name,
        .expected = "letters, digits, dots, dashes and underscores",
};
static const Schema pull_policy = {
        .types = T_STRING,
        .check = check_pull_policy,
        .expected = "always, never, missing, if_not_present, build, refresh, daily, weekly or every_<duration>",
};
static const Schema pid = { .types = T_STRING | T_NULL };

static const Schema service = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS(
                { "develop", &develop }, { "deploy", &deploy }, { "annotations", &list_or_map },
                { "attach", &flag_or_text }, { "build", &build }, { "blkio_config", &blkio },
                { "cap_add", &unique_texts }, { "cap_drop", &unique_texts }, { "cgroup", &cgroup },
                { "cgroup_parent", &text }, { "command", &command }, { "configs", &file_mounts },
                { "container_name", &container_name }, { "cpu_count", &cpu_count }, { "cpu_percent", &cpu_percent },
                { "cpu_shares", &number_or_text }, { "cpu_quota", &number_or_text }, { "cpu_period", &number_or_text },
                { "cpu_rt_period", &number_or_text }, { "cpu_rt_runtime", &number_or_text },
                { "cpus", &number_or_text }, { "cpuset", &text }, { "credential_spec", &credential_spec },
                { "depends_on", &depends_on }, { "device_cgroup_rules", &unique_texts }, { "devices", &devices },
                { "dns", &text_or_texts }, { "dns_opt", &unique_texts }, { "dns_search", &text_or_texts },
                { "domainname", &text }, { "entrypoint", &command }, { "env_file", &env_file },
                { "label_file", &text_or_any_texts }, { "environment", &list_or_map },
                { "expose", &unique_texts_or_numbers }, { "extends", &extends }, { "provider", &provider },
                { "external_links", &unique_texts }, { "extra_hosts", &hosts }, { "gpus", &gpus },
                { "group_add", &unique_texts_or_numbers }, { "healthcheck", &healthcheck }, { "hostname", &text },
                { "image", &text }, { "init", &flag_or_text }, { "ipc", &text }, { "isolation", &text },
                { "labels", &list_or_map }, { "links", &unique_texts }, { "logging", &logging },
                { "mac_address", &text }, { "mem_limit", &number_or_text }, { "mem_reservation", &integer_or_text },
                { "mem_swappiness", &integer_or_text }, { "memswap_limit", &number_or_text }, { "network_mode", &text },
                { "models", &service_models }, { "networks", &service_networks }, { "oom_kill_disable", &flag_or_text },
                { "oom_score_adj", &oom_score }, { "pid", &pid }, { "pids_limit", &number_or_text },
                { "platform", &text }, { "ports", &ports }, { "post_start", &hooks }, { "pre_stop", &hooks },
                { "privileged", &flag_or_text }, { "profiles", &unique_texts }, { "pull_policy", &pull_policy },
                { "pull_refresh_after", &text }, { "read_only", &flag_or_text }, { "restart", &text },
                { "runtime", &text }, { "scale", &integer_or_text }, { "security_opt", &unique_texts },
                { "shm_size", &number_or_text }, { "secrets", &file_mounts }, { "sysctls", &list_or_map },
                { "stdin_open", &flag_or_text }, { "stop_grace_period", &text }, { "stop_signal", &text },
                { "storage_opt", &open_map }, { "tmpfs", &text_or_texts }, { "tty", &flag_or_text },
                { "ulimits", &ulimits }, { "use_api_socket", &flag }, { "user", &text }, { "uts", &text },
                { "userns_mode", &text }, { "volumes", &mounts }, { "volumes_from", &unique_texts },
                { "working_dir", &text }, { "x-berth", &schema_x_berth_service }),
};
static const Schema services = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &service };

static const Schema external = {
        .types = T_BOOL | T_STRING | T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }),
};
static const Schema external_file = { .types = T_BOOL | T_STRING | T_MAP,
                                      .open = true,
                                      .keys = KEYS({ "name", &text }) };

static const Schema ipam_pool = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "subnet", &text }, { "ip_range", &text }, { "gateway", &text },
                     { "aux_addresses", &string_map }),
};
static const Schema ipam_pools = { .types = T_LIST, .items = &ipam_pool };
static const Schema ipam = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "driver", &text }, { "config", &ipam_pools }, { "options", &string_map }),
};
static const Schema network = {
        .types = T_NULL | T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }, { "driver", &text }, { "driver_opts", &options }, { "ipam", &ipam },
                     { "external", &external }, { "internal", &flag_or_text }, { "enable_ipv4", &flag_or_text },
                     { "enable_ipv6", &flag_or_text }, { "attachable", &flag_or_text }, { "labels", &list_or_map }),
};
static const Schema networks = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &network, .open = true };

static const Schema volume = {
        .types = T_NULL | T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }, { "driver", &text }, { "driver_opts", &options }, { "external", &external },
                     { "labels", &list_or_map }),
};
static const Schema volumes = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &volume };

static const Schema secret = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }, { "environment", &text }, { "file", &text }, { "external", &external_file },
                     { "labels", &list_or_map }, { "driver", &text }, { "driver_opts", &options },
                     { "template_driver", &text }),
};
static const Schema secrets = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &secret };

static const Schema config = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "name", &text }, { "content", &text }, { "environment", &text }, { "file", &text },
                     { "external", &external_file }, { "labels", &list_or_map }, { "template_driver", &text }),
};
static const Schema configs = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &config };

static const Schema model = {
        .types = T_MAP,
        .extensions = true,
        .required = WORDS("model"),
        .keys = KEYS({ "name", &text }, { "model", &text }, { "context_size", &integer }, { "runtime_flags", &texts }),
};
static const Schema models = { .types = T_MAP, .names = NAMES_RESOURCE, .values = &model, .open = true };

static const Schema include = {
        .types = T_STRING | T_MAP,
        .keys = KEYS({ "path", &text_or_texts }, { "env_file", &text_or_texts }, { "project_directory", &text }),
};
static const Schema includes = { .types = T_LIST, .items = &include };

const Schema schema_compose = {
        .types = T_MAP,
        .extensions = true,
        .keys = KEYS({ "version", &text }, { "name", &text }, { "include", &includes }, { "services", &services },
                     { "models", &models }, { "networks", &networks }, { "volumes", &volumes }, { "secrets", &secrets },
                     { "configs", &configs }, { "x-berth", &schema_x_berth_top }),
};
