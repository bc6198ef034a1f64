/* Looking at what the kernel has, and hearing when others change it. */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/commit.h"
#include "engine/local/firewall.h"
#include "engine/local/foreign.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"

#define WATCH_BUFFER (64 * 1024)

int local_network_refresh(const Layout *layout, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        bool present = false, ipv6 = false;
        int r;

        r = network_state_load(layout, &state, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < state.n_networks; i++)
                ipv6 = ipv6 || state.networks[i]->subnet6;
        r = foreign_settle(layout, state.n_networks > 0, ipv6, &present, err);
        return r < 0 || state.n_networks == 0 ? r : network_commit_all(layout, !present, err);
}

/* ---- hearing ---- */

static int open_group(int protocol, int group, Error **err)
{
        struct sockaddr_nl name = { .nl_family = AF_NETLINK };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

        if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
            setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
                return error_set_errno(err, errno, "watch the kernel's network");
        return TAKE_FD(fd);
}

int local_network_watch_fd(int *ret_fd, Error **err)
{
        int fd = open_group(NETLINK_NETFILTER, NFNLGRP_NFTABLES, err);

        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

/* The table that an nftables message is about: attribute 1 in all kinds that we look at. */
static const char *table_of(const struct nlmsghdr *header)
{
        size_t offset = NLMSG_LENGTH(sizeof(struct nfgenmsg));

        while (offset + sizeof(struct nlattr) <= header->nlmsg_len) {
                const struct nlattr *attribute = (const void *)((const char *)header + offset);

                if (attribute->nla_len < sizeof(*attribute))
                        break;
                if ((attribute->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME)
                        return (const char *)(attribute + 1);
                offset += NLA_ALIGN(attribute->nla_len);
        }
        return "";
}

typedef struct Hearing {
        const char *own_table;
        bool others, own_gone;
} Hearing;

static void hear(Hearing *hearing, const struct nlmsghdr *header)
{
        int type = header->nlmsg_type & 0xff;
        const char *table;

        if (header->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
            (type != NFT_MSG_NEWTABLE && type != NFT_MSG_DELTABLE && type != NFT_MSG_NEWCHAIN &&
             type != NFT_MSG_DELCHAIN && type != NFT_MSG_NEWRULE && type != NFT_MSG_DELRULE))
                return;
        table = table_of(header);
        if (streq(table, hearing->own_table)) {
                if (type == NFT_MSG_DELTABLE)
                        hearing->own_gone = true;
                if (type == NFT_MSG_NEWTABLE)
                        hearing->own_gone = false; /* replaced: our own doing */
        } else if (!startswith(table, "berth_"))
                hearing->others = true;
}

bool local_network_watch_read(const Layout *layout, int fd)
{
        _cleanup_free_ char *own_table = firewall_table(layout->id), *buffer = xmalloc(WATCH_BUFFER);
        Hearing hearing = { .own_table = own_table };

        for (;;) {
                ssize_t size = recv(fd, buffer, WATCH_BUFFER, MSG_DONTWAIT);
                struct nlmsghdr *header = (struct nlmsghdr *)(void *)buffer;

                if (size < 0 && errno == EINTR)
                        continue;
                if (size < 0 && errno == ENOBUFS) { /* more happened than we could hear */
                        hearing.others = true;
                        continue;
                }
                if (size <= 0)
                        return hearing.others || hearing.own_gone;
                for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size))
                        hear(&hearing, header);
        }
}
