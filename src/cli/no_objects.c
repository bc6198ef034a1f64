/* As long as the networks of the local engine cannot be listed by their kernel objects. */
#include "engine/local/network.h"

void local_network_objects_done(LocalNetworkObjects *objects)
{
}

int local_network_objects(const Layout *layout, LocalNetworkObjects *ret, Error **err)
{
        return error_set(err, ERROR_UNSUPPORTED, "the kernel's objects cannot be listed yet");
}

int local_network_prune(const Layout *layout, LocalNetworkObjects *ret, Error **err)
{
        return error_set(err, ERROR_UNSUPPORTED, "the kernel's objects cannot be listed yet");
}
