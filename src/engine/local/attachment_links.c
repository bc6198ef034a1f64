#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/attachment.h"
#include "engine/local/bridge.h"
#include "engine/local/namespace.h"
#include "engine/local/sysctl.h"

static int add_inside_address(Attachment *attachment, int index, const char *subnet_text, const char *text, Error **err)
{
        Address address;
        Subnet subnet;
        int r = subnet_parse(subnet_text, &subnet, err);

        if (r < 0)
                return r;
        if (!address_parse(text, &address))
                return error_set(err, ERROR_INTERNAL, "\"%s\" is not an address", text);
        return netlink_add_address(attachment->inside, index, address, subnet.prefix, err);
}

static int add_default_routes(Attachment *attachment, const NetworkRecord *record, int index, Error **err)
{
        Address gateway;
        int r = 0;

        if (record->internal)
                return 0;
        if (address_parse(record->gateway, &gateway))
                r = netlink_add_default_route(attachment->inside, index, gateway, err);
        if (r == 0 && record->subnet6 && address_parse(record->gateway6, &gateway))
                r = netlink_add_default_route(attachment->inside, index, gateway, err);
        return r;
}

static int connect_one(Attachment *attachment, size_t i, Error **err)
{
        const NetworkRecord *record = attachment->records[i];
        const Endpoint *endpoint = attachment->endpoints[i];
        VethSpec veth = { .name = endpoint->interface,
                          .peer_name = endpoint->guest_interface,
                          .peer_namespace_fd = attachment->namespace_fd,
                          .mtu = bridge_mtu(record) };
        int index, r;

        _cleanup_free_ char *no_ipv6 = xasprintf("net/ipv6/conf/%s/disable_ipv6", endpoint->interface);

        if (!mac_parse(endpoint->mac, veth.peer_mac))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a MAC address", endpoint->mac);
        r = bridge_ensure(attachment->layout, attachment->outside, record, &veth.bridge_index, err);
        if (r == 0)
                r = netlink_veth(attachment->outside, &veth, err);
        (void)sysctl_write(no_ipv6, "1", NULL); /* a port of a bridge needs no address */
        if (r == 0)
                r = netlink_index(attachment->inside, endpoint->guest_interface, &index, err);
        if (r == 0)
                r = netlink_set_up(attachment->inside, index, err);
        if (r == 0)
                r = add_inside_address(attachment, index, record->subnet, endpoint->ipv4, err);
        if (r == 0 && endpoint->ipv6)
                r = add_inside_address(attachment, index, record->subnet6, endpoint->ipv6, err);
        if (r == 0 && i == 0)
                r = add_default_routes(attachment, record, index, err);
        return error_prefix(err, r, "connect to network \"%s\"", record->name);
}

int attachment_connect(Attachment *attachment, Error **err)
{
        _cleanup_free_ char *path = path_join(attachment->run_dir, "netns");
        int r;

        r = netlink_open(&attachment->outside, err);
        if (r == 0)
                r = namespace_create(path, attachment_wants_ipv6(attachment), &attachment->namespace_fd,
                                     &attachment->inside, err);
        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = connect_one(attachment, i, err);
        return r;
}
