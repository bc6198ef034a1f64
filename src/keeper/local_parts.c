#include "keeper/local_parts.h"

#include "base/log.h"
#include "engine/local/local.h"
#include "engine/local/network.h"
#include "engine/local/ports.h"

/* Takes the ports and gives them back: whoever has one of them is named by the error. */
static int check_ports(const Layout *layout, const char *container, const SpecPort *ports, size_t n_ports, Error **err)
{
        _cleanup_held_ports_ HeldPorts held = { 0 };

        return ports_hold(layout, container, ports, n_ports, &held, err);
}

int local_parts_fill(KeeperParts *parts, Engine **ret_engine, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = local_engine_create(parts->layout, ret_engine, err);

        if (r < 0)
                return r;
        parts->engine = *ret_engine;
        parts->check_ports = check_ports;
        parts->watch_fd = -1;
        parts->watch_read = local_network_watch_read;
        parts->watch_repair = local_network_refresh;
        if (local_network_watch_fd(&parts->watch_fd, &reason) < 0)
                log_failure(LOG_LEVEL_WARNING, reason, "watch firewall rules");
        return 0;
}
