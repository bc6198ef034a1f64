#include "engine/local/bridge.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "engine/local/forwarding.h"
#include "engine/local/sysctl.h"

#define ETHERNET_MTU 1500
#define SMALLEST_MTU 576

char *bridge_name(const Layout *layout, const char *network, unsigned attempt)
{
        _cleanup_free_ char *seed = xasprintf("%s %u", network, attempt), *digest = sha256_hex(seed, strlen(seed));

        return xasprintf(KERNEL_NAME_PREFIX "%sb%.6s", layout->id, digest);
}

static int interface_mtu(const char *name)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = { 0 };

        snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
        return fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : ETHERNET_MTU;
}

/* Of the interface that the default route goes over. */
static int uplink_mtu(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, "/proc/thread-self/net/route", 16 * 1024 * 1024, &text, NULL) < 0)
                return ETHERNET_MTU;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                unsigned destination, mask;
                char interface[16];

                if (sscanf(*line, "%15s %x %*x %*x %*d %*d %*d %x", interface, &destination, &mask) == 3 &&
                    destination == 0 && mask == 0)
                        return interface_mtu(interface);
        }
        return ETHERNET_MTU;
}

int bridge_mtu(const NetworkRecord *record)
{
        const char *option = network_record_option(record, "com.docker.network.driver.mtu");
        int64_t mtu;

        if (option && parse_int64(option, SMALLEST_MTU, 65535, &mtu))
                return (int)mtu;
        return MAX(MIN(uplink_mtu(), ETHERNET_MTU), SMALLEST_MTU);
}

/* Locally administered and the same after a reboot: other machines and containers keep it in their tables. */
static void bridge_mac(const char *name, uint8_t ret[MAC_SIZE])
{
        Sha256 hash;
        uint8_t digest[SHA256_SIZE];

        sha256_init(&hash);
        sha256_add(&hash, name, strlen(name));
        sha256_finish(&hash, digest);
        memcpy(ret, digest, MAC_SIZE);
        ret[0] = 0x02;
        ret[1] = 0x42;
}

static int add_address(Netlink *netlink, int index, const char *subnet_text, const char *gateway_text, Error **err)
{
        Address gateway;
        Subnet subnet;
        int r;

        r = subnet_parse(subnet_text, &subnet, err);
        if (r < 0)
                return r;
        if (!address_parse(gateway_text, &gateway))
                return error_set(err, ERROR_CORRUPT, "\"%s\" is not an address", gateway_text);
        return netlink_add_address(netlink, index, gateway, subnet.prefix, err);
}

static int set_ipv6(const NetworkRecord *record, Error **err)
{
        _cleanup_free_ char *disable = xasprintf("net/ipv6/conf/%s/disable_ipv6", record->bridge);
        int r = sysctl_ensure(disable, record->subnet6 ? "0" : "1", record->subnet6 ? err : NULL);

        return record->subnet6 ? r : 0; /* a kernel without IPv6 has no such setting */
}

int bridge_ensure(const Layout *layout, Netlink *netlink, const NetworkRecord *record, int *ret_index, Error **err)
{
        _cleanup_free_ char *localnet = xasprintf("net/ipv4/conf/%s/route_localnet", record->bridge);
        uint8_t mac[MAC_SIZE];
        int r;

        bridge_mac(record->bridge, mac);
        r = netlink_bridge(netlink, record->bridge, mac, bridge_mtu(record), ret_index, err);
        if (r == 0)
                r = set_ipv6(record, err);
        if (r == 0)
                r = add_address(netlink, *ret_index, record->subnet, record->gateway, err);
        if (r == 0 && record->subnet6)
                r = add_address(netlink, *ret_index, record->subnet6, record->gateway6, err);
        if (r == 0)
                r = sysctl_ensure(localnet, "1", err);
        if (r == 0)
                r = forwarding_enable(layout, record->subnet6, err);
        return error_prefix(err, r, "bridge %s of network \"%s\"", record->bridge, record->name);
}
