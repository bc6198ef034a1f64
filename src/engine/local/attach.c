/* Connecting containers to networks. The order makes a crash harmless: files first, under the lock, then the kernel's
 * objects, whose names are in the files. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/vector.h"
#include "engine/local/attachment.h"
#include "engine/local/commit.h"
#include "engine/local/conntrack.h"
#include "engine/local/lease.h"
#include "engine/local/relay.h"

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

/* ---- the result ---- */

static void fill_addresses(const Attachment *attachment, LocalNetworkResult *result)
{
        result->addresses = xnew_array(ContainerAddress, attachment->n_networks + 1);
        for (size_t i = 0; i < attachment->n_networks; i++) {
                const Endpoint *endpoint = attachment->endpoints[i];
                const NetworkRecord *record = attachment->records[i];
                const char *slash = strchr(record->subnet, '/');

                result->addresses[result->n_addresses++] =
                        (ContainerAddress){ .network = xstrdup(endpoint->network),
                                            .ipv4 = xstrdup(endpoint->ipv4),
                                            .ipv6 = xstrdup(endpoint->ipv6),
                                            .mac = xstrdup(endpoint->mac),
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
                result->ports[result->n_ports++] = (ContainerPort){ .host_ip = xstrdup(held->host_ip),
                                                                    .host_port = held->host_port,
                                                                    .container_port = held->container_port,
                                                                    .udp = held->udp };
                if (held->fd >= 0)
                        result->port_fds[n_fds++] = TAKE_FD(held->fd);
        }
        if (relay_fd >= 0)
                result->port_fds[n_fds++] = relay_fd;
        result->port_fds[n_fds] = -1;
}

static void fill_paths(const Attachment *attachment, LocalNetworkResult *result)
{
        result->netns_path = attachment_has_mode(attachment, "host") ? NULL : path_join(attachment->run_dir, "netns");
        result->hosts_path = path_join(attachment->run_dir, "hosts");
        result->resolv_path = path_join(attachment->run_dir, "resolv.conf");
        result->hostname_path = path_join(attachment->run_dir, "hostname");
}

static void warn_internal_ports(const Attachment *attachment)
{
        const EngineProgress *progress = attachment->progress;
        _cleanup_free_ char *text = NULL;

        if (!attachment_is_internal(attachment) || attachment->ports.length == 0 || !progress || !progress->warning)
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

static void forget_flows(const Attachment *attachment)
{
        for (size_t i = 0; i < attachment->ports.length; i++)
                if (attachment->ports.items[i].udp)
                        conntrack_forget_udp(attachment->ports.items[i].host_port);
}

static int attach_networks(Attachment *attachment, LocalNetworkResult *result, Error **err)
{
        const ContainerSpec *spec = attachment->spec;
        int relay_fd = -1, r;

        r = ports_hold(attachment->layout, spec->name, spec->ports, spec->n_ports, &attachment->ports, err);
        if (r == 0)
                r = attachment_allot(attachment, err);
        if (r == 0)
                r = attachment_connect(attachment, err);
        if (r == 0)
                r = network_commit(attachment->layout, attachment->change, err);
        if (r == 0)
                r = start_relay(attachment, &relay_fd, err);
        if (r < 0)
                return r;
        forget_flows(attachment);
        warn_internal_ports(attachment);
        fill_addresses(attachment, result);
        fill_ports(attachment, relay_fd, result);
        return 0;
}

static void warn_unpublished(const Attachment *attachment)
{
        const EngineProgress *progress = attachment->progress;
        _cleanup_free_ char *text = NULL;

        if (attachment->spec->n_ports == 0 || !progress || !progress->warning)
                return;
        text = xasprintf("\"%s\" has no network of its own: its ports are not published", attachment->spec->name);
        progress->warning(progress->context, text);
}

static int attach_alone(Attachment *attachment, LocalNetworkResult *result, Error **err)
{
        int r = attachment_has_mode(attachment, "host") ? 0 : attachment_connect(attachment, err);

        if (r == 0)
                r = attachment_write_files(attachment, err);
        if (r < 0)
                return r;
        warn_unpublished(attachment);
        fill_ports(attachment, -1, result);
        return r;
}

int local_network_attach(const Layout *layout, const ContainerSpec *spec, const char *id, const char *run_dir,
                         const EngineProgress *progress, LocalNetworkResult *ret, Error **err)
{
        _cleanup_attachment_ Attachment attachment = {
                .layout = layout, .spec = spec, .id = id, .run_dir = run_dir, .progress = progress, .namespace_fd = -1
        };
        _cleanup_local_network_result_ LocalNetworkResult result = { 0 };
        int r;

        r = local_network_detach(layout, spec, id, run_dir, err);
        if (r == 0)
                r = attachment_choose_networks(&attachment, err);
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
                if (r == 0 && network->mac && !mac_parse(network->mac, mac))
                        r = error_set(err, ERROR_INVALID, "\"%s\" is not a MAC address", network->mac);
        }
        return r;
}
