#include "engine/local/socket_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/port_holder.h"

#define STATE_BOUND_INACTIVE 13 /* TCP_BOUND_INACTIVE, which older headers lack */
#define REPLY_SIZE           ((size_t)64 * 1024)

typedef struct Request {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
} Request;

static bool ask(int fd, int family)
{
        Request request = {
                .header = { .nlmsg_len = sizeof(request),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
                .body = { .sdiag_family = (uint8_t)family,
                          .sdiag_protocol = IPPROTO_TCP,
                          .idiag_states = 1U << STATE_BOUND_INACTIVE },
        };

        return send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request);
}

static uint64_t match(const struct inet_diag_msg *found, Address address, uint16_t port)
{
        Address bound = address_from_bytes(found->idiag_family, found->id.idiag_src);

        return ntohs(found->id.idiag_sport) == port && address_collides(bound, address) ? found->idiag_inode : 0;
}

static uint64_t search_family(int family, Address address, uint16_t port)
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        _cleanup_free_ char *reply = xmalloc(REPLY_SIZE);
        struct timeval patience = { .tv_sec = 2 };
        uint64_t inode = 0;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 || !ask(fd, family))
                return 0;
        for (;;) {
                ssize_t size = recv(fd, reply, REPLY_SIZE, 0);
                struct nlmsghdr *header = (struct nlmsghdr *)(void *)reply;

                if (size <= 0)
                        return inode;
                for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
                        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
                                return inode;
                        if (!inode)
                                inode = match(NLMSG_DATA(header), address, port);
                }
        }
}

uint64_t socket_diag_find_bound(Address address, uint16_t port)
{
        uint64_t inode = search_family(AF_INET, address, port);

        return inode ? inode : search_family(AF_INET6, address, port);
}
