#include "cli/database.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "compose/xberth.h"
#include "deploy/spec.h"

bool container_is_database(const ContainerInfo *info)
{
        return spec_is_database(info->spec);
}

bool service_looks_like_database(const Project *project, const Service *service)
{
        const char *name = service->image ? path_basename(service->image) : "";
        XBerth settings;

        x_berth_read(project, service, &settings);
        if (settings.postgres >= 0)
                return settings.postgres > 0;
        if (strncmp(name, "postgres", 8) != 0 || (name[8] && !strchr(":@", name[8])) || service->has_entrypoint)
                return false;
        return !service->has_command || !service->command || !service->command[0] || service->command[0][0] == '-' ||
               streq(service->command[0], "postgres");
}

static int find_only_one(const Scope *scope, char **ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        const char *found = NULL;
        int r;

        r = scope_containers(scope, false, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                const ContainerInfo *info = list.items[i];
                if (!container_is_database(info) || streq_ptr(found, info->service) ||
                    scope_is_copy(scope, info->service))
                        continue;
                if (found) {
                        r = error_set(err, ERROR_USAGE, "project \"%s\" has several databases: %s, %s", scope->name,
                                      found, info->service);
                        return error_hint(err, r, "Name the service.");
                }
                found = info->service;
        }
        if (!found)
                return error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no database that was brought up",
                                 scope->name);
        *ret = xstrdup(found);
        return 0;
}

int scope_database_service(const Scope *scope, const char *name, char **ret, Error **err)
{
        if (!name)
                return find_only_one(scope, ret, err);
        *ret = xstrdup(name);
        return 0;
}

int scope_database(const Scope *scope, const char *name, ContainerInfo **ret, Error **err)
{
        _cleanup_free_ char *service = NULL;
        char *services[] = { NULL, NULL };
        Scope narrowed = *scope;
        int r = scope_database_service(scope, name, &service, err);

        if (r < 0)
                return r;
        services[0] = service;
        if (!scope->containers) /* otherwise the name is a container's */
                narrowed.services = services;
        return scope_container(&narrowed, service, 0, true, ret, err);
}

XBerth scope_settings(const Scope *scope, const char *service)
{
        const Service *found = service && scope->project ? project_find_service(scope->project, service) : NULL;
        XBerth settings = { .migrations_lock_timeout_ns = -1 };

        if (scope->project)
                x_berth_read(scope->project, found, &settings);
        return settings;
}
