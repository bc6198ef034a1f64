#include "compose/consistency.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "compose/xsecurity.h"

typedef struct Check {
        Loader *loader;
        const Node *model, *services, *disabled;
        const char *name; /* the service's */
        const Node *service;
} Check;

static void fail_nearest(const Check *check, const Node *at, const Node *section, const char *wanted, const char *text)
{
        const char *hint = NULL;

        if (node_is(section, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, section)
        if (strlen(wanted) > 2 && (strstr(entry->key, wanted) || strstr(wanted, entry->key)))
                hint = arena_printf(check->loader->arena, "There is \"%s\".", entry->key);
        loader_fail_hint(check->loader, at, hint, NULL, "%s", text);
}

/* Is there no such thing? What may have been lost with a mistake that was told is not missed. */
static bool is_missing(const Check *check, const char *section, const char *name)
{
        const Node *known = streq(section, "services") ? check->services : node_get(check->model, section);

        return !node_find(known, name) && !loader_is_damaged(check->loader, section, name, NULL);
}

/* A name in a list or map of the service that must be one of the top-level section. */
static void check_reference(const Check *check, const Node *at, const char *section, const char *name, const char *what)
{
        const Node *known = node_get(check->model, section);

        if (!name || !is_missing(check, section, name))
                return;
        fail_nearest(check, at, known, name,
                     arena_printf(check->loader->arena, "service \"%s\" refers to undefined %s %s", check->name, what,
                                  name));
}

static void check_source(const Check *check)
{
        static const char *const keys[] = { "image", "build", "provider", "extends", LOADER_UNKNOWN_KEY };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (node_find(check->service, keys[i]) ||
                    loader_is_damaged(check->loader, "services", check->name, keys[i]))
                        return;
        loader_fail(check->loader, check->service, NULL,
                    "service \"%s\" has neither an image nor a build context specified", check->name);
}

static void check_build(const Check *check)
{
        const Node *build = node_get(check->service, "build"), *platforms = node_get(build, "platforms");
        const Node *platform = node_get(check->service, "platform"), *contexts = node_get(build, "additional_contexts");
        const Node *secrets = node_get(build, "secrets");

        if (!build)
                return;
        if (node_get(build, "dockerfile_inline") && node_get(build, "dockerfile"))
                loader_fail(check->loader, build, NULL,
                            "service \"%s\" declares mutually exclusive dockerfile and dockerfile_inline", check->name);
        if (contexts)
                NODE_FOREACH_ENTRY(entry, contexts)
                {
                        const char *other = node_text(entry->value) ? startswith(entry->value->text, "service:") : NULL;

                        if (other && is_missing(check, "services", other))
                                loader_fail(check->loader, entry->value, NULL,
                                            "service \"%s\" declares unknown service \"%s\" as additional contexts %s",
                                            check->name, other, entry->key);
                        else if (other && !node_get(node_get(check->services, other), "build") &&
                                 !loader_is_damaged(check->loader, "services", other, "build"))
                                loader_fail(check->loader, entry->value, NULL,
                                            "service \"%s\" declares non-buildable service \"%s\" as additional "
                                            "contexts %s",
                                            check->name, other, entry->key);
                }
        if (platforms && platform) {
                bool found = false;

                NODE_FOREACH_ITEM(item, platforms)
                found |= streq((*item)->text, platform->text);
                if (!found)
                        loader_fail(check->loader, platform, NULL,
                                    "services.%s.build.platforms must include the service's platform \"%s\"",
                                    check->name, platform->text);
        }
        if (secrets)
                NODE_FOREACH_ITEM(secret, secrets)
        check_reference(check, *secret, "secrets", node_text(node_get(*secret, "source")), "build secret");
}

static void check_networks(const Check *check)
{
        const Node *networks = node_get(check->service, "networks"), *mode = node_get(check->service, "network_mode");
        const char *other = mode ? startswith(mode->text, "service:") : NULL;

        if (mode && networks)
                loader_fail(check->loader, mode, NULL,
                            "service %s declares mutually exclusive `network_mode` and `networks`", check->name);
        if (networks)
                NODE_FOREACH_ENTRY(entry, networks)
        check_reference(check, entry->value->line ? entry->value : networks, "networks", entry->key, "network");
        if (other && is_missing(check, "services", other))
                loader_fail(check->loader, mode, NULL, "service \"%s\" not found for network_mode 'service:%s'", other,
                            other);
}

static void check_healthcheck(const Check *check)
{
        const Node *test = node_get(node_get(check->service, "healthcheck"), "test");
        const char *first = test && test->n_items ? node_text(test->items[0]) : NULL;

        if (first && !streq(first, "CMD") && !streq(first, "CMD-SHELL") && !streq(first, "NONE"))
                loader_fail(check->loader, test, NULL,
                            "services.%s.healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"",
                            check->name);
}

static void check_dependencies(const Check *check)
{
        const Node *dependencies = node_get(check->service, "depends_on");

        if (!dependencies)
                return;
        NODE_FOREACH_ENTRY(entry, dependencies)
        {
                const Node *required = node_get(entry->value, "required");

                if (node_find(check->services, entry->key))
                        continue;
                if (node_find(check->disabled, entry->key)) {
                        if (required && !required->boolean)
                                continue;
                        loader_fail_hint(check->loader, entry->value,
                                         "A profile enables it: add --profile, or required: false.", NULL,
                                         "service \"%s\" depends on service \"%s\", which no active profile enables",
                                         check->name, entry->key);
                        continue;
                }
                if (is_missing(check, "services", entry->key))
                        fail_nearest(check, entry->value, check->services, entry->key,
                                     arena_printf(check->loader->arena,
                                                  "service \"%s\" depends on undefined service \"%s\"", check->name,
                                                  entry->key));
        }
}

static void check_sources(const Check *check)
{
        static const struct {
                const char *key, *section, *what;
        } lists[] = { { "configs", "configs", "config" }, { "secrets", "secrets", "secret" } };
        const Node *volumes = node_get(check->service, "volumes"), *models = node_get(check->service, "models");

        if (volumes)
                NODE_FOREACH_ITEM(volume, volumes)
                {
                        const char *type = node_text(node_get(*volume, "type"));

                        if (type && streq(type, "volume"))
                                check_reference(check, *volume, "volumes", node_text(node_get(*volume, "source")),
                                                "volume");
                }
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                const Node *list = node_get(check->service, lists[i].key);

                if (list)
                        NODE_FOREACH_ITEM(item, list)
                        {
                                const char *source = node_text(node_get(*item, "source"));

                                check_reference(check, *item, lists[i].section, source ? source : "", lists[i].what);
                        }
        }
        if (models)
                NODE_FOREACH_ENTRY(entry, models)
        check_reference(check, entry->value, "models", entry->key, "model");
}

/* Two ways to say the same must say the same. */
static void check_same(const Check *check, const char *key, const char *where, const char *member)
{
        const Node *own = node_get(check->service, key);
        const Node *limits = node_get(node_get(node_get(check->service, "deploy"), "resources"), where);
        const Node *other = node_get(limits, member);

        if (own && limits && !(other && node_equal(own, other)))
                loader_fail(check->loader, own, NULL,
                            "services.%s: can't set distinct values on '%s' and 'deploy.resources.%s.%s'", check->name,
                            key, where, member);
}

static int64_t int_value(const Node *node, int64_t fallback)
{
        return node_is(node, NODE_INT) ? node->integer : fallback;
}

static void check_scale(const Check *check)
{
        const Node *scale = node_get(check->service, "scale"),
                   *replicas = node_get(node_get(check->service, "deploy"), "replicas");
        const Node *container = node_get(check->service, "container_name");

        if (scale && replicas && scale->integer != replicas->integer)
                loader_fail(check->loader, scale, NULL,
                            "services.%s: can't set distinct values on 'scale' and 'deploy.replicas'", check->name);
        if (int_value(scale, 0) < 0)
                loader_fail(check->loader, scale, NULL, "services.%s.scale: must be greater than or equal to 0",
                            check->name);
        if (int_value(replicas, 0) < 0)
                loader_fail(check->loader, replicas, NULL,
                            "services.%s.deploy.replicas: must be greater than or equal to 0", check->name);
        if (container && int_value(scale, int_value(replicas, 1)) > 1)
                loader_fail(check->loader, container, NULL,
                            "services.%s: can't set container_name and %s as container name must be unique",
                            check->name, scale ? "scale" : "deploy.replicas");
}

static void check_watch(const Check *check)
{
        const Node *watch = node_get(node_get(check->service, "develop"), "watch");

        if (!watch)
                return;
        NODE_FOREACH_ITEM(item, watch)
        {
                const char *action = node_text(node_get(*item, "action"));

                if (!node_get(*item, "target") && action && !streq(action, "rebuild") && !streq(action, "restart"))
                        loader_fail(check->loader, *item, NULL,
                                    "services.%s.develop.watch: target is required for non-rebuild actions",
                                    check->name);
        }
}

static void check_targets(const Check *check)
{
        const Node *tmpfs = node_get(check->service, "tmpfs"), *volumes = node_get(check->service, "volumes");
        _cleanup_strmap_ Strmap seen = STRMAP_INIT;
        Arena *arena = check->loader->arena;

        for (size_t i = 0; tmpfs && i < tmpfs->n_items; i++) {
                const char *path = arena_strndup(arena, tmpfs->items[i]->text, strcspn(tmpfs->items[i]->text, ":"));
                char *place = arena_printf(arena, "services.%s.tmpfs[%zu]", check->name, i);

                if (strmap_has(&seen, path))
                        loader_fail(check->loader, tmpfs->items[i], NULL, "%s: target %s already mounted as %s", place,
                                    path, (char *)strmap_get(&seen, path));
                strmap_set(&seen, path, place);
        }
        for (size_t i = 0; volumes && i < volumes->n_items; i++) {
                const char *target = node_text(node_get(volumes->items[i], "target"));
                char *place = arena_printf(arena, "services.%s.volumes[%zu]", check->name, i);

                if (!target)
                        target = "";
                if (strmap_has(&seen, target))
                        loader_fail(check->loader, volumes->items[i], NULL, "%s: target %s already mounted as %s",
                                    place, target, (char *)strmap_get(&seen, target));
                strmap_set(&seen, target, place);
        }
}

static void check_service(const Check *check)
{
        check_source(check);
        check_build(check);
        check_networks(check);
        check_healthcheck(check);
        loader_next_step(check->loader); /* what a namespace implied is no second mistake */
        check_dependencies(check);
        check_sources(check);
        check_scale(check);
        check_same(check, "cpus", "limits", "cpus");
        check_same(check, "mem_limit", "limits", "memory");
        check_same(check, "mem_reservation", "reservations", "memory");
        check_same(check, "pids_limit", "limits", "pids");
        check_watch(check);
        check_targets(check);
}

static void check_secrets(Loader *loader, const Node *model)
{
        const Node *secrets = node_get(model, "secrets");

        if (!secrets)
                return;
        NODE_FOREACH_ENTRY(entry, secrets)
        if (!node_get(entry->value, "external") && !node_get(entry->value, "file") &&
            !node_get(entry->value, "environment") && loader->n_errors == 0)
                loader_fail(loader, entry->value, NULL, "secret \"%s\" must declare either `file` or `environment`",
                            entry->key);
}

/* Cycles of depends_on: depth first, each service once. */
typedef struct Walk {
        Loader *loader;
        const Node *services;
        Strmap done; /* name → itself */
        const char **path;
        size_t depth;
        bool found;
} Walk;

static void report_cycle(Walk *walk, size_t from, const Node *at, const char *name)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        for (size_t i = from; i < walk->depth; i++)
                strbuf_addf(&text, "%s -> ", walk->path[i]);
        loader_fail(walk->loader, at, NULL, "dependency cycle detected: %s%s", strbuf_text(&text), name);
        walk->found = true;
}

static void walk_service(Walk *walk, const char *name, const Node *service)
{
        const Node *dependencies = node_get(service, "depends_on");

        if (strmap_has(&walk->done, name))
                return;
        walk->path[walk->depth++] = name;
        if (dependencies)
                NODE_FOREACH_ENTRY(entry, dependencies)
                {
                        const Node *next = node_get(walk->services, entry->key);
                        size_t i = 0;

                        while (i < walk->depth && !streq(walk->path[i], entry->key))
                                i++;
                        if (i < walk->depth)
                                report_cycle(walk, i, entry->value, entry->key);
                        else if (next && !walk->found)
                                walk_service(walk, entry->key, next);
                }
        walk->depth--;
        strmap_set(&walk->done, name, (void *)name);
}

static void check_cycles(Loader *loader, const Node *services)
{
        Walk walk = { .loader = loader, .services = services };

        walk.path = arena_new_array(loader->arena, const char *, services->n_entries + 1);
        NODE_FOREACH_ENTRY(entry, services)
        if (!walk.found)
                walk_service(&walk, entry->key, entry->value);
        strmap_done(&walk.done);
}

void consistency_check(Loader *loader, const Node *model, const Node *disabled)
{
        Check check = {
                .loader = loader, .model = model, .services = node_get(model, "services"), .disabled = disabled
        };

        NODE_FOREACH_ENTRY(entry, check.services)
        {
                check.name = entry->key;
                check.service = entry->value;
                check_service(&check);
        }
        check_secrets(loader, model);
        x_berth_check_secrets(loader, model);
        check_cycles(loader, check.services);
}

void consistency_check_container_names(Loader *loader, const Node *model)
{
        const Node *services = node_get(model, "services");
        _cleanup_strmap_ Strmap owners = STRMAP_INIT;

        NODE_FOREACH_ENTRY(entry, services)
        {
                const Node *name = node_get(entry->value, "container_name");

                if (!node_text(name))
                        continue;
                if (strmap_has(&owners, name->text))
                        loader_fail(loader, name, NULL,
                                    "services.%s: container name \"%s\" is already in use by service %s", entry->key,
                                    name->text, (char *)strmap_get(&owners, name->text));
                strmap_set(&owners, name->text, (void *)entry->key);
        }
}
