#include "engine/local/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define REPLY_SIZE (64 * 1024)

struct Netlink {
        int fd;
        uint32_t sequence;
        char *reply;
};

/* A message under construction. Its size is bounded: names are short and there are few attributes. */
typedef struct Message {
        union {
                struct nlmsghdr header;
                char bytes[1024];
        };
} Message;

int netlink_open(Netlink **ret, Error **err)
{
        struct timeval patience = { .tv_sec = 30 };
        Netlink *netlink;
        int one = 1, fd;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0)
                return error_set_errno(err, errno, "open a netlink socket");
        setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        netlink = xnew(Netlink);
        netlink->fd = fd;
        netlink->reply = xmalloc(REPLY_SIZE);
        *ret = netlink;
        return 0;
}

void netlink_free(Netlink *netlink)
{
        if (!netlink)
                return;
        fs_close(netlink->fd);
        free(netlink->reply);
        free(netlink);
}

static void *message_reserve(Message *message, size_t size)
{
        void *place = message->bytes + NLMSG_ALIGN(message->header.nlmsg_len);

        if (NLMSG_ALIGN(message->header.nlmsg_len) + NLMSG_ALIGN(size) > sizeof(message->bytes))
                abort();
        message->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->header.nlmsg_len) + size);
        return place;
}

static void *message_begin(Message *message, uint16_t type, uint16_t flags, size_t body_size)
{
        memset(message, 0, sizeof(*message));
        message->header = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN,
                                             .nlmsg_type = type,
                                             .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
        return message_reserve(message, body_size);
}

static struct ifinfomsg *message_begin_link(Message *message, uint16_t type, uint16_t flags)
{
        return message_begin(message, type, flags, sizeof(struct ifinfomsg));
}

static void message_put(Message *message, uint16_t type, const void *data, size_t size)
{
        struct rtattr *attribute = message_reserve(message, RTA_LENGTH(size));

        attribute->rta_type = type;
        attribute->rta_len = (uint16_t)RTA_LENGTH(size);
        if (size > 0)
                memcpy(RTA_DATA(attribute), data, size);
}

static void message_put_string(Message *message, uint16_t type, const char *text)
{
        message_put(message, type, text, strlen(text) + 1);
}

static void message_put_u32(Message *message, uint16_t type, uint32_t value)
{
        message_put(message, type, &value, sizeof(value));
}

static size_t message_open_nest(Message *message, uint16_t type)
{
        size_t start = NLMSG_ALIGN(message->header.nlmsg_len);

        message_put(message, type, NULL, 0);
        return start;
}

static void message_close_nest(Message *message, size_t start)
{
        struct rtattr *attribute = (struct rtattr *)(void *)(message->bytes + start);

        attribute->rta_len = (uint16_t)(message->header.nlmsg_len - start);
}

/* The kernel's own words, where it gives some beside the error number. */
static const char *extended_reason(const struct nlmsghdr *header)
{
        const struct nlmsgerr *result = NLMSG_DATA(header);
        size_t offset = sizeof(*result), end = header->nlmsg_len - NLMSG_HDRLEN;

        if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
                return NULL;
        if (!(header->nlmsg_flags & NLM_F_CAPPED))
                offset += result->msg.nlmsg_len - NLMSG_HDRLEN;
        while (offset + sizeof(struct nlattr) <= end) {
                const struct nlattr *attribute = (const void *)((const char *)result + offset);

                if (attribute->nla_len < sizeof(*attribute))
                        break;
                if (attribute->nla_type == NLMSGERR_ATTR_MSG)
                        return (const char *)(attribute + 1);
                offset += NLA_ALIGN(attribute->nla_len);
        }
        return NULL;
}

typedef struct FoundLink {
        const char *name;
        int index, master; /* master 0: none */
        bool is_card;
} FoundLink;

typedef void (*LinkFound)(void *context, const FoundLink *link);

static bool has_kind(const struct rtattr *link_info)
{
        const struct rtattr *attribute = RTA_DATA(link_info);
        int length = (int)RTA_PAYLOAD(link_info);

        for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
                if (attribute->rta_type == IFLA_INFO_KIND)
                        return true;
        return false;
}

static void report_link(const struct nlmsghdr *header, LinkFound found, void *context)
{
        const struct ifinfomsg *body = NLMSG_DATA(header);
        FoundLink link = { .name = "", .index = body->ifi_index, .is_card = body->ifi_type == ARPHRD_ETHER };
        int length = (int)IFLA_PAYLOAD(header);

        for (const struct rtattr *attribute = IFLA_RTA(body); RTA_OK(attribute, length);
             attribute = RTA_NEXT(attribute, length)) {
                if (attribute->rta_type == IFLA_IFNAME)
                        link.name = RTA_DATA(attribute);
                if (attribute->rta_type == IFLA_LINKINFO && has_kind(attribute))
                        link.is_card = false;
                if (attribute->rta_type == IFLA_MASTER)
                        memcpy(&link.master, RTA_DATA(attribute), sizeof(link.master));
        }
        found(context, &link);
}

/* Sends and waits for the answer's end. Returns 0 or a negative errno; *ret_reason is borrowed until the next call. */
static int transact(Netlink *netlink, Message *message, LinkFound found, void *context, const char **ret_reason)
{
        bool dump =
                message->header.nlmsg_type == RTM_GETLINK && (message->header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

        *ret_reason = NULL;
        message->header.nlmsg_seq = ++netlink->sequence;
        if (!dump)
                message->header.nlmsg_flags |= NLM_F_ACK;
        if (send(netlink->fd, message->bytes, message->header.nlmsg_len, 0) < 0)
                return -errno;
        for (;;) {
                ssize_t size = recv(netlink->fd, netlink->reply, REPLY_SIZE, 0);
                struct nlmsghdr *header = (struct nlmsghdr *)(void *)netlink->reply;

                if (size < 0 && errno == EINTR)
                        continue;
                if (size < 0)
                        return -errno;
                for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
                        if (header->nlmsg_seq != netlink->sequence)
                                continue;
                        if (header->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (header->nlmsg_type == NLMSG_ERROR) {
                                *ret_reason = extended_reason(header);
                                return ((struct nlmsgerr *)NLMSG_DATA(header))->error;
                        }
                        if (header->nlmsg_type == RTM_NEWLINK && found)
                                report_link(header, found, context);
                }
        }
}

static int fail(Error **err, int result, const char *reason, const char *what, const char *name)
{
        int r = error_set_errno(err, -result, "%s %s%s%s%s", what, name, reason ? " (" : "", reason ? reason : "",
                                reason ? ")" : "");

        if (result == -EPERM)
                return error_hint(err, r, "It needs root with CAP_NET_ADMIN.");
        return r;
}

static void keep_index(void *context, const FoundLink *link)
{
        *(int *)context = link->index;
}

int netlink_index(Netlink *netlink, const char *name, int *ret_index, Error **err)
{
        const char *reason;
        Message message;
        int r;

        message_begin_link(&message, RTM_GETLINK, 0);
        message_put_string(&message, IFLA_IFNAME, name);
        r = transact(netlink, &message, keep_index, ret_index, &reason);
        if (r == -ENODEV)
                return error_set(err, ERROR_NOT_FOUND, "interface %s does not exist", name);
        return r < 0 ? fail(err, r, reason, "find interface", name) : 0;
}

int netlink_set_up(Netlink *netlink, int index, Error **err)
{
        struct ifinfomsg *link;
        const char *reason;
        Message message;
        int r;

        link = message_begin_link(&message, RTM_NEWLINK, 0);
        link->ifi_index = index;
        link->ifi_flags = link->ifi_change = IFF_UP;
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 ? fail(err, r, reason, "set up", "interface") : 0;
}

int netlink_bridge(Netlink *netlink, const char *name, const uint8_t mac[MAC_SIZE], int mtu, int *ret_index,
                   Error **err)
{
        struct ifinfomsg *link;
        const char *reason;
        Message message;
        bool existed;
        size_t nest;
        int r;

        link = message_begin_link(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        link->ifi_flags = link->ifi_change = IFF_UP;
        message_put_string(&message, IFLA_IFNAME, name);
        message_put(&message, IFLA_ADDRESS, mac, MAC_SIZE);
        message_put_u32(&message, IFLA_MTU, (uint32_t)mtu);
        nest = message_open_nest(&message, IFLA_LINKINFO);
        message_put_string(&message, IFLA_INFO_KIND, "bridge");
        message_close_nest(&message, nest);
        r = transact(netlink, &message, NULL, NULL, &reason);
        if (r < 0 && r != -EEXIST)
                return fail(err, r, reason, "make bridge", name);
        existed = r == -EEXIST;
        r = netlink_index(netlink, name, ret_index, err);
        return r < 0 || !existed ? r : netlink_set_up(netlink, *ret_index, err);
}

int netlink_add_address(Netlink *netlink, int index, Address address, int prefix, Error **err)
{
        _cleanup_free_ char *text = address_format(address);
        struct ifaddrmsg *body;
        const char *reason;
        uint8_t bytes[16];
        Message message;
        int r;

        address_to_bytes(address, bytes);
        body = message_begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*body));
        body->ifa_family = (uint8_t)address.family;
        body->ifa_prefixlen = (uint8_t)prefix;
        body->ifa_index = (uint32_t)index;
        body->ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0; /* a bridge port in hairpin mode hears itself */
        message_put(&message, IFA_LOCAL, bytes, (size_t)address_size_bytes(address.family));
        message_put(&message, IFA_ADDRESS, bytes, (size_t)address_size_bytes(address.family));
        if (address.family == AF_INET) {
                address_to_bytes(subnet_last(subnet_around(address, prefix)), bytes);
                message_put(&message, IFA_BROADCAST, bytes, 4);
        }
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 && r != -EEXIST ? fail(err, r, reason, "add address", text) : 0;
}

int netlink_remove_address(Netlink *netlink, int index, Address address, int prefix, Error **err)
{
        _cleanup_free_ char *text = address_format(address);
        struct ifaddrmsg *body;
        const char *reason;
        uint8_t bytes[16];
        Message message;
        int r;

        address_to_bytes(address, bytes);
        body = message_begin(&message, RTM_DELADDR, 0, sizeof(*body));
        body->ifa_family = (uint8_t)address.family;
        body->ifa_prefixlen = (uint8_t)prefix;
        body->ifa_index = (uint32_t)index;
        message_put(&message, IFA_LOCAL, bytes, (size_t)address_size_bytes(address.family));
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 && r != -EADDRNOTAVAIL ? fail(err, r, reason, "remove address", text) : 0;
}

int netlink_add_default_route(Netlink *netlink, int index, Address gateway, Error **err)
{
        _cleanup_free_ char *text = address_format(gateway);
        struct rtmsg *body;
        const char *reason;
        uint8_t bytes[16];
        Message message;
        int r;

        address_to_bytes(gateway, bytes);
        body = message_begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*body));
        body->rtm_family = (uint8_t)gateway.family;
        body->rtm_table = RT_TABLE_MAIN;
        body->rtm_protocol = RTPROT_STATIC;
        body->rtm_scope = RT_SCOPE_UNIVERSE;
        body->rtm_type = RTN_UNICAST;
        message_put(&message, RTA_GATEWAY, bytes, (size_t)address_size_bytes(gateway.family));
        message_put_u32(&message, RTA_OIF, (uint32_t)index);
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 ? fail(err, r, reason, "add a default route over", text) : 0;
}

/* Traffic of a container to its own published port comes back out of the port it went in by. */
static int set_hairpin(Netlink *netlink, const char *name, Error **err)
{
        struct ifinfomsg *link;
        const char *reason;
        uint8_t one = 1;
        Message message;
        int index = 0, r;
        size_t nest;

        r = netlink_index(netlink, name, &index, err);
        if (r < 0)
                return r;
        link = message_begin_link(&message, RTM_SETLINK, 0);
        link->ifi_family = AF_BRIDGE;
        link->ifi_index = index;
        nest = message_open_nest(&message, IFLA_PROTINFO | NLA_F_NESTED);
        message_put(&message, IFLA_BRPORT_MODE, &one, sizeof(one));
        message_close_nest(&message, nest);
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 ? fail(err, r, reason, "set hairpin mode of", name) : 0;
}

int netlink_veth(Netlink *netlink, const VethSpec *spec, Error **err)
{
        size_t info, data, nested;
        struct ifinfomsg *link;
        const char *reason;
        Message message;
        int r;

        link = message_begin_link(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        link->ifi_flags = link->ifi_change = IFF_UP;
        message_put_string(&message, IFLA_IFNAME, spec->name);
        message_put_u32(&message, IFLA_MTU, (uint32_t)spec->mtu);
        message_put_u32(&message, IFLA_MASTER, (uint32_t)spec->bridge_index);
        info = message_open_nest(&message, IFLA_LINKINFO);
        message_put_string(&message, IFLA_INFO_KIND, "veth");
        data = message_open_nest(&message, IFLA_INFO_DATA);
        nested = message_open_nest(&message, VETH_INFO_PEER);
        message_reserve(&message, sizeof(struct ifinfomsg)); /* it cannot be set up yet: it has no other end so far */
        message_put_string(&message, IFLA_IFNAME, spec->peer_name);
        message_put(&message, IFLA_ADDRESS, spec->peer_mac, MAC_SIZE);
        message_put_u32(&message, IFLA_MTU, (uint32_t)spec->mtu);
        message_put_u32(&message, IFLA_NET_NS_FD, (uint32_t)spec->peer_namespace_fd);
        message_close_nest(&message, nested);
        message_close_nest(&message, data);
        message_close_nest(&message, info);
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 ? fail(err, r, reason, "make interface", spec->name) : set_hairpin(netlink, spec->name, err);
}

int netlink_delete(Netlink *netlink, const char *name, Error **err)
{
        const char *reason;
        Message message;
        int r;

        message_begin_link(&message, RTM_DELLINK, 0);
        message_put_string(&message, IFLA_IFNAME, name);
        r = transact(netlink, &message, NULL, NULL, &reason);
        return r < 0 && r != -ENODEV ? fail(err, r, reason, "remove interface", name) : 0;
}

typedef struct Listing {
        const char *prefix;
        int bridge_index;
        bool cards;
        char **names;
} Listing;

static void keep_name(void *context, const FoundLink *link)
{
        Listing *listing = context;

        if (listing->cards && !link->is_card)
                return;
        if (startswith(link->name, listing->prefix) &&
            (!listing->bridge_index || listing->bridge_index == link->master))
                strv_add(&listing->names, link->name);
}

static int list_links(Netlink *netlink, Message *message, Listing *listing, char ***ret, Error **err)
{
        const char *reason;
        int r = transact(netlink, message, keep_name, listing, &reason);

        if (r < 0) {
                strv_free(listing->names);
                return fail(err, r, reason, "list", "interfaces");
        }
        *ret = listing->names;
        return 0;
}

int netlink_list(Netlink *netlink, const char *prefix, int bridge_index, char ***ret, Error **err)
{
        Listing listing = { .prefix = prefix, .bridge_index = bridge_index };
        Message message;

        message_begin_link(&message, RTM_GETLINK, NLM_F_DUMP);
        return list_links(netlink, &message, &listing, ret, err);
}

int netlink_list_bridges(Netlink *netlink, char ***ret, Error **err)
{
        Listing listing = { .prefix = "" };
        Message message;
        size_t nest;

        message_begin_link(&message, RTM_GETLINK, NLM_F_DUMP);
        nest = message_open_nest(&message, IFLA_LINKINFO);
        message_put_string(&message, IFLA_INFO_KIND, "bridge");
        message_close_nest(&message, nest);
        return list_links(netlink, &message, &listing, ret, err);
}

int netlink_list_cards(Netlink *netlink, char ***ret, Error **err)
{
        Listing listing = { .prefix = "", .cards = true };
        Message message;

        message_begin_link(&message, RTM_GETLINK, NLM_F_DUMP);
        return list_links(netlink, &message, &listing, ret, err);
}
