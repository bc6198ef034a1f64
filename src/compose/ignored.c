#include "compose/ignored.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "compose/node.h"

static const struct {
        const char *path; /* in the service */
        const char *why;
} ignored[] = {
        { "develop", "files are not watched" },
        { "build", NULL },
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
        { "cgroup", NULL },
        { "cpu_count", "it is for Windows" },
        { "cpu_percent", "it is for Windows" },
        { "cpu_rt_period", NULL },
        { "cpu_rt_runtime", NULL },
        { "device_cgroup_rules", NULL },
        { "deploy.update_config", NULL },
        { "deploy.rollback_config", NULL },
        { "deploy.placement", "there is one machine" },
        { "deploy.endpoint_mode", NULL },
        { "deploy.resources.reservations.devices", "devices are not reserved" },
        { "deploy.resources.reservations.generic_resources", NULL },
        { "deploy.resources.reservations.cpus", NULL },
};

static const Node *find_path(const Node *node, const char *path)
{
        while (node && *path) {
                size_t length = strcspn(path, ".");
                _cleanup_free_ char *key = xstrndup(path, length);

                node = node_get(node, key);
                path += length + (path[length] == '.');
        }
        return node && !(node->flags & NODE_DEFAULT) && !(node->flags & NODE_JSON_ONLY) ? node : NULL;
}

char **ignored_keys(Arena *arena, const Project *project)
{
        _cleanup_strv_ char **messages = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
                _cleanup_strbuf_ Strbuf services = STRBUF_INIT;

                for (size_t j = 0; j < project->n_services; j++)
                        if (find_path(project->services[j].node, ignored[i].path))
                                strbuf_addf(&services, "%s%s", services.length ? ", " : "", project->services[j].name);
                if (services.length > 0)
                        strv_addf(&messages, "%s is not acted on (%s)%s%s", ignored[i].path, strbuf_text(&services),
                                  ignored[i].why ? ": " : "", ignored[i].why ? ignored[i].why : "");
        }
        return arena_strv(arena, messages);
}
