#include <string.h>

#include "base/parse.h"
#include "base/strv.h"
#include "base/vector.h"
#include "deploy/spec.h"

static const Network *find_network(const Project *project, const char *key)
{
        for (size_t i = 0; i < project->n_networks; i++)
                if (streq(project->networks[i].key, key))
                        return &project->networks[i];
        return NULL;
}

/* "service:X" means the first container of X; "container:X" is the engine's own form. */
static int resolve_namespace(ContainerSpec *spec, const SpecInput *input, const char *key, const char *mode, char **ret,
                             Error **err)
{
        const char *name = mode ? startswith(mode, "service:") : NULL;

        *ret = arena_strdup(spec->arena, mode);
        if (!name)
                return 0;
        for (size_t i = 0; i < input->project->n_services; i++) {
                const Service *service = &input->project->services[i];
                if (streq(service->name, name)) {
                        _cleanup_free_ char *container = service_container_name(input->project, service, 1);
                        *ret = arena_printf(spec->arena, "container:%s", container);
                        return 0;
                }
        }
        return error_set(err, ERROR_INVALID, "service \"%s\": %s: service \"%s\" is not defined", input->service->name,
                         key, name);
}

static void add_unique(char ***names, const char *name)
{
        if (!strv_contains(*names, name))
                strv_add(names, name);
}

static int add_network(ContainerSpec *spec, const SpecInput *input, const ServiceNetwork *wanted, Error **err)
{
        const Network *network = find_network(input->project, wanted->network);
        SpecNetwork *ret = &spec->networks[spec->n_networks++];
        _cleanup_strv_ char **aliases = NULL;

        if (!network)
                return error_set(err, ERROR_INVALID, "service \"%s\" refers to undefined network %s",
                                 input->service->name, wanted->network);
        add_unique(&aliases, spec->name);
        if (!input->overrides) { /* a one-off does not answer to its service's names */
                add_unique(&aliases, input->service->name);
                STRV_FOREACH(alias, wanted->aliases)
                        add_unique(&aliases, *alias);
        }
        ret->network = arena_strdup(spec->arena, network->name);
        ret->aliases = arena_strv(spec->arena, aliases);
        ret->ipv4 = arena_strdup(spec->arena, input->overrides ? NULL : wanted->ipv4_address);
        ret->ipv6 = arena_strdup(spec->arena, input->overrides ? NULL : wanted->ipv6_address);
        ret->mac = arena_strdup(spec->arena, wanted->mac_address);
        ret->priority = wanted->priority;
        return 0;
}

int spec_add_networks(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        const Service *service = input->service;
        _cleanup_strv_ char **hosts = NULL;
        const struct {
                const char *key, *mode;
                char **ret;
        } namespaces[] = {
                { "network_mode", service->network_mode, &spec->network_mode },
                { "pid", service->pid, &spec->pid_mode },
                { "ipc", service->ipc, &spec->ipc_mode },
                { "uts", service->uts, &spec->uts_mode },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
                r = resolve_namespace(spec, input, namespaces[i].key, namespaces[i].mode, namespaces[i].ret, err);
                if (r < 0)
                        return r;
        }
        spec->networks = arena_new_array(spec->arena, SpecNetwork, service->n_networks);
        for (size_t i = 0; !spec->network_mode && i < service->n_networks; i++) {
                r = add_network(spec, input, &service->networks[i], err);
                if (r < 0)
                        return r;
        }
        if (service->mac_address && spec->n_networks && !spec->networks[0].mac)
                spec->networks[0].mac = arena_strdup(spec->arena, service->mac_address);
        if (!spec->network_mode && !spec->n_networks)
                spec->network_mode = arena_strdup(spec->arena, "none");
        for (size_t i = 0; i < service->n_extra_hosts; i++)
                strv_addf(&hosts, "%s=%s", service->extra_hosts[i].host, service->extra_hosts[i].address);
        spec->extra_hosts = arena_strv(spec->arena, hosts);
        spec->dns = arena_strv(spec->arena, service->dns);
        spec->dns_search = arena_strv(spec->arena, service->dns_search);
        spec->dns_options = arena_strv(spec->arena, service->dns_opt);
        return 0;
}

/* "8000", the range "8000-8010", or NULL: any port. */
static int read_published(const char *published, SpecPort *ret, Error **err)
{
        _cleanup_strv_ char **ends = NULL;
        int64_t first, last;

        if (isempty(published))
                return 0;
        ends = strv_split(published, '-');
        if (!parse_int64(ends[0], 0, 65535, &first) || !parse_int64(ends[1] ? ends[1] : ends[0], first, 65535, &last))
                return error_set(err, ERROR_INVALID, "ports: \"%s\" is no port", published);
        ret->host_port = (uint16_t)first;
        ret->host_port_last = (uint16_t)(last > first ? last : 0);
        return 0;
}

static int add_port(ContainerSpec *spec, const Port *port, Error **err)
{
        SpecPort *ret = &spec->ports[spec->n_ports++];

        if (port->protocol && streq(port->protocol, "sctp"))
                return error_set(err, ERROR_UNSUPPORTED, "ports: %d/sctp: only tcp and udp are published",
                                 port->target);
        ret->host_ip = arena_strdup(spec->arena, port->host_ip);
        ret->container_port = port->target;
        ret->udp = port->protocol && streq(port->protocol, "udp");
        return read_published(port->published, ret, err);
}

static int add_ports(ContainerSpec *spec, const Port *ports, size_t n_ports, Error **err)
{
        SpecPort *all = arena_new_array(spec->arena, SpecPort, spec->n_ports + n_ports + 1);
        int r = 0;

        if (spec->n_ports)
                memcpy(all, spec->ports, spec->n_ports * sizeof(*all));
        spec->ports = all;
        for (size_t i = 0; r >= 0 && i < n_ports; i++)
                r = add_port(spec, &ports[i], err);
        return r;
}

int spec_add_ports(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        const SpecOverrides *overrides = input->overrides;
        int r = 0;

        if (!overrides || overrides->service_ports)
                r = add_ports(spec, input->service->ports, input->service->n_ports, err);
        STRV_FOREACH(text, overrides ? overrides->publish : NULL) {
                Port *ports = NULL;
                size_t n_ports = 0;

                if (r >= 0)
                        r = ports_parse(spec->arena, *text, &ports, &n_ports, err);
                if (r >= 0)
                        r = add_ports(spec, ports, n_ports, err);
        }
        return error_prefix(err, r, "service \"%s\"", input->service->name);
}

NetworkSpec *spec_network(Arena *arena, const Project *project, const Network *network)
{
        NetworkSpec *spec = arena_new(arena, NetworkSpec);

        spec->name = arena_strdup(arena, network->name);
        spec->project = arena_strdup(arena, project->name);
        spec->key = arena_strdup(arena, network->key);
        spec->driver = arena_strdup(arena, network->driver);
        spec->internal = network->internal;
        spec->enable_ipv6 = network->enable_ipv6;
        spec->options = spec_options(arena, &network->driver_opts);
        spec->labels = spec_labels(arena, &network->labels, project, LABEL_NETWORK, network->key);
        spec->pools = arena_new_array(arena, NetworkPool, network->n_pools);
        spec->n_pools = network->n_pools;
        for (size_t i = 0; i < network->n_pools; i++)
                spec->pools[i] = (NetworkPool){ arena_strdup(arena, network->pools[i].subnet),
                                                arena_strdup(arena, network->pools[i].gateway),
                                                arena_strdup(arena, network->pools[i].ip_range) };
        return spec;
}
