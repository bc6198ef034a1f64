#include "engine/local/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/sha256.h"

static int family_bits(int family)
{
        return family == AF_INET6 ? 128 : 32;
}

static AddressValue host_mask(Subnet subnet)
{
        int bits = family_bits(subnet.address.family) - subnet.prefix;

        return bits >= 128 ? ~(AddressValue)0 : (((AddressValue)1 << bits) - 1);
}

Address address_from_bytes(int family, const void *bytes)
{
        const uint8_t *byte = bytes;
        Address address = { .family = family };

        for (int i = 0; i < address_size_bytes(family); i++)
                address.value = address.value << 8 | byte[i];
        return address;
}

void address_to_bytes(Address address, void *ret_bytes)
{
        uint8_t *byte = ret_bytes;

        for (int i = address_size_bytes(address.family) - 1; i >= 0; i--, address.value >>= 8)
                byte[i] = (uint8_t)address.value;
}

bool address_parse(const char *text, Address *ret)
{
        uint8_t bytes[16];
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;

        if (inet_pton(family, text, bytes) != 1)
                return false;
        *ret = address_from_bytes(family, bytes);
        return true;
}

char *address_format(Address address)
{
        char text[INET6_ADDRSTRLEN] = "";
        uint8_t bytes[16];

        if (!address.family)
                return xstrdup("");
        address_to_bytes(address, bytes);
        inet_ntop(address.family, bytes, text, sizeof(text));
        return xstrdup(text);
}

bool address_equal(Address a, Address b)
{
        return a.family == b.family && a.value == b.value;
}

bool address_is_loopback(Address address)
{
        return address.family == AF_INET ? address.value >> 24 == 127 : address.value == 1;
}

Subnet subnet_around(Address address, int prefix)
{
        Subnet subnet = { .address = address, .prefix = prefix };

        subnet.address.value &= ~host_mask(subnet);
        return subnet;
}

int subnet_parse(const char *text, Subnet *ret, Error **err)
{
        const char *slash = strchr(text, '/');
        _cleanup_free_ char *head = slash ? xstrndup(text, (size_t)(slash - text)) : NULL, *meant = NULL;
        Address address;
        int64_t prefix;
        int r;

        if (!slash || !address_parse(head, &address) ||
            !parse_int64(slash + 1, 0, family_bits(address.family), &prefix)) {
                r = error_set(err, ERROR_INVALID, "\"%s\" is not a subnet", text);
                return error_hint(err, r, "Write it like 172.28.0.0/16.");
        }
        *ret = subnet_around(address, (int)prefix);
        if (ret->address.value != address.value) {
                meant = subnet_format(*ret);
                r = error_set(err, ERROR_INVALID, "\"%s\" is an address inside a subnet, not a subnet", text);
                return error_hint(err, r, "Write %s.", meant);
        }
        return 0;
}

char *subnet_format(Subnet subnet)
{
        _cleanup_free_ char *address = address_format(subnet.address);

        return xasprintf("%s/%d", address, subnet.prefix);
}

bool subnet_contains(Subnet subnet, Address address)
{
        return address.family == subnet.address.family &&
               subnet_around(address, subnet.prefix).address.value == subnet.address.value;
}

bool subnet_contains_subnet(Subnet outer, Subnet inner)
{
        return inner.prefix >= outer.prefix && subnet_contains(outer, inner.address);
}

bool subnet_overlaps(Subnet a, Subnet b)
{
        return subnet_contains_subnet(a, b) || subnet_contains_subnet(b, a);
}

Address subnet_last(Subnet subnet)
{
        return (Address){ .family = subnet.address.family, .value = subnet.address.value | host_mask(subnet) };
}

bool subnet_is_usable(Subnet subnet, Address address)
{
        if (!subnet_contains(subnet, address) || address.value == subnet.address.value)
                return false;
        return address.family == AF_INET6 || address.value != subnet_last(subnet).value;
}

static bool is_free(Subnet candidate, const Subnet *taken, size_t n_taken)
{
        for (size_t i = 0; i < n_taken; i++)
                if (subnet_overlaps(candidate, taken[i]))
                        return false;
        return true;
}

static Subnet ipv4_subnet(unsigned a, unsigned b, unsigned c, int prefix)
{
        return (Subnet){ .address = { AF_INET, (AddressValue)(a << 24 | b << 16 | c << 8) }, .prefix = prefix };
}

int subnet_choose(const Subnet *taken, size_t n_taken, Subnet *ret, Error **err)
{
        int r;

        for (unsigned i = 0; i < 14 + 16 + 1; i++) {
                Subnet candidate = i < 14        ? ipv4_subnet(172, 18 + i, 0, 16)
                                   : i < 14 + 16 ? ipv4_subnet(192, 168, (i - 14) * 16, 20)
                                                 : ipv4_subnet(172, 17, 0, 16);
                if (!is_free(candidate, taken, n_taken))
                        continue;
                *ret = candidate;
                return 0;
        }
        r = error_set(err, ERROR_CONFLICT,
                      "no free subnet: routes and networks of this machine take all of "
                      "172.17–31.0.0/16 and 192.168.0.0/16");
        return error_hint(err, r, "Give the network a subnet under `ipam`, or remove networks that are not used.");
}

Subnet subnet_choose_ipv6(const char *seed, const Subnet *taken, size_t n_taken)
{
        for (unsigned attempt = 0;; attempt++) {
                _cleanup_free_ char *text = xasprintf("%s %u", seed, attempt);
                uint8_t digest[SHA256_SIZE], bytes[16] = { 0xfd };
                Subnet candidate;
                Sha256 hash;

                sha256_init(&hash);
                sha256_add(&hash, text, strlen(text));
                sha256_finish(&hash, digest);
                memcpy(bytes + 1, digest, 7);
                candidate = subnet_around(address_from_bytes(AF_INET6, bytes), 64);
                if (is_free(candidate, taken, n_taken))
                        return candidate;
        }
}
