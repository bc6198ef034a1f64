/* Taking containers off their networks, and clearing up after those that went without a word. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/bridge.h"
#include "engine/local/commit.h"
#include "engine/local/namespace.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"

static int drop_lease(const Layout *layout, const char *network, const char *container, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = NULL;

        if (network_record_load(layout, network, &record, NULL) < 0 || !network_record_drop_lease(record, container))
                return 0;
        return network_record_save(layout, record, err);
}

/* The interface goes before the file that names it. */
static int remove_endpoint(const Layout *layout, Netlink *netlink, const Endpoint *endpoint, bool drop, Error **err)
{
        int r = netlink_delete(netlink, endpoint->interface, err);

        if (r == 0)
                r = endpoint_delete(layout, endpoint->network, endpoint->id, err);
        if (r == 0 && drop)
                r = drop_lease(layout, endpoint->network, endpoint->container, err);
        return r;
}

/* Under the lock. *ret_removed tells whether there was anything. */
static int remove_endpoints(const Layout *layout, const char *id, bool drop, uint64_t *ret_change, bool *ret_removed,
                            Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        _cleanup_close_ int lock = -1;
        int r;

        *ret_removed = false;
        r = network_lock(layout, &lock, err);
        if (r == 0)
                r = network_state_load(layout, &state, err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < state.n_endpoints; i++) {
                if (!streq(state.endpoints[i]->id, id))
                        continue;
                if (!netlink)
                        r = netlink_open(&netlink, err);
                if (r == 0)
                        r = remove_endpoint(layout, netlink, state.endpoints[i], drop, err);
                *ret_removed = true;
        }
        return r < 0 || !*ret_removed ? r : network_note_change(layout, ret_change, err);
}

int local_network_detach(const Layout *layout, const ContainerSpec *spec, const char *id, const char *run_dir,
                         Error **err)
{
        _cleanup_free_ char *path = run_dir ? path_join(run_dir, "netns") : NULL;
        uint64_t change;
        bool removed;
        int r;

        r = remove_endpoints(layout, id, spec && spec->oneoff, &change, &removed, err);
        if (r == 0 && path)
                r = namespace_remove(path, err);
        if (r == 0 && removed)
                r = network_commit(layout, change, err);
        return r;
}

static int ensure_bridges(const NetworkState *state, Error **err)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        int r = netlink_open(&netlink, err), index;

        for (size_t i = 0; r == 0 && i < state->n_networks; i++)
                r = bridge_ensure(netlink, state->networks[i], &index, err);
        return r;
}

static int remove_dead(const Layout *layout, const NetworkState *state, const char *project, char *const *live_ids,
                       Error **err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < state->n_endpoints; i++) {
                const Endpoint *endpoint = state->endpoints[i];
                _cleanup_free_ char *path = path_join(endpoint->directory, "netns");
                uint64_t change;
                bool removed;

                if ((project && !streq_ptr(endpoint->project, project)) || strv_contains(live_ids, endpoint->id))
                        continue;
                r = remove_endpoints(layout, endpoint->id, false, &change, &removed, err);
                if (r == 0)
                        r = namespace_remove(path, err);
        }
        return r;
}

int local_network_recover(const Layout *layout, const char *project, char *const *live_ids,
                          const EngineProgress *progress, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        int r;

        r = network_state_load(layout, &state, err);
        if (r < 0 || state.n_networks == 0)
                return r;
        r = ensure_bridges(&state, err);
        if (r == 0)
                r = remove_dead(layout, &state, project, live_ids, err);
        return r < 0 ? r : local_network_refresh(layout, err);
}
