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
                        _cleanup_free_ char *container = spec_container_name(input->project, service, 1);
                        *ret = arena_printf(spec->arena, "container:%s", container);
                        return 0;
                }
        }
        return error_set(err, ERROR_INVALID, "service \"%s\": %s: service \"%s\" is not defined", input->service->name, key,
                         name);
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
                return error_set(err, ERROR_INVALID, "service \"%s\" refers to undefined network %s", input->service->name,
                                 wanted->network);
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

/* The number-th port of "8000-8010", or of a single one; 0 where any will do. */
static int pick_host_port(const SpecInput *input, const char *published, uint16_t *ret, Error **err)
{
        _cleanup_strv_ char **ends = NULL;
        int64_t first, last;

        *ret = 0;
        if (isempty(published))
                return 0;
        ends = strv_split(published, '-');
        if (!parse_int64(ends[0], 0, 65535, &first) || !parse_int64(ends[1] ? ends[1] : ends[0], first, 65535, &last))
                return error_set(err, ERROR_INVALID, "service \"%s\": ports: \"%s\" is no port", input->service->name,
                                 published);
        *ret = (uint16_t)MIN(first + input->number - 1, last);
        if (first == last)
                *ret = (uint16_t)first;
        return 0;
}

/* "[ip:]host:container[/proto]" or "container[/proto]", as `run -p` has it. */
static int parse_publish(const char *text, Arena *arena, SpecPort *ret, Error **err)
{
        _cleanup_free_ char *copy = xstrdup(text);
        char *slash = strchr(copy, '/'), *target, *host = NULL, *colon;
        int64_t container_port, host_port = 0;

        *ret = (SpecPort){ 0 };
        if (slash) {
                *slash = '\0';
                ret->udp = streq(slash + 1, "udp");
        }
        target = strrchr(copy, ':');
        if (target) {
                *target++ = '\0';
                colon = strrchr(copy, ':');
                host = colon ? colon + 1 : copy;
                if (colon) {
                        *colon = '\0';
                        ret->host_ip = arena_strdup(arena, copy);
                }
        } else {
                target = copy;
        }
        if (!parse_int64(target, 1, 65535, &container_port) || (host && *host && !parse_int64(host, 0, 65535, &host_port)))
                return error_set(err, ERROR_USAGE, "invalid port \"%s\": expected [ip:]host:container[/protocol]", text);
        ret->host_port = (uint16_t)host_port;
        ret->container_port = (uint16_t)container_port;
        return 0;
}

int spec_add_ports(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        const Service *service = input->service;
        const SpecOverrides *overrides = input->overrides;
        size_t n_service = overrides && !overrides->service_ports ? 0 : service->n_ports;
        char **publish = overrides ? overrides->publish : NULL;
        int r;

        spec->ports = arena_new_array(spec->arena, SpecPort, n_service + strv_length(publish));
        for (size_t i = 0; i < n_service; i++) {
                const Port *port = &service->ports[i];
                SpecPort *ret = &spec->ports[spec->n_ports++];
                ret->host_ip = arena_strdup(spec->arena, port->host_ip);
                ret->container_port = port->target;
                ret->udp = port->protocol && streq(port->protocol, "udp");
                r = pick_host_port(input, port->published, &ret->host_port, err);
                if (r < 0)
                        return r;
        }
        STRV_FOREACH(text, publish) {
                r = parse_publish(*text, spec->arena, &spec->ports[spec->n_ports++], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

NetworkSpec *spec_network(Arena *arena, const Project *project, const Network *network)
{
        NetworkSpec *spec = arena_new(arena, NetworkSpec);
        _cleanup_strv_ char **options = NULL, **labels = NULL;

        for (size_t i = 0; i < network->driver_opts.length; i++)
                strv_env_set(&options, network->driver_opts.items[i].key, network->driver_opts.items[i].value);
        for (size_t i = 0; i < network->labels.length; i++)
                strv_env_set(&labels, network->labels.items[i].key,
                             network->labels.items[i].value ? network->labels.items[i].value : "");
        strv_env_set(&labels, LABEL_PROJECT, project->name);
        strv_env_set(&labels, LABEL_NETWORK, network->key);
        spec->name = arena_strdup(arena, network->name);
        spec->project = arena_strdup(arena, project->name);
        spec->key = arena_strdup(arena, network->key);
        spec->driver = arena_strdup(arena, network->driver);
        spec->internal = network->internal;
        spec->enable_ipv6 = network->enable_ipv6;
        spec->options = arena_strv(arena, options);
        spec->labels = arena_strv(arena, labels);
        spec->pools = arena_new_array(arena, NetworkPool, network->n_pools);
        spec->n_pools = network->n_pools;
        for (size_t i = 0; i < network->n_pools; i++)
                spec->pools[i] = (NetworkPool){ arena_strdup(arena, network->pools[i].subnet),
                                                arena_strdup(arena, network->pools[i].gateway),
                                                arena_strdup(arena, network->pools[i].ip_range) };
        return spec;
}
