#include "engine/local/lease.h"

#include "base/mem.h"
#include "base/vector.h"

typedef VECTOR(AddressValue) Values;

static const char *of_family(int family, const char *ipv4, const char *ipv6)
{
        return family == AF_INET6 ? ipv6 : ipv4;
}

static void add_value(Values *values, const char *text)
{
        Address address;

        if (text && address_parse(text, &address))
                vector_add(values, address.value);
}

static bool has_value(const Values *values, AddressValue value)
{
        VECTOR_FOREACH(item, values)
                if (*item == value)
                        return true;
        return false;
}

/* The container that runs with the address, or NULL. */
static const Endpoint *holder_of(const NetworkState *state, const NetworkRecord *record, Address address,
                                 const char *except)
{
        for (size_t i = 0; i < state->n_endpoints; i++) {
                const Endpoint *endpoint = state->endpoints[i];
                const char *text = of_family(address.family, endpoint->ipv4, endpoint->ipv6);
                Address held;

                if (streq(endpoint->network, record->name) && !streq(endpoint->container, except) && text &&
                    address_parse(text, &held) && address_equal(held, address))
                        return endpoint;
        }
        return NULL;
}

int lease_check_wish(const NetworkState *state, const NetworkRecord *record, int family, const char *text,
                     const char *container, Error **err)
{
        const char *subnet_text = of_family(family, record->subnet, record->subnet6);
        const char *gateway = of_family(family, record->gateway, record->gateway6);
        const Endpoint *holder;
        Address address;
        Subnet subnet;
        int r;

        if (!address_parse(text, &address) || address.family != family)
                return error_set(err, ERROR_INVALID, "\"%s\" is not an %s address", text,
                                 family == AF_INET6 ? "IPv6" : "IPv4");
        if (!subnet_text) {
                r = error_set(err, ERROR_INVALID, "address %s: network \"%s\" has no IPv6", text, record->name);
                return error_hint(err, r, "Set `enable_ipv6: true` on the network.");
        }
        r = subnet_parse(subnet_text, &subnet, err);
        if (r < 0)
                return r;
        if (!subnet_contains(subnet, address))
                return error_set(err, ERROR_INVALID, "address %s is outside the subnet %s of network \"%s\"", text,
                                 subnet_text, record->name);
        if (!subnet_is_usable(subnet, address))
                return error_set(err, ERROR_INVALID, "address %s is the %s address of subnet %s of network \"%s\"",
                                 text, address.value == subnet.address.value ? "first" : "broadcast", subnet_text,
                                 record->name);
        if (streq(text, gateway))
                return error_set(err, ERROR_CONFLICT, "address %s is the gateway of network \"%s\"", text,
                                 record->name);
        holder = holder_of(state, record, address, container);
        if (holder)
                return error_set(err, ERROR_CONFLICT, "address %s of network \"%s\" is taken by container \"%s\"", text,
                                 record->name, holder->container);
        return 0;
}

static bool in_range(Subnet subnet, const char *range_text, Address address)
{
        Subnet range;

        if (!subnet_is_usable(subnet, address))
                return false;
        return !range_text || (subnet_parse(range_text, &range, NULL) == 0 && subnet_contains(range, address));
}

static int search(Subnet range, Subnet subnet, const Values *taken, Address *ret)
{
        AddressValue last = subnet_last(range).value;
        Address address = range.address;

        for (;; address.value++) {
                if (subnet_is_usable(subnet, address) && !has_value(taken, address.value)) {
                        *ret = address;
                        return 0;
                }
                if (address.value == last)
                        return -ERROR_CONFLICT;
        }
}

/* The lowest address that is nobody's; where all are, one whose container does not run. */
static int find_free(const NetworkState *state, const NetworkRecord *record, int family, Address *ret, Error **err)
{
        const char *subnet_text = of_family(family, record->subnet, record->subnet6);
        const char *range_text = of_family(family, record->ip_range, record->ip_range6);
        Values running = { 0 }, taken = { 0 };
        Subnet subnet, range;
        int r;

        r = subnet_parse(subnet_text, &subnet, err);
        if (r == 0)
                r = subnet_parse(range_text ? range_text : subnet_text, &range, err);
        if (r < 0)
                return r;
        add_value(&taken, of_family(family, record->gateway, record->gateway6));
        add_value(&running, of_family(family, record->gateway, record->gateway6));
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->network, record->name)) {
                        add_value(&taken, of_family(family, state->endpoints[i]->ipv4, state->endpoints[i]->ipv6));
                        add_value(&running, of_family(family, state->endpoints[i]->ipv4, state->endpoints[i]->ipv6));
                }
        for (size_t i = 0; i < record->n_leases; i++)
                add_value(&taken, of_family(family, record->leases[i].ipv4, record->leases[i].ipv6));
        r = search(range, subnet, &taken, ret);
        if (r < 0)
                r = search(range, subnet, &running, ret);
        vector_done(&taken);
        vector_done(&running);
        if (r < 0) {
                r = error_set(err, ERROR_CONFLICT, "network \"%s\" has no free address left in %s", record->name,
                              range_text ? range_text : subnet_text);
                return error_hint(err, r,
                                  "Remove containers that are not needed, or give the network a larger subnet.");
        }
        return 0;
}

/* Takes the address from whoever had it before and does not run. */
static void evict(NetworkRecord *record, int family, const char *text, const char *container)
{
        for (size_t i = 0; i < record->n_leases; i++) {
                NetworkLease *lease = &record->leases[i];

                if (!streq(lease->container, container) &&
                    streq_ptr(of_family(family, lease->ipv4, lease->ipv6), text)) {
                        network_record_drop_lease(record, lease->container);
                        return;
                }
        }
}

static int allot_one(const NetworkState *state, const NetworkRecord *record, int family, const char *wish,
                     const LeaseWish *whole, char **ret, Error **err)
{
        const NetworkLease *lease = network_record_lease(record, whole->container);
        const char *subnet_text = of_family(family, record->subnet, record->subnet6);
        const char *range_text = of_family(family, record->ip_range, record->ip_range6);
        const char *old = lease ? of_family(family, lease->ipv4, lease->ipv6) : NULL;
        Address address;
        Subnet subnet;
        int r;

        if (wish) {
                r = lease_check_wish(state, record, family, wish, whole->container, err);
                if (r < 0)
                        return r;
                *ret = xstrdup(wish);
                return 0;
        }
        if (old && address_parse(old, &address) && subnet_parse(subnet_text, &subnet, NULL) == 0 &&
            in_range(subnet, range_text, address) && !holder_of(state, record, address, whole->container)) {
                *ret = xstrdup(old);
                return 0;
        }
        r = find_free(state, record, family, &address, err);
        if (r < 0)
                return r;
        *ret = address_format(address);
        return 0;
}

int lease_allot(const NetworkState *state, const NetworkRecord *record, const LeaseWish *wish, char **ret_ipv4,
                char **ret_ipv6, Error **err)
{
        _cleanup_free_ char *ipv4 = NULL, *ipv6 = NULL;
        int r;

        r = allot_one(state, record, AF_INET, wish->ipv4, wish, &ipv4, err);
        if (r == 0 && (record->subnet6 || wish->ipv6))
                r = allot_one(state, record, AF_INET6, wish->ipv6, wish, &ipv6, err);
        if (r < 0)
                return r;
        *ret_ipv4 = TAKE_PTR(ipv4);
        *ret_ipv6 = TAKE_PTR(ipv6);
        return 0;
}

bool lease_is_noted(const NetworkRecord *record, const Endpoint *endpoint)
{
        const NetworkLease *lease = network_record_lease(record, endpoint->container);

        return endpoint->oneoff ||
               (lease && streq_ptr(lease->ipv4, endpoint->ipv4) && streq_ptr(lease->ipv6, endpoint->ipv6));
}

void lease_note(NetworkRecord *record, const Endpoint *endpoint)
{
        if (lease_is_noted(record, endpoint))
                return;
        evict(record, AF_INET, endpoint->ipv4, endpoint->container);
        if (endpoint->ipv6)
                evict(record, AF_INET6, endpoint->ipv6, endpoint->container);
        network_record_set_lease(record, endpoint->container, endpoint->ipv4, endpoint->ipv6);
}
