#include "engine/local/port_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/socket_diag.h"

#define TABLE_LIMIT      ((size_t)256 * 1024 * 1024)
#define TCP_STATE_LISTEN 10
#define TCP_STATE_CLOSE  7 /* bound only; for UDP: not connected */
#define SEARCH_PORTS     1000

/* "0100007F": four bytes as the CPU reads them in network order; 32 digits are four such words. */
static bool parse_table_address(const char *digits, Address *ret)
{
        size_t words = strlen(digits) / 8;
        uint32_t bytes[4];

        if (words != 1 && words != 4)
                return false;
        for (size_t i = 0; i < words; i++)
                if (sscanf(digits + 8 * i, "%8" SCNx32, &bytes[i]) != 1)
                        return false;
        *ret = address_from_bytes(words == 1 ? AF_INET : AF_INET6, bytes);
        return true;
}

bool address_collides(Address bound, Address wanted)
{
        /* An IPv6 socket on :: may take IPv4 as well. */
        if (bound.family != wanted.family)
                return bound.family == AF_INET6 && bound.value == 0;
        return bound.value == 0 || wanted.value == 0 || bound.value == wanted.value;
}

uint64_t socket_table_find(const char *table, bool udp, Address address, uint16_t port)
{
        _cleanup_strv_ char **lines = strv_split(table, '\n');

        STRV_FOREACH(line, lines) {
                unsigned local_port, state;
                char digits[33];
                uint64_t inode;
                Address bound;

                if (sscanf(*line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %" SCNu64, digits,
                           &local_port, &state, &inode) != 4 ||
                    local_port != port || inode == 0 || !parse_table_address(digits, &bound))
                        continue;
                if (!udp && state != TCP_STATE_LISTEN && state != TCP_STATE_CLOSE)
                        continue;
                if (address_collides(bound, address))
                        return inode;
        }
        return 0;
}

static uint64_t find_inode(const PortQuestion *question)
{
        static const char *const names[] = { "tcp", "tcp6", "udp", "udp6" };

        for (size_t i = question->udp ? 2 : 0; i < (question->udp ? 4 : 2); i++) {
                _cleanup_free_ char *path = xasprintf("/proc/thread-self/net/%s", names[i]);
                _cleanup_strbuf_ Strbuf table = STRBUF_INIT;
                uint64_t inode;

                if (fs_read_file(AT_FDCWD, path, TABLE_LIMIT, &table, NULL) < 0)
                        continue;
                inode = socket_table_find(strbuf_text(&table), question->udp, question->address, question->port);
                if (inode)
                        return inode;
        }
        return question->udp ? 0 : socket_diag_find_bound(question->address, question->port);
}

static bool process_has_socket(const char *pid, const char *link_wanted)
{
        _cleanup_free_ char *folder = xasprintf("/proc/%s/fd", pid);
        DIR *stream = opendir(folder);
        struct dirent *entry;
        bool found = false;

        while (stream && !found && (entry = readdir(stream))) {
                char target[64];
                ssize_t n = readlinkat(dirfd(stream), entry->d_name, target, sizeof(target) - 1);

                if (n > 0) {
                        target[n] = '\0';
                        found = streq(target, link_wanted);
                }
        }
        if (stream)
                closedir(stream);
        return found;
}

/* The process that has the socket open; NULL where none is visible. Owned by the caller. */
static char *find_process(uint64_t inode)
{
        _cleanup_free_ char *wanted = xasprintf("socket:[%" PRIu64 "]", inode);
        _cleanup_strv_ char **entries = NULL;

        if (fs_list_directory(AT_FDCWD, "/proc", &entries, NULL) < 0)
                return NULL;
        STRV_FOREACH(entry, entries)
                if (isdigit((unsigned char)**entry) && process_has_socket(*entry, wanted))
                        return xstrdup(*entry);
        return NULL;
}

static char *process_command(const char *pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%s/cmdline", pid), *comm = xasprintf("/proc/%s/comm", pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, name = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, path, 1024 * 1024, &text, NULL) < 0 || text.length == 0) {
                (void)fs_read_file(AT_FDCWD, comm, 64, &name, NULL);
                return xstrndup(strbuf_text(&name), strcspn(strbuf_text(&name), "\n"));
        }
        for (size_t i = 0; i + 1 < text.length; i++)
                if (text.data[i] == '\0' || iscntrl((unsigned char)text.data[i]))
                        text.data[i] = ' ';
        return xasprintf("%.80s%s", text.data, text.length > 81 ? "…" : "");
}

static const EndpointPort *published_by(const Endpoint *endpoint, const PortQuestion *question)
{
        for (size_t i = 0; i < endpoint->n_ports; i++) {
                const EndpointPort *port = &endpoint->ports[i];
                Address address = { question->address.family, 0 };

                if (port->host_ip && !address_parse(port->host_ip, &address))
                        continue;
                if (port->host_port == question->port && port->udp == question->udp &&
                    (address.family != question->address.family || address_collides(address, question->address)))
                        return port;
        }
        return NULL;
}

/* "container "demo-db-1" of project "demo"", or NULL. */
static char *find_container(const PortQuestion *question)
{
        _cleanup_network_state_ NetworkState state = { 0 };

        if (network_state_load(question->layout, &state, NULL) < 0)
                return NULL;
        for (size_t i = 0; i < state.n_endpoints; i++) {
                const Endpoint *endpoint = state.endpoints[i];

                if (!published_by(endpoint, question))
                        continue;
                return endpoint->project
                               ? xasprintf("container \"%s\" of project \"%s\"", endpoint->container, endpoint->project)
                               : xasprintf("container \"%s\"", endpoint->container);
        }
        return NULL;
}

static char *describe_holder(const PortQuestion *question)
{
        _cleanup_free_ char *pid = NULL, *command = NULL;
        char *container = find_container(question);
        uint64_t inode;

        if (container)
                return container;
        inode = find_inode(question);
        pid = inode ? find_process(inode) : NULL;
        if (!pid)
                return xstrdup("another process, which cannot be seen from here");
        command = process_command(pid);
        return xasprintf("process %s (%s)", pid, command);
}

bool port_is_held(const PortQuestion *question)
{
        return find_inode(question) != 0;
}

static uint16_t next_free_port(const PortQuestion *question)
{
        for (unsigned port = question->port + 1U; port <= 65535 && port <= question->port + (unsigned)SEARCH_PORTS;
             port++) {
                int fd;

                if (ports_bind(question->address, (uint16_t)port, question->udp, false, &fd) < 0)
                        continue;
                fs_close(fd);
                return (uint16_t)port;
        }
        return 0;
}

int port_refused(const PortQuestion *question, int result, Error **err)
{
        _cleanup_free_ char *address = address_format(question->address), *holder = NULL, *place = NULL;
        const char *protocol = question->udp ? "udp" : "tcp";
        uint16_t free_port;
        int r;

        place = xasprintf(question->address.family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, question->port);
        if (result == -EADDRNOTAVAIL) {
                r = error_set(err, ERROR_INVALID, "publish %s: no interface of this machine has the address %s", place,
                              address);
                return error_hint(err, r, "`ip address` shows the addresses there are.");
        }
        if (result != -EADDRINUSE)
                return error_set_errno(err, -result, "publish %s", place);
        if (!err) /* the caller tries again: nobody reads it */
                return -ERROR_CONFLICT;
        holder = describe_holder(question);
        r = error_set(err, ERROR_CONFLICT, "port %s/%s for \"%s\" is taken by %s", place, protocol, question->container,
                      holder);
        free_port = next_free_port(question);
        if (!free_port)
                return error_hint(err, r, "Stop it, or publish another port.");
        return error_hint(err, r, "Stop it, or publish another port: %u is free.", free_port);
}
