#include "cli/database.h"

#include "base/mem.h"
#include "base/strv.h"
#include "deploy/spec.h"

bool container_is_database(const ContainerInfo *info)
{
        const char *word = info->spec ? strv_env_get(info->spec->annotations, ANNOTATION_DATABASE) : NULL;

        return word && streq(word, "true");
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
                if (!container_is_database(info) || streq_ptr(found, info->service))
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

int scope_database(const Scope *scope, const char *name, ContainerInfo **ret, Error **err)
{
        _cleanup_free_ char *service = xstrdup(name);
        int r = service ? 0 : find_only_one(scope, &service, err);

        return r < 0 ? r : scope_container(scope, service, 0, true, ret, err);
}

XBerth scope_settings(const Scope *scope, const char *service)
{
        const Service *found = service && scope->project ? project_find_service(scope->project, service) : NULL;
        XBerth settings = { .migrations_lock_timeout_ns = -1 };

        if (scope->project)
                x_berth_read(scope->project, found, &settings);
        return settings;
}
