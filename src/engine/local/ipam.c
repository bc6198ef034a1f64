#include "engine/local/ipam.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/hosts.h"

typedef VECTOR(Subnet) Subnets;

/* Name servers count as taken: a network over them would cut this machine off from names. */
static void add_name_servers(Subnets *taken)
{
        _cleanup_free_ char *text = resolv_read_host();
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines) {
                char server[64];
                Address address;

                if (sscanf(*line, " nameserver %63s", server) == 1 && address_parse(server, &address))
                        vector_add(taken, subnet_around(address, address.family == AF_INET ? 32 : 128));
        }
}

static void add_text(Subnets *taken, const char *text)
{
        Subnet subnet;

        if (text && subnet_parse(text, &subnet, NULL) == 0)
                vector_add(taken, subnet);
}

static Subnets collect_taken(const NetworkState *state, const Routes *routes)
{
        Subnets taken = { 0 };

        for (size_t i = 0; i < state->n_networks; i++) {
                add_text(&taken, state->networks[i]->subnet);
                add_text(&taken, state->networks[i]->subnet6);
        }
        VECTOR_FOREACH(route, routes)
                vector_add(&taken, route->subnet);
        add_name_servers(&taken);
        return taken;
}

static int check_free(const NetworkState *state, const Routes *routes, const NetworkRecord *record, Subnet subnet,
                      const char *text, Error **err)
{
        int r;

        for (size_t i = 0; i < state->n_networks; i++) {
                const NetworkRecord *other = state->networks[i];
                const char *other_text = subnet.address.family == AF_INET ? other->subnet : other->subnet6;
                Subnet taken;

                if (!streq(other->name, record->name) && other_text && subnet_parse(other_text, &taken, NULL) == 0 &&
                    subnet_overlaps(subnet, taken))
                        return error_set(err, ERROR_CONFLICT, "subnet %s overlaps %s of network \"%s\"", text,
                                         other_text, other->name);
        }
        VECTOR_FOREACH(route, routes) {
                _cleanup_free_ char *route_text = NULL;

                if (!subnet_overlaps(subnet, route->subnet) || streq(route->interface, record->bridge))
                        continue;
                route_text = subnet_format(route->subnet);
                r = error_set(err, ERROR_CONFLICT, "subnet %s overlaps the route %s of this machine over %s", text,
                              route_text, route->interface);
                return error_hint(err, r, "Choose another subnet, or leave it out and one is chosen.");
        }
        return 0;
}

static int check_gateway(const NetworkPool *pool, Subnet subnet, Error **err)
{
        Address gateway;

        if (!pool->gateway)
                return 0;
        if (!address_parse(pool->gateway, &gateway))
                return error_set(err, ERROR_INVALID, "gateway \"%s\" is not an address", pool->gateway);
        if (!subnet_contains(subnet, gateway))
                return error_set(err, ERROR_INVALID, "gateway %s is outside the subnet %s", pool->gateway,
                                 pool->subnet);
        if (!subnet_is_usable(subnet, gateway))
                return error_set(err, ERROR_INVALID, "gateway %s is the %s address of subnet %s", pool->gateway,
                                 gateway.value == subnet.address.value ? "first" : "broadcast", pool->subnet);
        return 0;
}

static int check_range(const NetworkPool *pool, Subnet subnet, Error **err)
{
        Subnet range;
        int r;

        if (!pool->ip_range)
                return 0;
        r = subnet_parse(pool->ip_range, &range, err);
        if (r < 0)
                return error_prefix(err, r, "ip_range");
        if (!subnet_contains_subnet(subnet, range))
                return error_set(err, ERROR_INVALID, "ip_range %s is outside the subnet %s", pool->ip_range,
                                 pool->subnet);
        return 0;
}

static void set_subnet(NetworkRecord *record, Subnet subnet, const NetworkPool *pool)
{
        Address first = { subnet.address.family, subnet.address.value + 1 };
        _cleanup_free_ char *text = subnet_format(subnet), *gateway = address_format(first);
        char *gateway_copy = arena_strdup(record->arena, pool && pool->gateway ? pool->gateway : gateway);
        char *range = pool ? arena_strdup(record->arena, pool->ip_range) : NULL;

        if (subnet.address.family == AF_INET) {
                record->subnet = arena_strdup(record->arena, text);
                record->gateway = gateway_copy;
                record->ip_range = range;
        } else {
                record->subnet6 = arena_strdup(record->arena, text);
                record->gateway6 = gateway_copy;
                record->ip_range6 = range;
        }
}

static int assign_pool(const NetworkState *state, const Routes *routes, NetworkRecord *record, const NetworkPool *pool,
                       Error **err)
{
        Subnet subnet;
        int r;

        if (!pool->subnet) {
                if (!pool->gateway && !pool->ip_range)
                        return 0;
                return error_set(err, ERROR_INVALID, "a gateway or ip_range needs a subnet beside it");
        }
        r = subnet_parse(pool->subnet, &subnet, err);
        if (r < 0)
                return r;
        if (subnet.prefix > (subnet.address.family == AF_INET ? 30 : 126))
                return error_set(err, ERROR_INVALID, "subnet %s has no room for containers", pool->subnet);
        if (subnet.address.family == AF_INET6 && !record->enable_ipv6)
                return 0;
        if (subnet.address.family == AF_INET ? record->subnet : record->subnet6)
                return error_set(err, ERROR_UNSUPPORTED, "a second %s subnet (%s)",
                                 subnet.address.family == AF_INET ? "IPv4" : "IPv6", pool->subnet);
        r = check_gateway(pool, subnet, err);
        if (r == 0)
                r = check_range(pool, subnet, err);
        if (r == 0)
                r = check_free(state, routes, record, subnet, pool->subnet, err);
        if (r == 0)
                set_subnet(record, subnet, pool);
        return r;
}

int ipam_assign(const Layout *layout, const NetworkState *state, const Routes *routes, NetworkRecord *record,
                Error **err)
{
        Subnets taken;
        Subnet subnet;
        int r = 0;

        for (size_t i = 0; r == 0 && i < record->n_pools; i++)
                r = assign_pool(state, routes, record, &record->pools[i], err);
        if (r < 0)
                return r;
        taken = collect_taken(state, routes);
        if (!record->subnet) {
                r = subnet_choose(taken.items, taken.length, &subnet, err);
                if (r == 0)
                        set_subnet(record, subnet, NULL);
        }
        if (r == 0 && record->enable_ipv6 && !record->subnet6) {
                _cleanup_free_ char *seed = xasprintf("%s %s", layout->id, record->name);

                set_subnet(record, subnet_choose_ipv6(seed, taken.items, taken.length), NULL);
        }
        vector_done(&taken);
        return r;
}
