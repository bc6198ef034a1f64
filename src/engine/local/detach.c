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

static int silence_one(Netlink *inside, int index, const char *address_text, const char *subnet_text)
{
        Address address;
        Subnet subnet;

        if (!address_text || !subnet_text)
                return 0;
        if (!address_parse(address_text, &address) || subnet_parse(subnet_text, &subnet, NULL) < 0)
                return -ERROR_INVALID;
        return netlink_remove_address(inside, index, address, subnet.prefix, NULL);
}

/* Takes the container's addresses away inside, so that nothing answers there while the kernel clears up, in its own time. */
static int silence(const NetworkState *state, const Endpoint *endpoint)
{
        const NetworkRecord *record = network_state_find(state, endpoint->network);
        _cleanup_free_ char *path = path_join(endpoint->directory, "netns");
        _cleanup_(netlink_freep) Netlink *inside = NULL;
        int index, r;

        r = record ? namespace_netlink(path, &inside, NULL) : -ERROR_NOT_FOUND;
        if (r == 0)
                r = netlink_index(inside, endpoint->guest_interface, &index, NULL);
        if (r == 0)
                r = silence_one(inside, index, endpoint->ipv4, record->subnet);
        return r < 0 ? r : silence_one(inside, index, endpoint->ipv6, record->subnet6);
}

/* Removing an interface by its name takes the kernel 15 ms, one at a time; left to its clearing up of the namespace it
 * costs nobody anything. Only where that may not happen it is done by name, before the file that tells it goes. */
static int remove_endpoint(const Layout *layout, const NetworkState *state, const Endpoint *endpoint, Error **err)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        int r = 0;

        if (silence(state, endpoint) < 0) {
                r = netlink_open(&netlink, err);
                if (r == 0)
                        r = netlink_delete(netlink, endpoint->interface, err);
        }
        return r < 0 ? r : endpoint_delete(layout, endpoint->network, endpoint->id, err);
}

/* Under the lock. *ret_removed tells whether there was anything. */
static int remove_endpoints(const Layout *layout, const char *id, uint64_t *ret_change, bool *ret_removed, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
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
                r = remove_endpoint(layout, &state, state.endpoints[i], err);
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

        r = remove_endpoints(layout, id, &change, &removed, err);
        if (r == 0 && path)
                r = namespace_remove(path, err);
        if (r == 0 && removed)
                r = network_commit(layout, change, err);
        return r;
}

static int ensure_bridges(const Layout *layout, const NetworkState *state, Error **err)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        int r = netlink_open(&netlink, err), index;

        for (size_t i = 0; r == 0 && i < state->n_networks; i++)
                r = bridge_ensure(layout, netlink, state->networks[i], &index, err);
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
                r = remove_endpoints(layout, endpoint->id, &change, &removed, err);
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
        r = ensure_bridges(layout, &state, err);
        if (r == 0)
                r = remove_dead(layout, &state, project, live_ids, err);
        if (r == 0)
                r = network_commit_all(layout, true, err);
        return r < 0 ? r : local_network_refresh(layout, err);
}
