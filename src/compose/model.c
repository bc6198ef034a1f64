#include "compose/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "compose/interpolate.h"
#include "compose/short_syntax.h"

typedef enum FieldKind {
        F_TEXT,       /* a string */
        F_INT,        /* 0 is empty */
        F_COUNT,      /* not negative, shown where given */
        F_SHOWN_INT,  /* shown where given */
        F_SINGLE,     /* a number of single precision */
        F_BOOL,       /* false is empty */
        F_SHOWN_BOOL, /* shown where given */
        F_DURATION,   /* 0 is empty */
        F_SHOWN_DURATION,
        F_SIZE,       /* bytes, shown as a decimal string */
        F_TEXTS,      /* a list of strings, or one */
        F_NUMBERS,    /* the same with numbers among them */
        F_PAIRS,      /* a map of texts, no value is "" */
        F_STRINGS,    /* a map of strings or integers */
        F_VARIABLES,  /* a map of texts, no value is null */
        F_MULTI,      /* a map of lists of texts */
        F_HOSTS,
        F_COMMAND,
        F_TEST,
        F_MODE,
        F_CPUS,
        F_DEVICES,    /* "all" or a number */
        F_SSH,
        F_ENV_FILES,
        F_ULIMITS,
        F_STRUCT,     /* a value: shown empty in JSON only */
        F_POINTER,    /* shown where given, also empty */
        F_LIST,
        F_MAP,        /* by names that a user chose; a null stays */
} FieldKind;

enum {
        ALWAYS = 1 << 0, /* also where it is empty */
};

typedef struct Type Type;

typedef struct Field {
        const char *name;
        FieldKind kind;
        const Type *type;
        unsigned flags;
        const char *json_name; /* NULL: name */
} Field;

struct Type {
        const Field *fields; /* ends with a NULL name */
};

#define TYPE(name, ...) static const Type name = { (const Field[]){ __VA_ARGS__, { NULL, F_TEXT, NULL, 0, NULL } } }

TYPE(type_file_mount, { "source", F_TEXT }, { "target", F_TEXT }, { "uid", F_TEXT }, { "gid", F_TEXT }, { "mode", F_MODE });
TYPE(type_hook, { "command", F_COMMAND }, { "user", F_TEXT }, { "privileged", F_BOOL }, { "working_dir", F_TEXT },
     { "environment", F_VARIABLES });
TYPE(type_watch, { "path", F_TEXT, NULL, ALWAYS }, { "action", F_TEXT, NULL, ALWAYS }, { "target", F_TEXT }, { "exec", F_STRUCT, &type_hook },
     { "include", F_TEXTS }, { "ignore", F_TEXTS }, { "initial_sync", F_BOOL });
TYPE(type_develop, { "watch", F_LIST, &type_watch });
TYPE(type_build, { "context", F_TEXT }, { "dockerfile", F_TEXT }, { "dockerfile_inline", F_TEXT }, { "entitlements", F_TEXTS },
     { "args", F_VARIABLES }, { "provenance", F_TEXT }, { "sbom", F_TEXT }, { "ssh", F_SSH }, { "labels", F_PAIRS },
     { "cache_from", F_TEXTS }, { "cache_to", F_TEXTS }, { "no_cache", F_BOOL }, { "additional_contexts", F_PAIRS }, { "pull", F_BOOL },
     { "extra_hosts", F_HOSTS }, { "isolation", F_TEXT }, { "network", F_TEXT }, { "target", F_TEXT },
     { "secrets", F_LIST, &type_file_mount }, { "shm_size", F_SIZE }, { "tags", F_TEXTS }, { "ulimits", F_ULIMITS },
     { "platforms", F_TEXTS }, { "privileged", F_BOOL });
TYPE(type_weight, { "path", F_TEXT, NULL, ALWAYS, "Path" }, { "weight", F_INT, NULL, ALWAYS, "Weight" });
TYPE(type_rate, { "path", F_TEXT, NULL, ALWAYS, "Path" }, { "rate", F_SIZE, NULL, ALWAYS, "Rate" });
TYPE(type_blkio, { "weight", F_INT }, { "weight_device", F_LIST, &type_weight }, { "device_read_bps", F_LIST, &type_rate },
     { "device_read_iops", F_LIST, &type_rate }, { "device_write_bps", F_LIST, &type_rate },
     { "device_write_iops", F_LIST, &type_rate });
TYPE(type_credential, { "config", F_TEXT }, { "file", F_TEXT }, { "registry", F_TEXT });
TYPE(type_dependency, { "condition", F_TEXT }, { "restart", F_BOOL }, { "required", F_BOOL, NULL, ALWAYS });
TYPE(type_device_request, { "capabilities", F_TEXTS }, { "driver", F_TEXT }, { "count", F_DEVICES }, { "device_ids", F_TEXTS },
     { "options", F_PAIRS });
TYPE(type_resource_spec, { "kind", F_TEXT, NULL, ALWAYS }, { "value", F_INT, NULL, ALWAYS });
TYPE(type_generic, { "discrete_resource_spec", F_POINTER, &type_resource_spec });
TYPE(type_resource, { "cpus", F_CPUS }, { "memory", F_SIZE }, { "pids", F_INT }, { "devices", F_LIST, &type_device_request },
     { "generic_resources", F_LIST, &type_generic });
TYPE(type_resources, { "limits", F_POINTER, &type_resource }, { "reservations", F_POINTER, &type_resource });
TYPE(type_update, { "parallelism", F_COUNT }, { "delay", F_DURATION }, { "failure_action", F_TEXT }, { "monitor", F_DURATION },
     { "max_failure_ratio", F_SINGLE }, { "order", F_TEXT });
TYPE(type_restart, { "condition", F_TEXT }, { "delay", F_SHOWN_DURATION }, { "max_attempts", F_COUNT }, { "window", F_SHOWN_DURATION });
TYPE(type_preference, { "spread", F_TEXT });
TYPE(type_placement, { "constraints", F_TEXTS }, { "preferences", F_LIST, &type_preference }, { "max_replicas_per_node", F_INT });
TYPE(type_deploy, { "mode", F_TEXT }, { "replicas", F_SHOWN_INT }, { "labels", F_PAIRS }, { "update_config", F_POINTER, &type_update },
     { "rollback_config", F_POINTER, &type_update }, { "resources", F_STRUCT, &type_resources },
     { "restart_policy", F_POINTER, &type_restart }, { "placement", F_STRUCT, &type_placement }, { "endpoint_mode", F_TEXT });
TYPE(type_device, { "source", F_TEXT }, { "target", F_TEXT }, { "permissions", F_TEXT });
TYPE(type_provider, { "type", F_TEXT }, { "options", F_MULTI });
TYPE(type_extends, { "file", F_TEXT }, { "service", F_TEXT });
TYPE(type_healthcheck, { "test", F_TEST }, { "timeout", F_SHOWN_DURATION }, { "interval", F_SHOWN_DURATION }, { "retries", F_COUNT },
     { "start_period", F_SHOWN_DURATION }, { "start_interval", F_SHOWN_DURATION }, { "disable", F_BOOL });
TYPE(type_logging, { "driver", F_TEXT }, { "options", F_PAIRS });
TYPE(type_service_model, { "endpoint_var", F_TEXT }, { "model_var", F_TEXT });
TYPE(type_service_network, { "aliases", F_TEXTS }, { "driver_opts", F_PAIRS }, { "gw_priority", F_INT }, { "interface_name", F_TEXT },
     { "ipv4_address", F_TEXT }, { "ipv6_address", F_TEXT }, { "link_local_ips", F_TEXTS }, { "mac_address", F_TEXT },
     { "priority", F_INT });
TYPE(type_port, { "name", F_TEXT }, { "mode", F_TEXT }, { "host_ip", F_TEXT }, { "target", F_INT }, { "published", F_TEXT },
     { "protocol", F_TEXT }, { "app_protocol", F_TEXT });
TYPE(type_mount_bind, { "selinux", F_TEXT }, { "propagation", F_TEXT }, { "create_host_path", F_BOOL }, { "recursive", F_TEXT });
TYPE(type_mount_volume, { "labels", F_PAIRS }, { "nocopy", F_BOOL }, { "subpath", F_TEXT });
TYPE(type_mount_tmpfs, { "size", F_SIZE }, { "mode", F_INT });
TYPE(type_mount_image, { "subpath", F_TEXT });
TYPE(type_mount, { "type", F_TEXT }, { "source", F_TEXT }, { "target", F_TEXT }, { "read_only", F_BOOL }, { "consistency", F_TEXT },
     { "bind", F_POINTER, &type_mount_bind }, { "volume", F_POINTER, &type_mount_volume }, { "tmpfs", F_POINTER, &type_mount_tmpfs },
     { "image", F_POINTER, &type_mount_image });

TYPE(type_service, { "profiles", F_TEXTS }, { "annotations", F_PAIRS }, { "attach", F_SHOWN_BOOL }, { "build", F_POINTER, &type_build },
     { "develop", F_POINTER, &type_develop }, { "blkio_config", F_POINTER, &type_blkio }, { "cap_add", F_TEXTS },
     { "cap_drop", F_TEXTS }, { "cgroup_parent", F_TEXT }, { "cgroup", F_TEXT }, { "cpu_count", F_INT }, { "cpu_percent", F_SINGLE },
     { "cpu_period", F_INT }, { "cpu_quota", F_INT }, { "cpu_rt_period", F_INT }, { "cpu_rt_runtime", F_INT }, { "cpus", F_SINGLE },
     { "cpuset", F_TEXT }, { "cpu_shares", F_INT }, { "command", F_COMMAND }, { "configs", F_LIST, &type_file_mount },
     { "container_name", F_TEXT }, { "credential_spec", F_POINTER, &type_credential }, { "depends_on", F_MAP, &type_dependency },
     { "deploy", F_POINTER, &type_deploy }, { "device_cgroup_rules", F_TEXTS }, { "devices", F_LIST, &type_device }, { "dns", F_TEXTS },
     { "dns_opt", F_TEXTS }, { "dns_search", F_TEXTS }, { "domainname", F_TEXT }, { "entrypoint", F_COMMAND },
     { "provider", F_POINTER, &type_provider }, { "environment", F_VARIABLES }, { "env_file", F_ENV_FILES }, { "expose", F_NUMBERS },
     { "extends", F_POINTER, &type_extends }, { "external_links", F_TEXTS }, { "extra_hosts", F_HOSTS }, { "group_add", F_NUMBERS },
     { "gpus", F_LIST, &type_device_request }, { "hostname", F_TEXT }, { "healthcheck", F_POINTER, &type_healthcheck },
     { "image", F_TEXT }, { "init", F_SHOWN_BOOL }, { "ipc", F_TEXT }, { "isolation", F_TEXT }, { "labels", F_PAIRS },
     { "label_file", F_TEXTS }, { "links", F_TEXTS }, { "logging", F_POINTER, &type_logging }, { "mem_limit", F_SIZE },
     { "mem_reservation", F_SIZE }, { "memswap_limit", F_SIZE }, { "mem_swappiness", F_SIZE }, { "mac_address", F_TEXT },
     { "models", F_MAP, &type_service_model }, { "network_mode", F_TEXT }, { "networks", F_MAP, &type_service_network },
     { "oom_kill_disable", F_BOOL }, { "oom_score_adj", F_INT }, { "pid", F_TEXT }, { "pids_limit", F_INT }, { "platform", F_TEXT },
     { "ports", F_LIST, &type_port }, { "privileged", F_BOOL }, { "pull_policy", F_TEXT }, { "read_only", F_BOOL }, { "restart", F_TEXT },
     { "runtime", F_TEXT }, { "scale", F_SHOWN_INT }, { "secrets", F_LIST, &type_file_mount }, { "security_opt", F_TEXTS },
     { "shm_size", F_SIZE }, { "stdin_open", F_BOOL }, { "stop_grace_period", F_SHOWN_DURATION }, { "stop_signal", F_TEXT },
     { "storage_opt", F_STRINGS }, { "sysctls", F_PAIRS }, { "tmpfs", F_TEXTS }, { "tty", F_BOOL }, { "ulimits", F_ULIMITS },
     { "use_api_socket", F_BOOL }, { "user", F_TEXT }, { "userns_mode", F_TEXT }, { "uts", F_TEXT }, { "volumes", F_LIST, &type_mount },
     { "volumes_from", F_TEXTS }, { "working_dir", F_TEXT }, { "post_start", F_LIST, &type_hook }, { "pre_stop", F_LIST, &type_hook });

TYPE(type_pool, { "subnet", F_TEXT }, { "gateway", F_TEXT }, { "ip_range", F_TEXT }, { "aux_addresses", F_PAIRS });
TYPE(type_ipam, { "driver", F_TEXT }, { "config", F_LIST, &type_pool });
TYPE(type_network, { "name", F_TEXT }, { "driver", F_TEXT }, { "driver_opts", F_PAIRS }, { "ipam", F_STRUCT, &type_ipam },
     { "external", F_BOOL }, { "internal", F_BOOL }, { "attachable", F_BOOL }, { "labels", F_PAIRS }, { "enable_ipv4", F_SHOWN_BOOL },
     { "enable_ipv6", F_SHOWN_BOOL });
TYPE(type_volume, { "name", F_TEXT }, { "driver", F_TEXT }, { "driver_opts", F_PAIRS }, { "external", F_BOOL }, { "labels", F_PAIRS });
TYPE(type_file_object, { "name", F_TEXT }, { "file", F_TEXT }, { "environment", F_TEXT }, { "content", F_TEXT }, { "external", F_BOOL },
     { "labels", F_PAIRS }, { "driver", F_TEXT }, { "driver_opts", F_STRINGS }, { "template_driver", F_TEXT });
TYPE(type_model, { "name", F_TEXT }, { "model", F_TEXT }, { "context_size", F_INT }, { "runtime_flags", F_TEXTS });

typedef struct Builder {
        Loader *loader;
        Arena *arena;
} Builder;

static Node *build_struct(const Builder *builder, const Type *type, const Node *node, const NodePath *path);
static Node *build_field(const Builder *builder, const Field *field, const Node *node, const NodePath *path);

static Node *fail(const Builder *builder, const Node *node, const NodePath *path, const char *expected)
{
        if (node->kind == NODE_STRING)
                loader_fail(builder->loader, node, path, "\"%s\" is not %s", node->text, expected);
        else
                loader_fail(builder->loader, node, path, "must be %s, is a %s", expected, node_kind_name(node->kind));
        return NULL;
}

static Node *build_text(const Builder *builder, const Node *node, const NodePath *path, bool always)
{
        const char *text = node_text(node);

        if (node->kind == NODE_INT)
                text = node_scalar_text(builder->arena, node);
        if (node->kind == NODE_NULL)
                text = "";
        if (!text)
                return fail(builder, node, path, "a string");
        if (!*text && !always)
                return NULL;
        return text == node_text(node) ? (Node *) node : node_new_string(builder->arena, text, node);
}

static bool to_int(const Node *node, int64_t *ret)
{
        if (node->kind == NODE_INT) {
                *ret = node->integer;
                return true;
        }
        if (node->kind == NODE_FLOAT) {
                *ret = (int64_t) node->number;
                return true;
        }
        return node->kind == NODE_STRING && cast_int(node->text, ret);
}

static Node *build_int(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        bool shown = field->kind == F_SHOWN_INT || field->kind == F_COUNT || (field->flags & ALWAYS);
        int64_t value = 0;

        if (node->kind == NODE_NULL)
                return (field->flags & ALWAYS) ? node_new_int(builder->arena, 0, node) : NULL;
        if (!to_int(node, &value))
                return fail(builder, node, path, "an integer");
        if (value < 0 && field->kind == F_COUNT)
                return fail(builder, node, path, "zero or more");
        return value || shown ? node_new_int(builder->arena, value, node) : NULL;
}

static Node *build_float(const Builder *builder, const Node *node, const NodePath *path)
{
        double value = 0;
        Node *result;

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_INT)
                value = (double) node->integer;
        else if (node->kind == NODE_FLOAT)
                value = node->number;
        else if (node->kind != NODE_STRING || !cast_float(node->text, &value))
                return fail(builder, node, path, "a number");
        if ((float) value == 0)
                return NULL;
        result = node_new_float(builder->arena, (double) (float) value, node);
        result->flags |= NODE_SINGLE;
        return result;
}

static Node *build_bool(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        bool value = false;

        if (node->kind == NODE_NULL)
                return (field->flags & ALWAYS) ? node_new_bool(builder->arena, false, node) : NULL;
        if (node->kind == NODE_BOOL)
                value = node->boolean;
        else if (node->kind != NODE_STRING || !cast_boolean(builder->loader, node->text, &value))
                return fail(builder, node, path, "a boolean (true or false)");
        return value || field->kind == F_SHOWN_BOOL || (field->flags & ALWAYS) ? node_new_bool(builder->arena, value, node) : NULL;
}

static Node *build_duration(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        _cleanup_free_ char *formatted = NULL;
        const char *text = node_scalar_text(builder->arena, node);
        int64_t value;

        if (node->kind == NODE_NULL)
                return NULL;
        if (!parse_duration(text, &value))
                return fail(builder, node, path, "a duration like 10s or 1m30s");
        if (value == 0 && field->kind == F_DURATION)
                return NULL;
        formatted = format_duration(value);
        return node_new_string(builder->arena, arena_strdup(builder->arena, formatted), node);
}

static Node *build_size(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        const char *error = NULL;
        int64_t value = 0;

        if (node->kind == NODE_INT)
                value = node->integer;
        else if (node->kind == NODE_STRING && !short_size(builder->arena, node->text, &value, &error)) {
                loader_fail(builder->loader, node, path, "%s, expected a number with an optional unit b, k, m, g, t, p", error);
                return NULL;
        }
        if (value == 0 && !(field->flags & ALWAYS))
                return NULL;
        return node_new_string(builder->arena, arena_printf(builder->arena, "%lld", (long long) value), node);
}

static Node *build_texts(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_STRING)
                node_add(builder->arena, list, node_new_string(builder->arena, node->text, node));
        else if (node->kind != NODE_LIST)
                return fail(builder, node, path, "a list");
        for (size_t i = 0; node->kind == NODE_LIST && i < node->n_items; i++) {
                const Node *item = node->items[i];

                if (item->kind != NODE_STRING && item->kind != NODE_INT && !(item->kind == NODE_FLOAT && field->kind == F_NUMBERS)) {
                        fail(builder, item, NODE_PATH_ITEM(path, i), "a string");
                        continue;
                }
                node_add(builder->arena, list,
                         item->kind == NODE_STRING ? (Node *) item
                                                   : node_new_string(builder->arena, node_scalar_text(builder->arena, item), item));
        }
        return list->n_items ? list : NULL;
}

static void add_pair(const Builder *builder, Node *map, const char *key, const char *value, const Node *at)
{
        if (value && value == node_text(at))
                node_set_at(builder->arena, map, key, at->line, at->column, (Node *) at);
        else
                node_set(builder->arena, map, key,
                         value ? node_new_string(builder->arena, value, at) : node_new(builder->arena, NODE_NULL, at));
}

static bool add_listed_pair(const Builder *builder, Node *map, const Node *item, const NodePath *path, bool keep_null)
{
        const char *text = node_scalar_text(builder->arena, item), *equals = strchr(text, '=');
        size_t length = equals ? (size_t) (equals - text) : strlen(text);

        if (keep_null && length > 0 && isspace((unsigned char) text[length - 1])) {
                loader_fail(builder->loader, item, path, "environment variable \"%.*s\" is declared with a trailing space", (int) length, text);
                return false;
        }
        add_pair(builder, map, arena_strndup(builder->arena, text, length), equals ? equals + 1 : keep_null ? NULL : "", item);
        return true;
}

static Node *build_pairs(const Builder *builder, const Node *node, const NodePath *path, bool keep_null)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind == NODE_NULL)
                return NULL;
        node_reserve(builder->arena, map, node->kind == NODE_MAP ? node->n_entries : node->kind == NODE_LIST ? node->n_items : 0);
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
                        add_pair(builder, map, entry->key,
                                 entry->value->kind != NODE_NULL ? node_scalar_text(builder->arena, entry->value) : keep_null ? NULL : "",
                                 entry->value);
        else if (node->kind == NODE_LIST)
                for (size_t i = 0; i < node->n_items; i++)
                        add_listed_pair(builder, map, node->items[i], NODE_PATH_ITEM(path, i), keep_null);
        else
                return fail(builder, node, path, "a list or a mapping");
        node_sort(map);
        return map->n_entries ? map : NULL;
}

Node *model_pairs(Loader *loader, const Node *node, const NodePath *path, bool keep_null)
{
        const Builder builder = { loader, loader->arena };

        return build_pairs(&builder, node, path, keep_null);
}

static Node *build_strings(const Builder *builder, const Node *node, const NodePath *path)
{
        if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node)
                        if (entry->value->kind != NODE_STRING && entry->value->kind != NODE_INT && entry->value->kind != NODE_NULL)
                                return fail(builder, entry->value, NODE_PATH_KEY(path, entry->key), "a string");
        return build_pairs(builder, node, path, false);
}

static Node *build_multi(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : fail(builder, node, path, "a mapping");
        NODE_FOREACH_ENTRY(entry, node) {
                Node *list = node_new_list(builder->arena, entry->value);

                if (entry->value->kind == NODE_LIST)
                        NODE_FOREACH_ITEM(item, entry->value)
                                node_add(builder->arena, list,
                                         node_new_string(builder->arena, node_scalar_text(builder->arena, *item), *item));
                else
                        node_add(builder->arena, list,
                                 node_new_string(builder->arena, node_scalar_text(builder->arena, entry->value), entry->value));
                node_set(builder->arena, map, entry->key, list);
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}

static int compare_texts(const void *a, const void *b)
{
        return strcmp((*(Node *const *) a)->text, (*(Node *const *) b)->text);
}

static void add_host(const Builder *builder, Node *list, const char *host, const char *address, const Node *at, const NodePath *path)
{
        size_t length = strlen(address);

        if (!*host || strpbrk(host, ":=")) {
                loader_fail(builder->loader, at, path, "bad host name '%s'", host);
                return;
        }
        if (length > 2 && address[0] == '[' && address[length - 1] == ']')
                address = arena_strndup(builder->arena, address + 1, length - 2);
        node_add(builder->arena, list, node_new_string(builder->arena, arena_printf(builder->arena, "%s=%s", host, address), at));
}

static void add_listed_host(const Builder *builder, Node *list, const Node *item, const NodePath *path)
{
        const char *text = node_scalar_text(builder->arena, item), *cut = strchr(text, '=');
        const char *host;

        if (!cut)
                cut = strchr(text, ':');
        if (!cut) {
                loader_fail(builder->loader, item, path, "invalid additional host, missing IP: %s", text);
                return;
        }
        host = arena_strndup(builder->arena, text, (size_t) (cut - text));
        for (const char *address = cut + 1;;) {
                size_t length = strcspn(address, ",");

                add_host(builder, list, host, arena_strndup(builder->arena, address, length), item, path);
                if (!address[length])
                        return;
                address += length + 1;
        }
}

static Node *build_hosts(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind == NODE_LIST)
                for (size_t i = 0; i < node->n_items; i++)
                        add_listed_host(builder, list, node->items[i], NODE_PATH_ITEM(path, i));
        else if (node->kind == NODE_MAP)
                NODE_FOREACH_ENTRY(entry, node) {
                        const NodePath *next = NODE_PATH_KEY(path, entry->key);

                        if (entry->value->kind == NODE_LIST)
                                NODE_FOREACH_ITEM(item, entry->value)
                                        add_host(builder, list, entry->key, node_scalar_text(builder->arena, *item), *item, next);
                        else
                                add_host(builder, list, entry->key, entry->value->kind == NODE_STRING ? entry->value->text : "", entry->value,
                                         next);
                }
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(Node *), compare_texts);
        return list->n_items ? list : NULL;
}

static Node *copy_texts(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        for (size_t i = 0; i < node->n_items; i++) {
                if (node->items[i]->kind != NODE_STRING)
                        return fail(builder, node->items[i], NODE_PATH_ITEM(path, i), "a string");
                node_add(builder->arena, list, node->items[i]);
        }
        return list;
}

static Node *build_command(const Builder *builder, const Node *node, const NodePath *path)
{
        const char *error = NULL;
        Node *list;

        if (node->kind == NODE_LIST)
                return copy_texts(builder, node, path);
        if (node->kind != NODE_STRING)
                return NULL;
        list = short_command(builder->arena, node, node->text, &error);
        if (!list)
                loader_fail(builder->loader, node, path, "%s", error);
        return list;
}

static Node *build_test(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list;

        if (node->kind == NODE_LIST) {
                list = copy_texts(builder, node, path);
                return list && list->n_items ? list : NULL;
        }
        if (node->kind != NODE_STRING)
                return node->kind == NODE_NULL ? NULL : fail(builder, node, path, "a string or a list");
        list = node_new_list(builder->arena, node);
        node_add(builder->arena, list, node_new_string(builder->arena, "CMD-SHELL", node));
        node_add(builder->arena, list, node_new_string(builder->arena, node->text, node));
        return list;
}

static Node *build_mode(const Builder *builder, const Node *node, const NodePath *path)
{
        int64_t value;
        char *end;

        if (node->kind == NODE_NULL)
                return NULL;
        if (node->kind == NODE_INT) {
                value = node->integer;
        } else if (node->kind == NODE_STRING && *node->text) {
                value = strtoll(node->text, &end, 8);
                if (*end)
                        return fail(builder, node, path, "an octal number");
        } else {
                return fail(builder, node, path, "an octal number");
        }
        return node_new_string(builder->arena, arena_printf(builder->arena, "0%llo", (unsigned long long) value), node);
}

static Node *build_devices(const Builder *builder, const Node *node, const NodePath *path)
{
        int64_t value;

        if (node->kind == NODE_STRING && strcasecmp(node->text, "all") == 0)
                value = -1;
        else if (!to_int(node, &value))
                return fail(builder, node, path, "\"all\" or a number");
        return value ? node_new_int(builder->arena, value, node) : NULL;
}

static Node *build_ssh(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_MAP)
                return NULL;
        NODE_FOREACH_ENTRY(entry, node)
                node_add(builder->arena, list,
                         node_new_string(builder->arena,
                                         entry->value->kind == NODE_NULL
                                                 ? entry->key
                                                 : arena_printf(builder->arena, "%s=%s", entry->key,
                                                                node_scalar_text(builder->arena, entry->value)),
                                         entry->value));
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(Node *), compare_texts);
        return list->n_items ? list : NULL;
}

/* A required file is its path alone. */
static Node *build_env_files(const Builder *builder, const Node *node, const NodePath *path)
{
        static const Field required = { "required", F_BOOL, NULL, ALWAYS, NULL };
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_LIST)
                return NULL;
        for (size_t i = 0; i < node->n_items; i++) {
                const Node *item = node->items[i], *file = node_get(item, "path"), *format = node_get(item, "format");
                const Node *needed = node_get(item, "required");
                const NodePath *next = NODE_PATH_ITEM(path, i);
                Node *flag = needed ? build_bool(builder, &required, needed, NODE_PATH_KEY(next, "required"))
                                    : node_new_bool(builder->arena, true, item);
                Node *map;

                if (!node_text(file) || !flag)
                        continue;
                map = node_new_map(builder->arena, item);
                node_set(builder->arena, map, "path", node_new_string(builder->arena, file->text, file));
                node_set(builder->arena, map, "required", flag);
                if (node_text(format) && *format->text)
                        node_set(builder->arena, map, "format", node_new_string(builder->arena, format->text, format));
                node_add(builder->arena, list, map);
        }
        return list->n_items ? list : NULL;
}

/* Both limits; JSON leaves out those that are zero. */
static Node *build_ulimit(const Builder *builder, const Node *node, const NodePath *path)
{
        static const char *const keys[] = { "soft", "hard" };
        Node *map = node_new_map(builder->arena, node);

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const Node *limit = node_get(node, keys[i]);
                Node *number = node_new_int(builder->arena, 0, limit ? limit : node);

                if (limit && limit->kind != NODE_INT)
                        fail(builder, limit, NODE_PATH_KEY(path, keys[i]), "an integer");
                else if (limit)
                        number->integer = limit->integer;
                if (number->integer == 0)
                        number->flags |= NODE_YAML_ONLY;
                node_set(builder->arena, map, keys[i], number);
        }
        return map;
}

static Node *build_ulimits(const Builder *builder, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return NULL;
        NODE_FOREACH_ENTRY(entry, node) {
                bool single = entry->value->kind == NODE_INT && entry->value->integer != 0;

                node_set(builder->arena, map, entry->key,
                         single ? node_new_int(builder->arena, entry->value->integer, entry->value)
                                : build_ulimit(builder, entry->value, NODE_PATH_KEY(path, entry->key)));
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}

static Node *build_list(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *list = node_new_list(builder->arena, node);

        if (node->kind != NODE_LIST)
                return node->kind == NODE_NULL ? NULL : fail(builder, node, path, "a list");
        for (size_t i = 0; i < node->n_items; i++) {
                const NodePath *next = NODE_PATH_ITEM(path, i);

                if (node->items[i]->kind == NODE_MAP)
                        node_add(builder->arena, list, build_struct(builder, type, node->items[i], next));
                else
                        fail(builder, node->items[i], next, "a mapping");
        }
        return list->n_items ? list : NULL;
}

static Node *build_map(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : fail(builder, node, path, "a mapping");
        node_reserve(builder->arena, map, node->n_entries);
        NODE_FOREACH_ENTRY(entry, node) {
                Node *value;

                if (entry->value->kind == NODE_MAP) {
                        value = build_struct(builder, type, entry->value, NODE_PATH_KEY(path, entry->key));
                        value->flags |= entry->value->flags & NODE_LIST_FORM;
                } else {
                        value = node_new(builder->arena, NODE_NULL, entry->value);
                }
                node_set_at(builder->arena, map, entry->key, entry->line, entry->column, value);
        }
        node_sort(map);
        return map->n_entries ? map : NULL;
}

static Node *build_nested(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        Node *value;

        if (node->kind != NODE_MAP)
                return node->kind == NODE_NULL ? NULL : fail(builder, node, path, "a mapping");
        value = build_struct(builder, field->type, node, path);
        if (field->kind == F_STRUCT && value->n_entries == 0)
                value->flags |= NODE_JSON_ONLY;
        return value;
}

static Node *build_field(const Builder *builder, const Field *field, const Node *node, const NodePath *path)
{
        switch (field->kind) {
        case F_TEXT:
                return build_text(builder, node, path, field->flags & ALWAYS);
        case F_INT:
        case F_COUNT:
        case F_SHOWN_INT:
                return build_int(builder, field, node, path);
        case F_SINGLE:
        case F_CPUS:
                return build_float(builder, node, path);
        case F_BOOL:
        case F_SHOWN_BOOL:
                return build_bool(builder, field, node, path);
        case F_DURATION:
        case F_SHOWN_DURATION:
                return build_duration(builder, field, node, path);
        case F_SIZE:
                return build_size(builder, field, node, path);
        case F_TEXTS:
        case F_NUMBERS:
                return build_texts(builder, field, node, path);
        case F_PAIRS:
                return build_pairs(builder, node, path, false);
        case F_VARIABLES:
                return build_pairs(builder, node, path, true);
        case F_STRINGS:
                return build_strings(builder, node, path);
        case F_MULTI:
                return build_multi(builder, node, path);
        case F_HOSTS:
                return build_hosts(builder, node, path);
        case F_COMMAND:
                return build_command(builder, node, path);
        case F_TEST:
                return build_test(builder, node, path);
        case F_MODE:
                return build_mode(builder, node, path);
        case F_DEVICES:
                return build_devices(builder, node, path);
        case F_SSH:
                return build_ssh(builder, node, path);
        case F_ENV_FILES:
                return build_env_files(builder, node, path);
        case F_ULIMITS:
                return build_ulimits(builder, node, path);
        case F_LIST:
                return build_list(builder, field->type, node, path);
        case F_MAP:
                return build_map(builder, field->type, node, path);
        case F_STRUCT:
        case F_POINTER:
                return build_nested(builder, field, node, path);
        }
        return NULL;
}

/* What stands where a field is not given or is empty; NULL: nothing. */
static Node *absent_field(const Builder *builder, const Field *field, const Node *at)
{
        Node *node = NULL;

        if (field->kind == F_COMMAND)
                node = node_new(builder->arena, NODE_NULL, at);
        else if (field->kind == F_STRUCT) {
                node = node_new_map(builder->arena, at);
                for (const Field *member = field->type->fields; member->name; member++) {
                        Node *inner = absent_field(builder, member, at);

                        if (inner)
                                node_set(builder->arena, node, member->name, inner);
                }
        }
        if (node)
                node->flags |= NODE_JSON_ONLY | NODE_DEFAULT;
        return node;
}

static void copy_extensions(const Builder *builder, const Node *from, Node *to)
{
        NODE_FOREACH_ENTRY(entry, from)
                if (startswith(entry->key, "x-") && !streq(entry->key, "x-#value")) {
                        Node *value = node_copy(builder->arena, entry->value);

                        value->flags |= NODE_YAML_ONLY;
                        node_set_at(builder->arena, to, entry->key, entry->line, entry->column, value);
                }
}

static Node *build_struct(const Builder *builder, const Type *type, const Node *node, const NodePath *path)
{
        Node *map = node_new_map(builder->arena, node);

        node_reserve(builder->arena, map, node->n_entries + (type == &type_service ? 2 : 0));
        for (const Field *field = type->fields; field->name; field++) {
                const NodeEntry *entry = node_find(node, field->name);
                Node *value = entry ? build_field(builder, field, entry->value, NODE_PATH_KEY(path, field->name)) : NULL;

                if (!value)
                        value = absent_field(builder, field, entry ? entry->value : NULL);
                if (!value)
                        continue;
                node_set_at(builder->arena, map, field->name, entry ? entry->line : 0, entry ? entry->column : 0, value);
                if (field->json_name) {
                        Node *twin = node_copy(builder->arena, value);

                        value->flags |= NODE_YAML_ONLY;
                        twin->flags |= NODE_JSON_ONLY;
                        node_set(builder->arena, map, field->json_name, twin);
                }
        }
        copy_extensions(builder, node, map);
        return map;
}

static void build_section(const Builder *builder, const Node *root, Node *out, const char *name, const Type *type, bool always)
{
        const Node *section = node_get(root, name);
        const NodePath path = { .key = name };
        Node *map = node_new_map(builder->arena, section);

        if (node_is(section, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, section) {
                        static const Node nothing = { .kind = NODE_MAP };
                        const Node *value = entry->value->kind == NODE_MAP ? entry->value : &nothing;
                        Node *built = build_struct(builder, type, value, NODE_PATH_KEY(&path, entry->key));

                        /* What a variable held is a secret; the name of the variable is printed instead. */
                        if (type == &type_file_object && node_find(built, "environment"))
                                node_remove(built, "content");
                        node_set_at(builder->arena, map, entry->key, entry->line, entry->column, built);
                }
        node_sort(map);
        if (map->n_entries > 0 || always)
                node_set(builder->arena, out, name, map);
}

Node *model_build(Loader *loader, const Node *root)
{
        const Builder builder = { loader, loader->arena };
        Node *out = node_new_map(loader->arena, root);
        const Node *name = node_get(root, "name");

        node_set(loader->arena, out, "name", node_new_string(loader->arena, loader->project_name, name));
        build_section(&builder, root, out, "services", &type_service, true);
        build_section(&builder, root, out, "networks", &type_network, false);
        build_section(&builder, root, out, "volumes", &type_volume, false);
        build_section(&builder, root, out, "secrets", &type_file_object, false);
        build_section(&builder, root, out, "configs", &type_file_object, false);
        build_section(&builder, root, out, "models", &type_model, false);
        if (node_find(out, "models"))
                node_get(out, "models")->flags |= NODE_YAML_ONLY;
        NODE_FOREACH_ENTRY(entry, root)
                if (startswith(entry->key, "x-"))
                        node_set_at(loader->arena, out, entry->key, entry->line, entry->column, node_copy(loader->arena, entry->value));
        return out;
}
