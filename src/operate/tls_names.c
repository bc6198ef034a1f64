/* The names that a server's certificate must have. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "operate/tls_serve.h"

#define POSTGRES_PORT 5432

/* An address goes among addresses, in the kernel's spelling; everything else is a name. */
static void add_name(char ***dns, char ***addresses, const char *name)
{
        unsigned char bytes[16];
        char text[INET6_ADDRSTRLEN];
        int family = strchr(name, ':') ? AF_INET6 : AF_INET;

        if (inet_pton(family, name, bytes) == 1) {
                inet_ntop(family, bytes, text, sizeof(text));
                if (!strv_contains(*addresses, text))
                        strv_add(addresses, text);
        } else if (*name && strlen(name) < 250 && !strv_contains(*dns, name) &&
                   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*") == strlen(name))
                strv_add(dns, name);
}

static void add_address(char ***addresses, const struct sockaddr *address)
{
        char text[INET6_ADDRSTRLEN] = "";

        if (address->sa_family == AF_INET)
                inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text, sizeof(text));
        else if (address->sa_family == AF_INET6 &&
                 !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr))
                inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
                          sizeof(text));
        if (*text && !strv_contains(*addresses, text))
                strv_add(addresses, text);
}

/* Bridges and pairs of containers come and go. */
static bool is_of_containers(const char *interface)
{
        static const char *const prefixes[] = { "be", "veth", "docker", "br-", "podman", "cni", "virbr" };

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (startswith(interface, prefixes[i]))
                        return true;
        return false;
}

static void add_machine(char ***addresses)
{
        struct ifaddrs *list;

        if (getifaddrs(&list) < 0)
                return;
        for (struct ifaddrs *item = list; item; item = item->ifa_next)
                if (item->ifa_addr && (item->ifa_flags & IFF_UP) && !(item->ifa_flags & IFF_LOOPBACK) &&
                    !is_of_containers(item->ifa_name))
                        add_address(addresses, item->ifa_addr);
        freeifaddrs(list);
}

static bool is_everywhere(const char *address)
{
        return isempty(address) || streq(address, "0.0.0.0") || streq(address, "::");
}

static void add_published(const Service *service, char ***dns, char ***addresses)
{
        for (size_t i = 0; i < service->n_ports; i++) {
                const Port *port = &service->ports[i];

                if (port->target != POSTGRES_PORT || isempty(port->published))
                        continue;
                if (is_everywhere(port->host_ip))
                        add_machine(addresses);
                else
                        add_name(dns, addresses, port->host_ip);
        }
}

void tls_names_of(const Project *project, const Service *service, const XTls *settings, char ***ret_dns,
                  char ***ret_addresses)
{
        char host[256] = "";

        *ret_dns = *ret_addresses = NULL;
        add_name(ret_dns, ret_addresses, service->name);
        for (int number = 1; number <= MAX(service->scale, 1); number++) {
                _cleanup_free_ char *container = service_container_name(project, service, number);
                add_name(ret_dns, ret_addresses, container);
        }
        if (service->hostname)
                add_name(ret_dns, ret_addresses, service->hostname);
        for (size_t i = 0; i < service->n_networks; i++) {
                STRV_FOREACH(alias, service->networks[i].aliases)
                        add_name(ret_dns, ret_addresses, *alias);
                if (service->networks[i].ipv4_address)
                        add_name(ret_dns, ret_addresses, service->networks[i].ipv4_address);
                if (service->networks[i].ipv6_address)
                        add_name(ret_dns, ret_addresses, service->networks[i].ipv6_address);
        }
        add_name(ret_dns, ret_addresses, "localhost");
        if (gethostname(host, sizeof(host) - 1) == 0)
                add_name(ret_dns, ret_addresses, host);
        add_name(ret_dns, ret_addresses, "127.0.0.1");
        add_name(ret_dns, ret_addresses, "::1");
        add_published(service, ret_dns, ret_addresses);
        STRV_FOREACH(name, settings->names)
                add_name(ret_dns, ret_addresses, *name);
}
