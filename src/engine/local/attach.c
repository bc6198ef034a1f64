/* Connecting containers to networks and taking them off again. The order makes a crash harmless: files first, under the
 * lock, then the kernel's objects, whose names are in the files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/local/bridge.h"
#include "engine/local/commit.h"
#include "engine/local/hosts.h"
#include "engine/local/lease.h"
#include "engine/local/namespace.h"
#include "engine/local/network.h"
#include "engine/local/ports.h"
#include "engine/local/relay.h"
#include "engine/local/sysctl.h"

/* One call of local_network_attach. */
typedef struct Attachment {
        const Layout *layout;
        const ContainerSpec *spec;
        const char *id, *run_dir;
        const EngineProgress *progress;
        SpecNetwork *networks;          /* sorted: the first gives the default route */
        size_t n_networks;
        NetworkRecord **records;        /* of each */
        Endpoint **endpoints;           /* of each */
        HeldPorts ports;
        int namespace_fd;
        Netlink *outside, *inside;
        uint64_t change;
} Attachment;

static void attachment_done(Attachment *attachment)
{
        for (size_t i = 0; i < attachment->n_networks; i++) {
                network_record_free(attachment->records[i]);
                endpoint_free(attachment->endpoints[i]);
        }
        free(attachment->networks);
        free(attachment->records);
        free(attachment->endpoints);
        held_ports_done(&attachment->ports);
        fs_close(attachment->namespace_fd);
        netlink_free(attachment->outside);
        netlink_free(attachment->inside);
}

void local_network_result_done(LocalNetworkResult *result)
{
        for (int *fd = result->port_fds; fd && *fd >= 0; fd++)
                fs_close(*fd);
        for (size_t i = 0; i < result->n_addresses; i++) {
                free(result->addresses[i].network);
                free(result->addresses[i].ipv4);
                free(result->addresses[i].ipv6);
                free(result->addresses[i].mac);
                free(result->addresses[i].gateway);
        }
        for (size_t i = 0; i < result->n_ports; i++)
                free(result->ports[i].host_ip);
        free(result->addresses);
        free(result->ports);
        free(result->port_fds);
        free(result->netns_path);
        free(result->hosts_path);
        free(result->resolv_path);
        free(result->hostname_path);
        *result = (LocalNetworkResult){ 0 };
}

/* ---- which networks ---- */

typedef struct NetworkChoice {
        SpecNetwork network;
        NetworkRecord *record;
} NetworkChoice;

static int compare_choices(const void *a, const void *b)
{
        const NetworkChoice *x = a, *y = b;

        /* Internal ones have no way out and come last. */
        if (x->record->internal != y->record->internal)
                return x->record->internal ? 1 : -1;
        if (x->network.priority != y->network.priority)
                return x->network.priority > y->network.priority ? -1 : 1;
        return strcmp(x->network.network, y->network.network);
}

static void sort_networks(Attachment *attachment)
{
        _cleanup_free_ NetworkChoice *choices = xnew_array(NetworkChoice, attachment->n_networks + 1);

        for (size_t i = 0; i < attachment->n_networks; i++)
                choices[i] = (NetworkChoice){ attachment->networks[i], attachment->records[i] };
        qsort(choices, attachment->n_networks, sizeof(*choices), compare_choices);
        for (size_t i = 0; i < attachment->n_networks; i++) {
                attachment->networks[i] = choices[i].network;
                attachment->records[i] = choices[i].record;
        }
}

static bool has_mode(const ContainerSpec *spec, const char *mode)
{
        return streq_ptr(spec->network_mode, mode);
}

/* "bridge": a network of that name, made on first use, as Docker's default one. */
static int make_default_bridge(const Layout *layout, const EngineProgress *progress, Error **err)
{
        char name[] = "bridge";
        NetworkSpec spec = { .name = name };

        return local_network_create(layout, &spec, progress, err);
}

static void choose_networks(Attachment *attachment)
{
        const ContainerSpec *spec = attachment->spec;
        static char default_name[] = "bridge";

        if (has_mode(spec, "bridge") || has_mode(spec, "default")) {
                attachment->networks = xnew(SpecNetwork);
                attachment->networks[0].network = default_name;
                attachment->n_networks = 1;
        } else if (!spec->network_mode) {
                attachment->networks = xmemdup(spec->networks, spec->n_networks * sizeof(SpecNetwork));
                attachment->n_networks = spec->n_networks;
        }
        attachment->records = xnew_array(NetworkRecord *, attachment->n_networks + 1);
        attachment->endpoints = xnew_array(Endpoint *, attachment->n_networks + 1);
}

static int load_records(Attachment *attachment, Error **err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = network_record_load(attachment->layout, attachment->networks[i].network, &attachment->records[i],
                                        err);
        if (r == 0)
                sort_networks(attachment);
        return r;
}

/* ---- endpoints ---- */

static char *random_interface(const Layout *layout)
{
        uint8_t random[3] = { 0 };

        (void)!getrandom(random, sizeof(random), 0);
        return xasprintf(KERNEL_NAME_PREFIX "%sv%02x%02x%02x", layout->id, random[0], random[1], random[2]);
}

static bool parse_mac(const char *text, uint8_t ret[MAC_SIZE])
{
        return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4],
                      &ret[5]) == MAC_SIZE;
}

/* Derived from the address, as Docker does: peers' tables stay right when a container is made again. */
static char *derive_mac(const char *ipv4)
{
        Address address = { 0 };
        uint8_t b[4];

        address_parse(ipv4, &address);
        address_to_bytes(address, b);
        return xasprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
}

static char **peer_names(const Attachment *attachment, const SpecNetwork *network)
{
        const ContainerSpec *spec = attachment->spec;
        _cleanup_free_ char *short_id = xstrndup(attachment->id, 12);
        char **names = strv_new(spec->name, NULL);

        if (spec->service && !spec->oneoff && !strv_contains(names, spec->service))
                strv_add(&names, spec->service);
        STRV_FOREACH(alias, network->aliases)
                if (!strv_contains(names, *alias))
                        strv_add(&names, *alias);
        if (!strv_contains(names, short_id))
                strv_add(&names, short_id);
        return names;
}

static bool is_internal_only(const Attachment *attachment)
{
        for (size_t i = 0; i < attachment->n_networks; i++)
                if (!attachment->records[i]->internal)
                        return false;
        return attachment->n_networks > 0;
}

static int make_endpoint(Attachment *attachment, const NetworkState *state, size_t index, Error **err)
{
        const NetworkRecord *record = attachment->records[index];
        const SpecNetwork *network = &attachment->networks[index];
        LeaseWish wish = { attachment->spec->name, network->ipv4, network->ipv6 };
        _cleanup_free_ char *interface = random_interface(attachment->layout), *boot_id = layout_boot_id(), *mac = NULL;
        _cleanup_strv_ char **names = peer_names(attachment, network);
        Endpoint *endpoint = attachment->endpoints[index] = endpoint_create();
        _cleanup_free_ char *ipv4 = NULL, *ipv6 = NULL;
        int r;

        r = lease_allot(state, record, &wish, &ipv4, &ipv6, err);
        if (r < 0)
                return r;
        mac = network->mac ? xstrdup(network->mac) : derive_mac(ipv4);
        endpoint->boot_id = arena_strdup(endpoint->arena, boot_id);
        endpoint->network = arena_strdup(endpoint->arena, record->name);
        endpoint->id = arena_strdup(endpoint->arena, attachment->id);
        endpoint->container = arena_strdup(endpoint->arena, attachment->spec->name);
        endpoint->project = arena_strdup(endpoint->arena, attachment->spec->project);
        endpoint->service = arena_strdup(endpoint->arena, attachment->spec->service);
        endpoint->names = arena_strv(endpoint->arena, names);
        endpoint->directory = arena_strdup(endpoint->arena, attachment->run_dir);
        endpoint->interface = arena_strdup(endpoint->arena, interface);
        endpoint->guest_interface = arena_printf(endpoint->arena, "eth%zu", index);
        endpoint->ipv4 = arena_strdup(endpoint->arena, ipv4);
        endpoint->ipv6 = arena_strdup(endpoint->arena, ipv6);
        endpoint->mac = arena_strdup(endpoint->arena, mac);
        endpoint->index = (int)index;
        endpoint->oneoff = attachment->spec->oneoff;
        endpoint->internal_only = is_internal_only(attachment);
        return 0;
}

static char *container_hostname(const Attachment *attachment)
{
        return attachment->spec->hostname ? xstrdup(attachment->spec->hostname) : xstrndup(attachment->id, 12);
}

static char *make_hosts_head(const Attachment *attachment)
{
        _cleanup_free_ char *hostname = container_hostname(attachment);
        _cleanup_strv_ char **addresses = NULL;
        HostsSelf self = { .hostname = hostname, .domainname = attachment->spec->domainname,
                           .extra_hosts = attachment->spec->extra_hosts };

        for (size_t i = 0; i < attachment->n_networks; i++) {
                strv_add(&addresses, attachment->endpoints[i]->ipv4);
                if (attachment->endpoints[i]->ipv6)
                        strv_add(&addresses, attachment->endpoints[i]->ipv6);
        }
        if (attachment->n_networks > 0)
                self.gateway = attachment->records[0]->gateway;
        else if (has_mode(attachment->spec, "host"))
                self.gateway = "127.0.0.1";
        self.addresses = addresses;
        return hosts_head(&self);
}

static void complete_first(Attachment *attachment)
{
        _cleanup_free_ char *head = make_hosts_head(attachment);
        Endpoint *first = attachment->endpoints[0];

        first->hosts_head = arena_strdup(first->arena, head);
        first->ports = arena_new_array(first->arena, EndpointPort, attachment->ports.length + 1);
        for (size_t i = 0; i < attachment->ports.length; i++) {
                const HeldPort *held = &attachment->ports.items[i];
                bool all = streq(held->host_ip, "0.0.0.0");

                first->ports[first->n_ports++] = (EndpointPort){
                        .host_ip = all ? NULL : arena_strdup(first->arena, held->host_ip),
                        .host_port = held->host_port, .container_port = held->container_port, .udp = held->udp };
        }
}

/* ---- files ---- */

static bool wants_ipv6(const Attachment *attachment)
{
        for (size_t i = 0; i < attachment->n_networks; i++)
                if (attachment->records[i]->subnet6)
                        return true;
        return false;
}

static int write_file(const Attachment *attachment, const char *name, const char *text, Error **err)
{
        _cleanup_free_ char *path = path_join(attachment->run_dir, name);
        int r = fs_rewrite_in_place(AT_FDCWD, path, text, strlen(text), 0644, err);

        if (r == 0 && chmod(path, 0644) < 0) /* whatever the umask is: every user of the container reads them */
                return error_set_errno(err, errno, "make \"%s\" readable", path);
        return r;
}

static int write_hosts(const Attachment *attachment, Error **err)
{
        _cleanup_strbuf_ Strbuf host = STRBUF_INIT;
        _cleanup_free_ char *head = NULL;

        if (attachment->n_networks > 0) /* peers are added by the commit */
                return write_file(attachment, "hosts", attachment->endpoints[0]->hosts_head, err);
        if (!has_mode(attachment->spec, "host") ||
            fs_read_file(AT_FDCWD, "/etc/hosts", 16 * 1024 * 1024, &host, NULL) < 0) {
                head = make_hosts_head(attachment);
                return write_file(attachment, "hosts", head, err);
        }
        if (host.length > 0 && host.data[host.length - 1] != '\n')
                strbuf_addc(&host, '\n');
        STRV_FOREACH(entry, attachment->spec->extra_hosts) {
                const char *equals = strchr(*entry, '=');

                if (equals)
                        strbuf_addf(&host, "%s\t%.*s\n", streq(equals + 1, "host-gateway") ? "127.0.0.1" : equals + 1,
                                    (int)(equals - *entry), *entry);
        }
        return write_file(attachment, "hosts", strbuf_text(&host), err);
}

static int write_files(const Attachment *attachment, Error **err)
{
        const ContainerSpec *spec = attachment->spec;
        _cleanup_free_ char *host_text = resolv_read_host(), *hostname = container_hostname(attachment);
        _cleanup_free_ char *line = xasprintf("%s\n", hostname), *resolv = NULL;
        ResolvWish wish = { .servers = spec->dns, .search = spec->dns_search, .options = spec->dns_options,
                            .ipv6 = wants_ipv6(attachment), .keep_loopback = has_mode(spec, "host"),
                            .names_from_hosts = attachment->n_networks > 0 };
        int r;

        resolv = resolv_text(host_text, &wish);
        r = write_file(attachment, "resolv.conf", resolv, err);
        if (r == 0)
                r = write_file(attachment, "hostname", line, err);
        return r < 0 ? r : write_hosts(attachment, err);
}

/* ---- the records ---- */

/* Under the lock: addresses are allotted and everything is written down. */
static int allot(Attachment *attachment, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_close_ int lock = -1;
        int r;

        r = network_lock(attachment->layout, &lock, err);
        if (r == 0)
                r = load_records(attachment, err);
        if (r == 0)
                r = network_state_load(attachment->layout, &state, err);
        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = make_endpoint(attachment, &state, i, err);
        if (r < 0)
                return r;
        complete_first(attachment);
        r = write_files(attachment, err); /* first: an update by another, from now on, must find the hosts file */
        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = endpoint_save(attachment->layout, attachment->endpoints[i], err);
        return r < 0 ? r : network_note_change(attachment->layout, &attachment->change, err);
}

/* ---- the kernel's side ---- */

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
        VethSpec veth = { .name = endpoint->interface, .peer_name = endpoint->guest_interface,
                          .peer_namespace_fd = attachment->namespace_fd, .mtu = bridge_mtu(record) };
        int index, r;

        _cleanup_free_ char *no_ipv6 = xasprintf("net/ipv6/conf/%s/disable_ipv6", endpoint->interface);

        if (!parse_mac(endpoint->mac, veth.peer_mac))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a MAC address", endpoint->mac);
        r = bridge_ensure(attachment->outside, record, &veth.bridge_index, err);
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

static int connect_all(Attachment *attachment, Error **err)
{
        _cleanup_free_ char *path = path_join(attachment->run_dir, "netns");
        int r;

        r = netlink_open(&attachment->outside, err);
        if (r == 0)
                r = namespace_create(path, wants_ipv6(attachment), &attachment->namespace_fd, &attachment->inside, err);
        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = connect_one(attachment, i, err);
        return r;
}

/* ---- the result ---- */

static void fill_addresses(const Attachment *attachment, LocalNetworkResult *result)
{
        result->addresses = xnew_array(ContainerAddress, attachment->n_networks + 1);
        for (size_t i = 0; i < attachment->n_networks; i++) {
                const Endpoint *endpoint = attachment->endpoints[i];
                const NetworkRecord *record = attachment->records[i];
                const char *slash = strchr(record->subnet, '/');

                result->addresses[result->n_addresses++] = (ContainerAddress){
                        .network = xstrdup(endpoint->network), .ipv4 = xstrdup(endpoint->ipv4),
                        .ipv6 = xstrdup(endpoint->ipv6), .mac = xstrdup(endpoint->mac),
                        .ipv4_prefix = slash ? atoi(slash + 1) : 0,
                        .gateway = record->internal ? NULL : xstrdup(record->gateway) };
        }
}

static void fill_ports(Attachment *attachment, int relay_fd, LocalNetworkResult *result)
{
        size_t n_fds = 0;

        result->ports = xnew_array(ContainerPort, attachment->ports.length + 1);
        result->port_fds = xnew_array(int, attachment->ports.length + 2);
        VECTOR_FOREACH(held, &attachment->ports) {
                result->ports[result->n_ports++] = (ContainerPort){
                        .host_ip = xstrdup(held->host_ip), .host_port = held->host_port,
                        .container_port = held->container_port, .udp = held->udp };
                if (held->fd >= 0)
                        result->port_fds[n_fds++] = TAKE_FD(held->fd);
        }
        if (relay_fd >= 0)
                result->port_fds[n_fds++] = relay_fd;
        result->port_fds[n_fds] = -1;
}

static void fill_paths(const Attachment *attachment, LocalNetworkResult *result)
{
        result->netns_path = has_mode(attachment->spec, "host") ? NULL : path_join(attachment->run_dir, "netns");
        result->hosts_path = path_join(attachment->run_dir, "hosts");
        result->resolv_path = path_join(attachment->run_dir, "resolv.conf");
        result->hostname_path = path_join(attachment->run_dir, "hostname");
}

/* ---- the calls ---- */

static void warn_internal_ports(const Attachment *attachment)
{
        const EngineProgress *progress = attachment->progress;
        _cleanup_free_ char *text = NULL;

        if (!is_internal_only(attachment) || attachment->ports.length == 0 || !progress || !progress->warning)
                return;
        text = xasprintf("\"%s\" is on internal networks only: its ports are published to this machine alone",
                         attachment->spec->name);
        progress->warning(progress->context, text);
}

static int start_relay(Attachment *attachment, int *ret_fd, Error **err)
{
        RelayTarget target = { attachment->run_dir, attachment->endpoints[0]->ipv4 };

        return relay_start(attachment->layout, &target, &attachment->ports, ret_fd, err);
}

static int attach_networks(Attachment *attachment, LocalNetworkResult *result, Error **err)
{
        const ContainerSpec *spec = attachment->spec;
        int relay_fd = -1, r;

        r = ports_hold(attachment->layout, spec->name, spec->ports, spec->n_ports, &attachment->ports, err);
        if (r == 0)
                r = allot(attachment, err);
        if (r == 0)
                r = connect_all(attachment, err);
        if (r == 0)
                r = network_commit(attachment->layout, attachment->change, err);
        if (r == 0)
                r = start_relay(attachment, &relay_fd, err);
        if (r < 0)
                return r;
        warn_internal_ports(attachment);
        fill_addresses(attachment, result);
        fill_ports(attachment, relay_fd, result);
        return 0;
}

static int attach_alone(Attachment *attachment, LocalNetworkResult *result, Error **err)
{
        int r = has_mode(attachment->spec, "host") ? 0 : connect_all(attachment, err);

        if (r == 0)
                r = write_files(attachment, err);
        if (r == 0)
                fill_ports(attachment, -1, result);
        return r;
}

static int begin(Attachment *attachment, Error **err)
{
        const ContainerSpec *spec = attachment->spec;

        if (has_mode(spec, "bridge") || has_mode(spec, "default")) {
                int r = make_default_bridge(attachment->layout, attachment->progress, err);

                if (r < 0)
                        return r;
        } else if (spec->network_mode && !has_mode(spec, "host") && !has_mode(spec, "none"))
                return error_set(err, ERROR_UNSUPPORTED, "network_mode \"%s\"", spec->network_mode);
        choose_networks(attachment);
        return 0;
}

int local_network_attach(const Layout *layout, const ContainerSpec *spec, const char *id, const char *run_dir,
                         const EngineProgress *progress, LocalNetworkResult *ret, Error **err)
{
        _cleanup_(attachment_done) Attachment attachment = { .layout = layout, .spec = spec, .id = id,
                                                             .run_dir = run_dir, .progress = progress,
                                                             .namespace_fd = -1 };
        _cleanup_local_network_result_ LocalNetworkResult result = { 0 };
        int r;

        r = local_network_detach(layout, spec, id, run_dir, err);
        if (r == 0)
                r = begin(&attachment, err);
        if (r == 0)
                r = attachment.n_networks > 0 ? attach_networks(&attachment, &result, err)
                                              : attach_alone(&attachment, &result, err);
        if (r < 0) {
                (void)local_network_detach(layout, spec, id, run_dir, NULL);
                return r;
        }
        fill_paths(&attachment, &result);
        *ret = result;
        result = (LocalNetworkResult){ 0 };
        return 0;
}

int local_network_check(const Layout *layout, const ContainerSpec *spec, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        int r;

        if (spec->network_mode)
                return 0;
        r = network_state_load(layout, &state, err);
        for (size_t i = 0; r == 0 && i < spec->n_networks; i++) {
                const SpecNetwork *network = &spec->networks[i];
                _cleanup_(network_record_freep) NetworkRecord *record = NULL;
                uint8_t mac[MAC_SIZE];

                r = network_record_load(layout, network->network, &record, err);
                if (r == 0 && network->ipv4)
                        r = lease_check_wish(&state, record, AF_INET, network->ipv4, spec->name, err);
                if (r == 0 && network->ipv6)
                        r = lease_check_wish(&state, record, AF_INET6, network->ipv6, spec->name, err);
                if (r == 0 && network->mac && !parse_mac(network->mac, mac))
                        r = error_set(err, ERROR_INVALID, "\"%s\" is not a MAC address", network->mac);
        }
        return r;
}
