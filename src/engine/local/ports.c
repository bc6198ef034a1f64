#include "engine/local/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/vector.h"
#include "engine/local/port_holder.h"
#include "engine/local/sysctl.h"

#define EPHEMERAL_ATTEMPTS 64
#define RELAY_BACKLOG      128

void held_ports_done(HeldPorts *ports)
{
        VECTOR_FOREACH(port, ports) {
                fs_close(port->fd);
                free(port->host_ip);
        }
        vector_done(ports);
}

int ports_bind(Address address, uint16_t port, bool udp, bool reuse, int *ret_fd)
{
        struct sockaddr_in6 name6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
        bool ipv6 = address.family == AF_INET6;
        int one = 1, zero = 0;
        _cleanup_close_ int fd = socket(address.family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        address_to_bytes(address, ipv6 ? (void *)&name6.sin6_addr : (void *)&name.sin_addr);
        if (ipv6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        if (reuse)
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, ipv6 ? (void *)&name6 : (void *)&name, ipv6 ? sizeof(name6) : sizeof(name)) < 0)
                return -errno;
        if (reuse) /* only what lingers may share the port, nobody who comes later */
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &zero, sizeof(zero));
        if (ipv6 && !udp && listen(fd, RELAY_BACKLOG) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static uint16_t bound_port(int fd)
{
        struct sockaddr_storage name = { 0 };
        socklen_t size = sizeof(name);

        getsockname(fd, (struct sockaddr *)&name, &size);
        return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                                : ((struct sockaddr_in *)&name)->sin_port);
}

static void keep(HeldPorts *held, Address address, const SpecPort *port, int fd)
{
        HeldPort *item = vector_add_zero(held);

        *item = (HeldPort){ .host_ip = address_format(address),
                            .host_port = bound_port(fd),
                            .container_port = port->container_port,
                            .udp = port->udp,
                            .fd = fd };
}

static void release_last(HeldPorts *held)
{
        HeldPort *last = &held->items[--held->length];

        fs_close(last->fd);
        free(last->host_ip);
}

static bool machine_has_ipv6(void)
{
        _cleanup_free_ char *disabled = sysctl_read("net/ipv6/conf/all/disable_ipv6");
        _cleanup_free_ char *lo = sysctl_read("net/ipv6/conf/lo/disable_ipv6");

        return streq_ptr(disabled, "0") && streq_ptr(lo, "0");
}

static int hold_one(const PortQuestion *question, const SpecPort *port, HeldPorts *held, Error **err)
{
        int fd, r;

        r = ports_bind(question->address, question->port, port->udp, false, &fd);
        /* A server that was here a moment ago leaves connections that linger; they keep nobody from the port. */
        if (r == -EADDRINUSE && !port->udp && !port_is_held(question))
                r = ports_bind(question->address, question->port, port->udp, true, &fd);
        if (r < 0)
                return port_refused(question, r, err);
        keep(held, question->address, port, fd);
        return 0;
}

/* One number: on the address that is asked for, else in both families. */
static int hold_number(PortQuestion question, const SpecPort *port, HeldPorts *held, Error **err)
{
        int r;

        if (port->host_ip) {
                if (!address_parse(port->host_ip, &question.address))
                        return error_set(err, ERROR_INVALID, "publish port %u: \"%s\" is not an address", question.port,
                                         port->host_ip);
                return hold_one(&question, port, held, err);
        }
        question.address.family = AF_INET;
        r = hold_one(&question, port, held, err);
        if (r < 0 || !machine_has_ipv6())
                return r;
        question.address.family = AF_INET6;
        question.port = held->items[held->length - 1].host_port;
        r = hold_one(&question, port, held, err);
        if (r < 0)
                release_last(held);
        return r;
}

/* The first free one of a range; an ephemeral port that only one family has free is tried anew. */
static int hold_port(PortQuestion question, const SpecPort *port, HeldPorts *held, Error **err)
{
        unsigned last = port->host_port_last ? port->host_port_last : port->host_port;
        int attempts = port->host_port ? (int)(last - port->host_port) : EPHEMERAL_ATTEMPTS, r;

        for (int attempt = 0;; attempt++) {
                question.port = (uint16_t)(port->host_port ? port->host_port + attempt : 0);
                r = hold_number(question, port, held, attempt == attempts ? err : NULL);
                if (r != -ERROR_CONFLICT || attempt == attempts)
                        break;
        }
        if (r == -ERROR_CONFLICT && port->host_port_last)
                return error_prefix(err, r, "no port of %u-%u is free", port->host_port, last);
        return r;
}

int ports_hold(const Layout *layout, const char *container, const SpecPort *ports, size_t n_ports, HeldPorts *ret,
               Error **err)
{
        _cleanup_held_ports_ HeldPorts held = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_ports; i++)
                r = hold_port((PortQuestion){ .layout = layout, .container = container, .udp = ports[i].udp },
                              &ports[i], &held, err);
        if (r < 0)
                return r;
        *ret = held;
        held = (HeldPorts){ 0 };
        return 0;
}
