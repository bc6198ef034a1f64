/* Defaults, and checks of values that a schema cannot say. */
#include <string.h>

#include "base/mem.h"
#include "compose/canonical.h"
#include "compose/short_syntax.h"

static void set_text(Loader *loader, Node *map, const char *key, const char *text)
{
        Node *value;

        if (node_find(map, key))
                return;
        value = node_new_string(loader->arena, text, map);
        value->flags |= NODE_DEFAULT;
        node_set(loader->arena, map, key, value);
}

static void default_devices(Loader *loader, Node *requests)
{
        if (!node_is(requests, NODE_LIST))
                return;
        NODE_FOREACH_ITEM(request, requests)
        if ((*request)->kind == NODE_MAP && !node_find(*request, "count") && !node_find(*request, "device_ids"))
                set_text(loader, *request, "count", "all");
}

static Node *reserved_devices(const Node *service)
{
        return node_get(node_get(node_get(node_get(service, "deploy"), "resources"), "reservations"), "devices");
}

static void default_service(Loader *loader, Node *service)
{
        Node *build = node_get(service, "build"), *secrets = node_get(service, "secrets"),
             *ports = node_get(service, "ports");

        if (node_is(build, NODE_MAP))
                set_text(loader, build, "context", ".");
        if (node_is(secrets, NODE_LIST))
                NODE_FOREACH_ITEM(secret, secrets)
                {
                        const char *source = node_text(node_get(*secret, "source"));

                        if ((*secret)->kind == NODE_MAP && !node_find(*secret, "target"))
                                set_text(loader, *secret, "target",
                                         arena_printf(loader->arena, "/run/secrets/%s", source ? source : ""));
                }
        if (node_is(ports, NODE_LIST))
                NODE_FOREACH_ITEM(port, ports)
        if ((*port)->kind == NODE_MAP) {
                set_text(loader, *port, "protocol", "tcp");
                set_text(loader, *port, "mode", "ingress");
        }
        default_devices(loader, node_get(service, "gpus"));
        default_devices(loader, reserved_devices(service));
}

void canonical_set_defaults(Loader *loader, Node *root)
{
        Node *services = node_get(root, "services");

        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
        default_service(loader, entry->value);
}

static void check_external(Loader *loader, const Node *volume, const NodePath *path)
{
        const Node *external = node_get(volume, "external");

        if (!external || external->kind != NODE_BOOL || !external->boolean)
                return;
        NODE_FOREACH_ENTRY(entry, volume)
        if (!streq(entry->key, "name") && !streq(entry->key, "external") && !startswith(entry->key, "x-"))
                loader_fail(loader, entry->value, path, "conflicting parameters \"external\" and \"%s\" specified",
                            entry->key);
}

static void check_file_source(Loader *loader, const Node *object, const NodePath *path, const char *const *keys)
{
        bool damaged = loader_is_damaged(loader, path->parent->key, path->key, LOADER_UNKNOWN_KEY);
        _cleanup_strbuf_ Strbuf names = STRBUF_INIT;
        unsigned count = 0;

        if (object->kind != NODE_MAP)
                return;
        for (const char *const *key = keys; *key; key++) {
                count += !!node_find(object, *key);
                damaged |= loader_is_damaged(loader, path->parent->key, path->key, *key);
                strbuf_addf(&names, "%s%s", names.length ? "|" : "", *key);
        }
        if (count > 1)
                loader_fail(loader, object, path, "%s attributes are mutually exclusive", strbuf_text(&names));
        else if (count == 0 && !node_find(object, "driver") && !node_find(object, "external") && !damaged)
                loader_fail(loader, object, path, "one of %s must be set", strbuf_text(&names));
}

static void check_devices(Loader *loader, const Node *requests, const NodePath *path)
{
        if (!node_is(requests, NODE_LIST))
                return;
        for (size_t i = 0; i < requests->n_items; i++)
                if (node_find(requests->items[i], "count") && node_find(requests->items[i], "device_ids"))
                        loader_fail(loader, requests->items[i], NODE_PATH_ITEM(path, i),
                                    "\"count\" and \"device_ids\" attributes are exclusive");
}

static void check_service(Loader *loader, const Node *service, const NodePath *path)
{
        const Node *ports = node_get(service, "ports"), *watch = node_get(node_get(service, "develop"), "watch");
        const NodePath *ports_path = NODE_PATH_KEY(path, "ports");
        const NodePath *watch_path = NODE_PATH_KEY(NODE_PATH_KEY(path, "develop"), "watch");

        for (size_t i = 0; node_is(ports, NODE_LIST) && i < ports->n_items; i++) {
                const Node *ip = node_get(ports->items[i], "host_ip");

                if (node_text(ip) && !short_is_ip(ip->text))
                        loader_fail(loader, ip, NODE_PATH_ITEM(ports_path, i), "invalid ip address: %s", ip->text);
        }
        for (size_t i = 0; node_is(watch, NODE_LIST) && i < watch->n_items; i++) {
                const Node *at = node_get(watch->items[i], "path");

                if (node_text(at) && !*at->text)
                        loader_fail(loader, at, NODE_PATH_KEY(NODE_PATH_ITEM(watch_path, i), "path"),
                                    "value can't be blank");
        }
        check_devices(loader, node_get(service, "gpus"), NODE_PATH_KEY(path, "gpus"));
        check_devices(
                loader, reserved_devices(service),
                NODE_PATH_KEY(NODE_PATH_KEY(NODE_PATH_KEY(NODE_PATH_KEY(path, "deploy"), "resources"), "reservations"),
                              "devices"));
}

void canonical_check(Loader *loader, Node *root)
{
        static const char *const config_keys[] = { "file", "environment", "content", NULL };
        static const char *const secret_keys[] = { "file", "environment", NULL };
        static const char *const sections[] = { "services", "volumes", "configs", "secrets" };

        for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
                const Node *section = node_get(root, sections[i]);
                const NodePath top = { .key = sections[i] };

                if (!node_is(section, NODE_MAP))
                        continue;
                NODE_FOREACH_ENTRY(entry, section)
                {
                        const NodePath *path = NODE_PATH_KEY(&top, entry->key);

                        if (i == 0)
                                check_service(loader, entry->value, path);
                        else if (i == 1)
                                check_external(loader, entry->value, path);
                        else
                                check_file_source(loader, entry->value, path, i == 2 ? config_keys : secret_keys);
                }
        }
}
