/* Paths made absolute, and values taken from variables. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "compose/canonical.h"
#include "compose/short_syntax.h"

typedef struct Resolver {
        Loader *loader;
        const char *base;
} Resolver;

static const char *join(Loader *loader, const char *base, const char *path)
{
        return short_clean_path(loader->arena, arena_printf(loader->arena, "%s/%s", isempty(base) ? "." : base, path));
}

static const char *expand_home(Loader *loader, const char *path)
{
        if (*path != '~' || isempty(loader->home))
                return path;
        return join(loader, loader->home, path + 1);
}

static bool is_windows_path(const char *path)
{
        if (isalpha((unsigned char)path[0]) && path[1] == ':')
                return path[2] == '\\' || path[2] == '/';
        return startswith(path, "\\\\");
}

static const char *absolute(const Resolver *resolver, const char *path)
{
        path = expand_home(resolver->loader, path);
        return !*path || *path == '/' ? path : join(resolver->loader, resolver->base, path);
}

static const char *absolute_any(const Resolver *resolver, const char *path)
{
        path = expand_home(resolver->loader, path);
        return *path == '/' || is_windows_path(path) ? path : join(resolver->loader, resolver->base, path);
}

static void set_absolute(const Resolver *resolver, Node *node)
{
        if (node_text(node))
                node->text = absolute(resolver, node->text);
}

static void set_absolute_any(const Resolver *resolver, Node *node)
{
        if (node_text(node))
                node->text = absolute_any(resolver, node->text);
}

static void set_context(const Resolver *resolver, Node *node)
{
        static const char *const remote[] = { "https://",    "http://", "git://",  "ssh://",
                                              "github.com/", "git@",    "service:" };

        if (!node_text(node) || strstr(node->text, "://"))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(remote); i++)
                if (startswith(node->text, remote[i]))
                        return;
        set_absolute(resolver, node);
}

static void each_member(const Resolver *resolver, Node *node, void (*set)(const Resolver *, Node *))
{
        if (node_is(node, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, node)
        set(resolver, entry->value);
        else if (node_is(node, NODE_LIST)) NODE_FOREACH_ITEM(item, node) set(resolver, *item);
}

static void set_env_file(const Resolver *resolver, Node *file)
{
        set_absolute(resolver, node_get(file, "path"));
}

/* The first link on the way is replaced by what it leads to. */
static void set_watch_path(const Resolver *resolver, Node *watch)
{
        Node *node = node_get(watch, "path");
        char *copy;

        if (!node_text(node))
                return;
        set_absolute(resolver, node);
        copy = arena_strdup(resolver->loader->arena, node->text);
        for (char *slash = copy + 1; slash[-1]; slash++) {
                char real[PATH_MAX], kept;
                struct stat st;

                slash += strcspn(slash, "/");
                kept = *slash;
                *slash = 0;
                if (lstat(copy, &st) == 0 && S_ISLNK(st.st_mode) && realpath(copy, real)) {
                        node->text = arena_printf(resolver->loader->arena, "%s%s%s", real, kept ? "/" : "",
                                                  kept ? slash + 1 : "");
                        return;
                }
                *slash = kept;
        }
}

static void set_mount(const Resolver *resolver, Node *mount)
{
        const char *type = node_text(node_get(mount, "type"));
        Node *source = node_get(mount, "source");

        if (mount->kind != NODE_MAP || !type || !streq(type, "bind"))
                return;
        if (!source)
                loader_fail(resolver->loader, mount, NULL,
                            "invalid mount config for type \"bind\": field source must not be empty");
        else
                set_absolute_any(resolver, source);
}

static void resolve_service(const Resolver *resolver, Node *service)
{
        Node *build = node_get(service, "build");

        set_context(resolver, node_get(build, "context"));
        each_member(resolver, node_get(build, "additional_contexts"), set_context);
        each_member(resolver, node_get(build, "ssh"), set_absolute_any);
        each_member(resolver, node_get(service, "env_file"), set_env_file);
        each_member(resolver, node_get(service, "label_file"), set_absolute);
        set_absolute(resolver, node_get(node_get(service, "extends"), "file"));
        each_member(resolver, node_get(node_get(service, "develop"), "watch"), set_watch_path);
        each_member(resolver, node_get(service, "volumes"), set_mount);
}

static void resolve_file(const Resolver *resolver, Node *object)
{
        set_absolute_any(resolver, node_get(object, "file"));
}

/* A local volume that is a bind in disguise. */
static void resolve_volume(const Resolver *resolver, Node *volume)
{
        const char *driver = node_text(node_get(volume, "driver"));
        Node *options = node_get(volume, "driver_opts");
        const char *o = node_text(node_get(options, "o"));

        if (driver && streq(driver, "local") && o && streq(o, "bind"))
                set_absolute_any(resolver, node_get(options, "device"));
}

void canonical_resolve_paths(Loader *loader, Node *root, const char *base)
{
        const Resolver resolver = { loader, base };

        each_member(&resolver, node_get(root, "services"), resolve_service);
        each_member(&resolver, node_get(root, "configs"), resolve_file);
        each_member(&resolver, node_get(root, "secrets"), resolve_file);
        each_member(&resolver, node_get(root, "volumes"), resolve_volume);
        each_member(&resolver, node_get(node_get(root, "x-berth"), "secrets"), resolve_file);
}

static void set_from_variable(Loader *loader, Node *object, const char *key, const Variables *variables)
{
        const Node *name = node_get(object, "environment");
        const Variable *variable = node_text(name) ? variables_get(variables, name->text) : NULL;
        Node *value;

        if (!variable)
                return;
        value = node_new_string(loader->arena, variable->value, name);
        node_set_note(loader->arena, value, arena_printf(loader->arena, "%s from %s", name->text, variable->origin));
        node_set(loader->arena, object, key, value);
}

void canonical_resolve_variables(Loader *loader, Node *root, const Variables *variables)
{
        Node *services = node_get(root, "services"), *secrets = node_get(root, "secrets"),
             *configs = node_get(root, "configs");

        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
                {
                        Node *environment = node_get(entry->value, "environment");

                        if (!node_is(environment, NODE_LIST))
                                continue;
                        NODE_FOREACH_ITEM(item, environment)
                        {
                                const Variable *variable =
                                        node_text(*item) ? variables_get(variables, (*item)->text) : NULL;

                                if (!variable)
                                        continue;
                                node_set_note(
                                        loader->arena, *item,
                                        arena_printf(loader->arena, "%s from %s", (*item)->text, variable->origin));
                                (*item)->text = arena_printf(loader->arena, "%s=%s", (*item)->text, variable->value);
                        }
                }
        if (node_is(secrets, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, secrets)
        set_from_variable(loader, entry->value, SECRET_VALUE_KEY, variables);
        if (node_is(configs, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, configs)
        set_from_variable(loader, entry->value, "content", variables);
}
