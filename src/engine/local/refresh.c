/* Looking at what the kernel has, after others have changed it. */
#include "engine/local/commit.h"
#include "engine/local/firewall.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"

int local_network_refresh(const Layout *layout, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        bool present = false;
        int r;

        r = network_state_load(layout, &state, err);
        if (r < 0 || state.n_networks == 0)
                return r;
        r = firewall_is_present(layout, &present, err);
        return r < 0 || present ? r : network_commit_all(layout, err);
}
