#include "engine/local/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/vector.h"

#define REPLY_SIZE  ((size_t)64 * 1024)
#define TUPLE_LIMIT 256

typedef struct Request {
        struct nlmsghdr header;
        struct nfgenmsg body;
        char tuple[TUPLE_LIMIT]; /* the attribute CTA_TUPLE_ORIG */
} Request;

typedef VECTOR(Request) Requests;

/* The first attribute of that type, or NULL. */
static const struct nlattr *find_attribute(const void *start, size_t size, int type)
{
        const struct nlattr *attribute = start;

        while (size >= sizeof(*attribute) && attribute->nla_len >= sizeof(*attribute) && attribute->nla_len <= size) {
                size_t step = NLA_ALIGN(attribute->nla_len);

                if ((attribute->nla_type & NLA_TYPE_MASK) == type)
                        return attribute;
                if (step >= size)
                        return NULL;
                size -= step;
                attribute = (const void *)((const char *)attribute + step);
        }
        return NULL;
}

static const struct nlattr *find_nested(const struct nlattr *parent, int type)
{
        return parent ? find_attribute(parent + 1, parent->nla_len - sizeof(*parent), type) : NULL;
}

static bool leads_to(const struct nlattr *tuple, uint16_t port)
{
        const struct nlattr *protocol = find_nested(tuple, CTA_TUPLE_PROTO);
        const struct nlattr *number = find_nested(protocol, CTA_PROTO_NUM);
        const struct nlattr *destination = find_nested(protocol, CTA_PROTO_DST_PORT);
        uint16_t found;

        if (!number || !destination || *(const uint8_t *)(number + 1) != IPPROTO_UDP)
                return false;
        memcpy(&found, destination + 1, sizeof(found));
        return ntohs(found) == port;
}

static Request make_request(int type, int flags)
{
        return (Request){ .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                                      .nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type),
                                      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
                          .body = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 } };
}

static void note_flow(const struct nlmsghdr *header, uint16_t port, Requests *deletions)
{
        const char *body = (const char *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
        size_t size = header->nlmsg_len - NLMSG_LENGTH(sizeof(struct nfgenmsg));
        const struct nlattr *tuple = find_attribute(body, size, CTA_TUPLE_ORIG);
        Request request = make_request(IPCTNL_MSG_CT_DELETE, 0);

        if (!tuple || tuple->nla_len > TUPLE_LIMIT || !leads_to(tuple, port))
                return;
        memcpy(request.tuple, tuple, tuple->nla_len);
        request.header.nlmsg_len += tuple->nla_len;
        vector_add(deletions, request);
}

static void list_flows(int fd, uint16_t port, Requests *deletions)
{
        Request request = make_request(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
        _cleanup_free_ char *reply = xmalloc(REPLY_SIZE);

        if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
                return;
        for (;;) {
                ssize_t size = recv(fd, reply, REPLY_SIZE, 0);
                struct nlmsghdr *header = (struct nlmsghdr *)(void *)reply;

                if (size <= 0)
                        return;
                for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
                        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
                                return;
                        note_flow(header, port, deletions);
                }
        }
}

void conntrack_forget_udp(uint16_t port)
{
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        struct timeval patience = { .tv_sec = 2 };
        Requests deletions = { 0 };

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                return;
        list_flows(fd, port, &deletions);
        VECTOR_FOREACH(request, &deletions)
                (void)!send(fd, request, request->header.nlmsg_len, 0);
        vector_done(&deletions);
}
