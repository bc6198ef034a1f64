/* The kernel's tables of routes as /proc/net shows them. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/address.h"

#define ROUTES_LIMIT ((size_t)16 * 1024 * 1024)

void routes_done(Routes *routes)
{
        vector_done(routes);
}

void routes_parse_ipv4(const char *text, Routes *ret)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines) {
                Route route = { .subnet.address.family = AF_INET };
                unsigned destination, mask;

                /* Interface, destination, gateway, flags, references, use, metric, mask; addresses as the CPU reads
                 * the bytes in network order. */
                if (sscanf(*line, "%15s %x %*x %*x %*d %*d %*d %x", route.interface, &destination, &mask) != 3 ||
                    mask == 0)
                        continue;
                route.subnet.prefix = __builtin_popcount(mask);
                route.subnet.address.value = ntohl(destination);
                vector_add(ret, route);
        }
}

static bool parse_hex_bytes(const char *text, uint8_t *ret_bytes)
{
        for (int i = 0; i < 16; i++) {
                unsigned byte;

                if (sscanf(text + 2 * i, "%2x", &byte) != 1)
                        return false;
                ret_bytes[i] = (uint8_t)byte;
        }
        return true;
}

void routes_parse_ipv6(const char *text, Routes *ret)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines) {
                Route route = { 0 };
                char destination[33];
                uint8_t bytes[16];
                unsigned prefix;

                if (sscanf(*line, "%32s %x %*s %*x %*s %*x %*x %*x %*x %15s", destination, &prefix, route.interface) !=
                            3 ||
                    prefix == 0 || !parse_hex_bytes(destination, bytes))
                        continue;
                if (streq(route.interface, "lo") || bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80))
                        continue;
                route.subnet = (Subnet){ .address = address_from_bytes(AF_INET6, bytes), .prefix = (int)prefix };
                vector_add(ret, route);
        }
}

int routes_read(Routes *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf ipv4 = STRBUF_INIT, ipv6 = STRBUF_INIT;
        int r;

        r = fs_read_file(AT_FDCWD, "/proc/thread-self/net/route", ROUTES_LIMIT, &ipv4, err);
        if (r < 0)
                return error_prefix(err, r, "read the machine's routes");
        routes_parse_ipv4(strbuf_text(&ipv4), ret);
        if (fs_read_file(AT_FDCWD, "/proc/thread-self/net/ipv6_route", ROUTES_LIMIT, &ipv6, NULL) == 0)
                routes_parse_ipv6(strbuf_text(&ipv6), ret);
        return 0;
}
