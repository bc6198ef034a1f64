#include "compose/ignored.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "compose/node.h"

typedef bool (*ValueTest)(const Node *node);

typedef struct IgnoredKey {
        const char *path;  /* in the resource; "*" stands for every item of a list or map */
        const char *why;   /* NULL: there is no more to say */
        ValueTest matters; /* NULL: whatever it says */
} IgnoredKey;

/* AppArmor's and SELinux's options, unless they switch off what is off. */
static bool is_label_option(const Node *node)
{
        const char *text = node_text(node), *value = NULL;

        if (text)
                value = startswith(text, "apparmor") ?: startswith(text, "label");
        return value && (*value == ':' || *value == '=') && !streq(value + 1, "unconfined") &&
               !streq(value + 1, "disable");
}

static bool is_periodic(const Node *node)
{
        const char *text = node_text(node);

        return text &&
               (strstr(text, "daily") || strstr(text, "weekly") || strstr(text, "every_") || strstr(text, "refresh"));
}

static bool is_false(const Node *node)
{
        return node_is(node, NODE_BOOL) && !node->boolean;
}

static bool is_foreign_ipam(const Node *node)
{
        return node_text(node) && !streq(node_text(node), "default");
}

static bool has_unknown_options(const Node *node)
{
        if (!node_is(node, NODE_MAP))
                return false;
        NODE_FOREACH_ENTRY(entry, node)
        if (!streq(entry->key, "type") && !streq(entry->key, "o") && !streq(entry->key, "device"))
                return true;
        return false;
}

static const IgnoredKey services[] = {
        { "develop", "files are not watched" },
        { "build" },
        { "gpus", "devices are not reserved" },
        { "models", "models are not run" },
        { "provider", "providers are not called" },
        { "blkio_config", "disk rates are not limited" },
        { "credential_spec", "it is for Windows" },
        { "isolation", "it is for Windows" },
        { "links", "services of one network find each other by name" },
        { "external_links", "attach both services to one network" },
        { "storage_opt", "the root file system has no limit" },
        { "use_api_socket", "there is no Docker API here" },
        { "userns_mode", "containers share the user namespace of the host" },
        { "runtime", "the installation chooses it: BERTH_RUNTIME" },
        { "oom_kill_disable" },
        { "pull_refresh_after", "images are pulled when they are missing" },
        { "pull_policy", "images are pulled when they are missing", is_periodic },
        { "security_opt.*", "profiles of AppArmor and labels of SELinux are not applied", is_label_option },
        { "volumes.*.bind.selinux", "labels of SELinux are not applied" },
        { "volumes.*.bind.recursive" },
        { "volumes.*.volume.labels" },
        { "networks.*.driver_opts" },
        { "networks.*.interface_name" },
        { "networks.*.link_local_ips" },
        { "cgroup" },
        { "cpu_count", "it is for Windows" },
        { "cpu_percent", "it is for Windows" },
        { "cpu_rt_period" },
        { "cpu_rt_runtime" },
        { "device_cgroup_rules" },
        { "deploy.update_config" },
        { "deploy.rollback_config" },
        { "deploy.placement", "there is one machine" },
        { "deploy.endpoint_mode" },
        { "deploy.resources.reservations.devices", "devices are not reserved" },
        { "deploy.resources.reservations.generic_resources" },
        { "deploy.resources.reservations.cpus" },
        { NULL },
};

static const IgnoredKey networks[] = {
        { "driver_opts" },
        { "enable_ipv4", "IPv4 is always there", is_false },
        { "ipam.driver", "addresses are allotted by Berth", is_foreign_ipam },
        { "ipam.config.*.aux_addresses" },
        { NULL },
};

static const IgnoredKey volumes[] = {
        { "driver_opts", "only type, o and device are", has_unknown_options },
        { NULL },
};

static const IgnoredKey files[] = {
        { "driver" },
        { "driver_opts" },
        { "template_driver", "templates are not filled in" },
        { NULL },
};

static const struct {
        const char *name;
        const IgnoredKey *keys;
} sections[] = {
        { "services", services }, { "networks", networks }, { "volumes", volumes },
        { "secrets", files },     { "configs", files },
};

static bool is_said(const Node *node, const IgnoredKey *key)
{
        return node && !(node->flags & (NODE_DEFAULT | NODE_JSON_ONLY)) && (!key->matters || key->matters(node));
}

static bool find_path(const Node *node, const char *path, const IgnoredKey *key)
{
        size_t length = strcspn(path, ".");
        const char *rest = path + length + (path[length] == '.');
        _cleanup_free_ char *step = xstrndup(path, length);
        bool found = false;

        if (!*path || !node)
                return is_said(node, key);
        if (!streq(step, "*"))
                return find_path(node_get(node, step), rest, key);
        if (node_is(node, NODE_LIST))
                NODE_FOREACH_ITEM(item, node)
        found |= find_path(*item, rest, key);
        if (node_is(node, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, node)
        found |= find_path(entry->value, rest, key);
        return found;
}

/* "networks.driver_opts is not acted on (back, front)"; a service's key stands without its section. */
static void look_for(const char *section, const IgnoredKey *key, const Node *resources, char ***messages)
{
        _cleanup_strbuf_ Strbuf names = STRBUF_INIT;

        NODE_FOREACH_ENTRY(entry, resources)
        if (find_path(entry->value, key->path, key))
                strbuf_addf(&names, "%s%s", names.length ? ", " : "", entry->key);
        if (names.length > 0)
                strv_addf(messages, "%s%s%s is not acted on (%s)%s%s", streq(section, "services") ? "" : section,
                          streq(section, "services") ? "" : ".", key->path, strbuf_text(&names), key->why ? ": " : "",
                          key->why ? key->why : "");
}

char **ignored_keys(Arena *arena, const Project *project)
{
        _cleanup_strv_ char **messages = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                const Node *resources = node_get(project->model, sections[i].name);

                for (const IgnoredKey *key = sections[i].keys; node_is(resources, NODE_MAP) && key->path; key++)
                        look_for(sections[i].name, key, resources, &messages);
        }
        return arena_strv(arena, messages);
}
