/* migrate/migrate: our migration command in the place of the image's. */
#include "base/fs.h"
#include "base/mem.h"
#include "image/host.h"

int host_migrate_match(const Layout *layout, const Reference *reference, HostRecipe *recipe, Error **err)
{
        _cleanup_free_ char *program = NULL;

        if (!streq(reference->registry, REFERENCE_DEFAULT_REGISTRY) ||
            !streq(reference->repository, "migrate/migrate") || reference->digest)
                return -ERROR_UNSUPPORTED;
        program = layout_libexec(layout, "berth-migrate");
        if (!fs_exists(program))
                return -ERROR_UNSUPPORTED;
        recipe->name = xasprintf("docker.io/migrate/migrate:%s", reference->tag);
        recipe->cache_name = xasprintf("migrate-%s", reference->tag);
        recipe->key = xstrdup(BERTH_VERSION);
        return 0;
}

int host_migrate_describe(const Layout *layout, HostRecipe *recipe, Error **err)
{
        static const HostFolder folders[] = { { "migrations", 0755, 0 } };
        const char *tag = strrchr(recipe->name, ':') + 1;

        recipe->version = xasprintf("%s+%s", BERTH_VERSION, tag);
        recipe->source_line = xasprintf("migrate/migrate:%s by Berth's own migration command (%s)", tag, BERTH_VERSION);
        recipe->config = json_pack("{s:[s], s:[s], s:[s]}", "Env",
                                   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "Entrypoint",
                                   "migrate", "Cmd", "--help");
        recipe->binds = json_pack("[{s:s, s:s}, {s:s, s:s}]", "source", "libexec:berth-migrate", "target",
                                  "/usr/local/bin/migrate", "source", "libexec:berth-migrate", "target", "/migrate");
        recipe->folders = xmemdup(folders, sizeof(folders));
        recipe->n_folders = ARRAY_SIZE(folders);
        return 0;
}
