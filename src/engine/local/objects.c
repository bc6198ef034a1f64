/* What this installation has in the kernel, whose it is, and the removal of what is nobody's. The kernel is asked before
 * the files: what comes into being has its file first, so it never looks like nobody's. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/commit.h"
#include "engine/local/firewall.h"
#include "engine/local/foreign.h"
#include "engine/local/namespace.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"

typedef VECTOR(LocalNetworkObject) Objects;

typedef struct Seen { /* names as the kernel has them */
        char **bridges, **veths, **namespaces, **chains, **rules;
        bool table;
} Seen;

static void seen_done(Seen *seen)
{
        strv_free(seen->bridges);
        strv_free(seen->veths);
        strv_free(seen->namespaces);
        strv_free(seen->chains);
        strv_free(seen->rules);
}

void local_network_objects_done(LocalNetworkObjects *objects)
{
        for (size_t i = 0; i < objects->length; i++) {
                free(objects->items[i].kind);
                free(objects->items[i].name);
                free(objects->items[i].owner);
                free(objects->items[i].project);
        }
        free(objects->items);
        *objects = (LocalNetworkObjects){ 0 };
}

/* ---- seeing ---- */

static int see_interfaces(const Layout *layout, Seen *seen, Error **err)
{
        _cleanup_free_ char *bridges = xasprintf(KERNEL_NAME_PREFIX "%sb", layout->id);
        _cleanup_free_ char *veths = xasprintf(KERNEL_NAME_PREFIX "%sv", layout->id);
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        int r = netlink_open(&netlink, err);

        if (r == 0)
                r = netlink_list(netlink, bridges, 0, &seen->bridges, err);
        return r < 0 ? r : netlink_list(netlink, veths, 0, &seen->veths, err);
}

/* The mount points below the run folder that are called netns. A path with a space or the like is written in octal there;
 * ours have none. */
static int see_namespaces(const Layout *layout, Seen *seen, Error **err)
{
        _cleanup_free_ char *prefix = layout_run(layout, "projects/");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int r = fs_read_file(AT_FDCWD, "/proc/thread-self/mountinfo", (size_t)64 * 1024 * 1024, &text, err);

        if (r < 0)
                return r;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                _cleanup_strv_ char **words = strv_split(*line, ' ');

                if (strv_length(words) > 4 && startswith(words[4], prefix) && endswith(words[4], "/netns"))
                        strv_add(&seen->namespaces, words[4]);
        }
        return 0;
}

static int see(const Layout *layout, Seen *seen, Error **err)
{
        int r = see_interfaces(layout, seen, err);

        if (r == 0)
                r = see_namespaces(layout, seen, err);
        return r < 0 ? r : foreign_see(layout, &seen->table, &seen->chains, &seen->rules, err);
}

/* ---- whose ---- */

static void add(Objects *objects, const char *kind, const char *name, char *owner, const char *project)
{
        vector_add(objects, (LocalNetworkObject){ .kind = xstrdup(kind),
                                                  .name = xstrdup(name),
                                                  .owner = owner,
                                                  .project = owner ? xstrdup(project) : NULL });
}

static void add_bridge(Objects *objects, const NetworkState *state, const char *name)
{
        for (size_t i = 0; i < state->n_networks; i++)
                if (streq(state->networks[i]->bridge, name)) {
                        add(objects, "bridge", name, xasprintf("network %s", state->networks[i]->name),
                            state->networks[i]->project);
                        return;
                }
        add(objects, "bridge", name, NULL, NULL);
}

static void add_veth(Objects *objects, const NetworkState *state, const char *name)
{
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->interface, name)) {
                        add(objects, "veth", name, xasprintf("container %s", state->endpoints[i]->container),
                            state->endpoints[i]->project);
                        return;
                }
        add(objects, "veth", name, NULL, NULL);
}

/* <run>/projects/<project>/containers/<id>/netns belongs to a container as long as that is recorded, with or without
 * networks. */
static void add_namespace(Objects *objects, const Layout *layout, const NetworkState *state, const char *path)
{
        _cleanup_free_ char *projects = layout_run(layout, "projects/"), *folder = path_dirname(path), *record = NULL;
        const char *rest = startswith(folder, projects), *id = path_basename(folder);
        _cleanup_free_ char *project = rest ? xstrndup(rest, strcspn(rest, "/")) : NULL;
        const Endpoint *endpoint = network_state_endpoint(state, id, 0);

        record = layout_data(layout, "projects/%s", rest ? rest : "");
        if (endpoint)
                add(objects, "namespace", path, xasprintf("container %s", endpoint->container), endpoint->project);
        else if (rest && fs_exists(record))
                add(objects, "namespace", path, xasprintf("container %s", id), project);
        else
                add(objects, "namespace", path, NULL, NULL);
}

static bool publishes(const NetworkState *state, const char *project)
{
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (state->endpoints[i]->n_ports > 0 &&
                    streq(state->endpoints[i]->project ? state->endpoints[i]->project : "", project))
                        return true;
        return false;
}

static void add_rules(Objects *objects, const Layout *layout, const NetworkState *state, const Seen *seen)
{
        _cleanup_free_ char *table = firewall_table(layout->id);
        bool used = state->n_networks > 0;

        if (seen->table)
                add(objects, "table", table, used ? xstrdup("the networks") : NULL, NULL);
        STRV_FOREACH(chain, seen->chains) {
                const char *project = startswith(*chain, "ports_");

                if (project)
                        add(objects, "chain", *chain,
                            publishes(state, project) ? xasprintf("ports of project %s", project) : NULL, project);
        }
        STRV_FOREACH(rule, seen->rules)
                add(objects, "rule", *rule, used ? xstrdup("the networks") : NULL, NULL);
}

int local_network_objects(const Layout *layout, LocalNetworkObjects *ret, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_(seen_done) Seen seen = { 0 };
        Objects objects = { 0 };
        int r = see(layout, &seen, err);

        if (r == 0)
                r = network_state_load(layout, &state, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, seen.bridges)
                add_bridge(&objects, &state, *name);
        STRV_FOREACH(name, seen.veths)
                add_veth(&objects, &state, *name);
        STRV_FOREACH(name, seen.namespaces)
                add_namespace(&objects, layout, &state, *name);
        add_rules(&objects, layout, &state, &seen);
        *ret = (LocalNetworkObjects){ objects.items, objects.length };
        return 0;
}

/* ---- removal ---- */

static int remove_object(Netlink *netlink, const LocalNetworkObject *object, bool *ret_rules, Error **err)
{
        if (streq(object->kind, "bridge") || streq(object->kind, "veth"))
                return netlink_delete(netlink, object->name, err);
        if (streq(object->kind, "namespace"))
                return namespace_remove(object->name, err);
        *ret_rules = true;
        return 0;
}

int local_network_prune(const Layout *layout, LocalNetworkObjects *ret, Error **err)
{
        _cleanup_local_network_objects_ LocalNetworkObjects all = { 0 }, removed = { 0 };
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        bool rules = false;
        int r = local_network_objects(layout, &all, err);

        if (r == 0)
                r = netlink_open(&netlink, err);
        removed.items = xnew_array(LocalNetworkObject, all.length + 1);
        for (size_t i = 0; r == 0 && i < all.length; i++) {
                if (all.items[i].owner)
                        continue;
                r = remove_object(netlink, &all.items[i], &rules, err);
                removed.items[removed.length++] = all.items[i];
                all.items[i] = (LocalNetworkObject){ 0 };
        }
        if (r == 0 && rules) { /* made again from the files: without them */
                r = network_commit_all(layout, true, err);
                if (r == 0)
                        r = local_network_refresh(layout, err);
        }
        if (r == 0 && ret) {
                *ret = removed;
                removed = (LocalNetworkObjects){ 0 };
        }
        return r;
}
