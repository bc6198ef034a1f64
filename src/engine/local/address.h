/* IP addresses and subnets as numbers, of both families. Pure: nothing here asks the system. */
#ifndef BERTH_ENGINE_LOCAL_ADDRESS_H
#define BERTH_ENGINE_LOCAL_ADDRESS_H

#include <sys/socket.h>

#include "base/error.h"

typedef unsigned __int128 AddressValue;

typedef struct Address {
        int family;         /* AF_INET, AF_INET6; 0: none */
        AddressValue value; /* in host order */
} Address;

typedef struct Subnet {
        Address address; /* the first: host bits are zero */
        int prefix;
} Subnet;

/* "172.18.0.2" or "fd00::2", nothing around it. */
bool address_parse(const char *text, Address *ret);
char *address_format(Address address); /* owned by the caller; "" for none */
bool address_equal(Address a, Address b);
bool address_is_loopback(Address address);
/* bytes in network order: 4 or 16 */
Address address_from_bytes(int family, const void *bytes);
void address_to_bytes(Address address, void *ret_bytes);
static inline int address_size_bytes(int family)
{
        return family == AF_INET6 ? 16 : 4;
}

/* "172.18.0.0/16". Host bits must be zero (ERROR_INVALID, the hint tells the subnet that was meant). */
int subnet_parse(const char *text, Subnet *ret, Error **err);
/* The subnet of that prefix length that address lies in. */
Subnet subnet_around(Address address, int prefix);
char *subnet_format(Subnet subnet); /* owned by the caller */
bool subnet_contains(Subnet subnet, Address address);
bool subnet_contains_subnet(Subnet outer, Subnet inner);
bool subnet_overlaps(Subnet a, Subnet b);
Address subnet_last(Subnet subnet);
/* Whether address may be given to an interface: inside, and neither the network's nor the broadcast address. */
bool subnet_is_usable(Subnet subnet, Address address);

/* The first subnet of Docker's pools (172.18–31.0.0/16, 192.168.0.0/20 …, last 172.17.0.0/16) that overlaps none of those
 * taken. ERROR_CONFLICT where there is none. */
int subnet_choose(const Subnet *taken, size_t n_taken, Subnet *ret, Error **err);
/* A unique local /64 (RFC 4193) derived from seed, the next ones where it is taken. */
Subnet subnet_choose_ipv6(const char *seed, const Subnet *taken, size_t n_taken);

/* The IPv4 destinations of a routing table in the form of /proc/net/route, default routes left out. Appends to *ret. */
typedef struct Route {
        Subnet subnet;
        char interface[16];
} Route;
typedef struct Routes {
        Route *items;
        size_t length, capacity;
} Routes;
void routes_done(Routes *routes);
#define _cleanup_routes_ _cleanup_(routes_done)
void routes_parse_ipv4(const char *text, Routes *ret);
/* The form of /proc/net/ipv6_route: loopback, link-local, multicast and default routes left out. */
void routes_parse_ipv6(const char *text, Routes *ret);
/* What this machine's kernel has now, both families. */
int routes_read(Routes *ret, Error **err);

#endif
