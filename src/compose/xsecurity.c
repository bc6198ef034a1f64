#include "compose/xsecurity.h"

#include "base/mem.h"
#include "base/strv.h"
#include "compose/typed_values.h"

#define DEFAULT_DAYS 365

static const char *const kind_names[] = {
        [X_ROLE_OWNER] = "owner",
        [X_ROLE_APP] = "app",
        [X_ROLE_READONLY] = "readonly",
        [X_ROLE_MONITOR] = "monitor",
};

const char *x_role_kind_name(XRoleKind kind)
{
        return kind_names[kind];
}

bool x_role_kind_parse(const char *name, XRoleKind *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
                if (streq_ptr(name, kind_names[i])) {
                        *ret = (XRoleKind)i;
                        return true;
                }
        return false;
}

/* What the service says, else the top level; NULL where neither does. */
static const Node *find_key(const Project *project, const Service *service, const char *key)
{
        const Node *own = service ? node_get(service->x_berth, key) : NULL;

        return own ? own : node_get(project->x_berth, key);
}

/* A list, or one text alone. */
static char **read_texts(Arena *arena, const Node *node)
{
        char *one[] = { (char *)node_text(node), NULL };

        return one[0] ? arena_strv(arena, one) : typed_texts(arena, node);
}

static XTlsMode read_mode(const Node *node)
{
        const char *text = node_text(node);

        if (node_is(node, NODE_BOOL))
                return node->boolean ? X_TLS_ON : X_TLS_OFF;
        if (!text)
                return X_TLS_UNSAID;
        return streq(text, "required") ? X_TLS_REQUIRED : streq(text, "off") ? X_TLS_OFF : X_TLS_ON;
}

static void read_tls(Arena *arena, const Node *node, XTls *ret)
{
        *ret = (XTls){ .mode = read_mode(node), .days = DEFAULT_DAYS };
        if (!node_is(node, NODE_MAP))
                return;
        ret->mode = node_find(node, "mode") ? read_mode(node_get(node, "mode")) : X_TLS_ON;
        ret->path = typed_text(arena, node, "path");
        ret->names = typed_texts(arena, node_get(node, "names"));
        ret->days = typed_int(node, "days", DEFAULT_DAYS);
}

static void read_access(Arena *arena, const Node *list, XSecurity *ret)
{
        if (!node_is(list, NODE_LIST))
                return;
        ret->access = arena_new_array(arena, XAccess, list->n_items + 1);
        NODE_FOREACH_ITEM(item, list)
        {
                char *method = typed_text(arena, *item, "method");

                ret->access[ret->n_access++] = (XAccess){
                        .databases = read_texts(arena, node_get(*item, "databases")),
                        .roles = read_texts(arena, node_get(*item, "roles")),
                        .networks = read_texts(arena, node_get(*item, "networks")),
                        .method = method ? method : (char *)"scram-sha-256",
                };
        }
}

static void read_roles(Arena *arena, const Node *map, XSecurity *ret)
{
        if (!node_is(map, NODE_MAP))
                return;
        ret->roles = arena_new_array(arena, XRole, map->n_entries + 1);
        NODE_FOREACH_ENTRY(entry, map)
        {
                XRole *role = &ret->roles[ret->n_roles++];

                *role = (XRole){
                        .name = (char *)entry->key,
                        .secret = typed_text(arena, entry->value, "secret"),
                        .databases = read_texts(arena, node_get(entry->value, "databases")),
                };
                x_role_kind_parse(typed_text(arena, entry->value, "kind"), &role->kind);
        }
}

void x_security_read(const Project *project, const Service *service, XSecurity *ret)
{
        *ret = (XSecurity){ 0 };
        read_tls(project->arena, find_key(project, service, "tls"), &ret->tls);
        read_access(project->arena, find_key(project, service, "access"), ret);
        read_roles(project->arena, find_key(project, service, "roles"), ret);
        if (ret->tls.mode == X_TLS_UNSAID && ret->n_access)
                ret->tls.mode = X_TLS_ON; /* every rule demands it */
}

/* ---- external secrets ---- */

void x_berth_fill_secrets(Project *project)
{
        const Node *places = node_get(project->x_berth, "secrets");

        for (size_t i = 0; i < project->n_secrets; i++) {
                FileSource *secret = &project->secrets[i];
                const Node *place = node_get(places, secret->key);

                if (!secret->external || !place)
                        continue;
                secret->file = typed_text(project->arena, place, "file");
                secret->command = typed_texts(project->arena, node_get(place, "command"));
                secret->command_timeout_ns = typed_duration(place, "timeout");
                if (secret->command_timeout_ns <= 0)
                        secret->command_timeout_ns = X_SECRET_TIMEOUT_NS;
                secret->external = !secret->file && !secret->command;
        }
}

void x_berth_check_secrets(Loader *loader, const Node *model)
{
        const Node *places = node_get(node_get(model, "x-berth"), "secrets"), *secrets = node_get(model, "secrets");

        if (!node_is(places, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(entry, places)
        {
                const Node *secret = node_get(secrets, entry->key), *command = node_get(entry->value, "command");
                const NodePath top = { .key = "x-berth" },
                               *path = NODE_PATH_KEY(NODE_PATH_KEY(&top, "secrets"), entry->key);

                if (!secret || !node_get(secret, "external"))
                        loader_fail(loader, entry->value, path, "the project has no external secret \"%s\"",
                                    entry->key);
                else if (!command == !node_get(entry->value, "file"))
                        loader_fail(loader, entry->value, path, "name either a command or a file");
                else if (command && !typed_texts(loader->arena, command))
                        loader_fail(loader, command, path, "the command is empty");
        }
}
