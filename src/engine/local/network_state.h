/* The files that networks are made of: what is recorded of a network (durable) and of each endpoint, that is of a
 * container's connection to it (gone with a reboot). Everything else, rules and hosts files, is derived from them.
 * Links jansson only. */
#ifndef BERTH_ENGINE_LOCAL_NETWORK_STATE_H
#define BERTH_ENGINE_LOCAL_NETWORK_STATE_H

#include "engine/engine.h"
#include "state/layout.h"

#define NETWORK_FORMAT  1
#define ENDPOINT_FORMAT 1

/* Bridges of an installation are called be<id>b<6 digits>, host ends of containers' interfaces be<id>v<6 digits>. */
#define KERNEL_NAME_PREFIX "be"

typedef struct NetworkLease { /* an address stays with a container's name */
        char *container;
        char *ipv4, *ipv6; /* NULL: none */
} NetworkLease;

typedef struct NetworkRecord {
        Arena *arena;
        char *name, *id, *project, *key, *driver, *bridge;
        bool internal, enable_ipv6;
        NetworkPool *pools; /* as asked for */
        size_t n_pools;
        char **options, **labels;
        char *subnet, *gateway, *ip_range;    /* as chosen; ip_range NULL: the whole subnet */
        char *subnet6, *gateway6, *ip_range6; /* NULL without IPv6 */
        int64_t created_ns;
        NetworkLease *leases;
        size_t n_leases;
} NetworkRecord;

NetworkRecord *network_record_create(void);
void network_record_free(NetworkRecord *record);
DEFINE_CLEANUP(NetworkRecord, network_record_free);

/* ERROR_NOT_FOUND says which networks there are; ERROR_CORRUPT names the file. */
int network_record_load(const Layout *layout, const char *name, NetworkRecord **ret, Error **err);
int network_record_save(const Layout *layout, const NetworkRecord *record, Error **err);
int network_record_delete(const Layout *layout, const char *name, Error **err);
bool network_name_is_valid(const char *name);
/* The value of a driver option or NULL. */
const char *network_record_option(const NetworkRecord *record, const char *key);
NetworkLease *network_record_lease(const NetworkRecord *record, const char *container); /* NULL: none */
/* Sets or replaces; the texts are copied. */
void network_record_set_lease(NetworkRecord *record, const char *container, const char *ipv4, const char *ipv6);
bool network_record_drop_lease(NetworkRecord *record, const char *container);

typedef struct EndpointPort {
        char *host_ip; /* NULL: all addresses */
        uint16_t host_port, container_port;
        bool udp;
} EndpointPort;

typedef struct Endpoint {
        Arena *arena;
        char *boot_id;
        char *network;
        char *id, *container, *project, *service;
        char **names;          /* container's name, service and aliases: what peers on this network call it */
        char *directory;       /* the container's run folder: hosts, resolv.conf, hostname, netns */
        char *interface;       /* host end of its veth pair */
        char *guest_interface; /* "eth0" */
        char *ipv4, *ipv6, *mac;
        int index;           /* place among the container's networks; 0 gives the default route */
        bool oneoff;         /* keeps no address */
        bool internal_only;  /* none of the container's networks has a way out */
        char *hosts_head;    /* index 0: the part of the hosts file that does not change */
        EndpointPort *ports; /* index 0: as published */
        size_t n_ports;
} Endpoint;

Endpoint *endpoint_create(void);
void endpoint_free(Endpoint *endpoint);
DEFINE_CLEANUP(Endpoint, endpoint_free);
int endpoint_save(const Layout *layout, const Endpoint *endpoint, Error **err);
int endpoint_delete(const Layout *layout, const char *network, const char *id, Error **err);

/* Everything at once. */
typedef struct NetworkState {
        NetworkRecord **networks; /* sorted by name */
        size_t n_networks;
        Endpoint **endpoints; /* sorted by network, then id */
        size_t n_endpoints;
} NetworkState;
void network_state_done(NetworkState *state);
#define _cleanup_network_state_ _cleanup_(network_state_done)

/* Files that are damaged and endpoints of an earlier boot are passed over. */
int network_state_load(const Layout *layout, NetworkState *ret, Error **err);
NetworkRecord *network_state_find(const NetworkState *state, const char *name);
/* The endpoint of container id at place index, or NULL. */
Endpoint *network_state_endpoint(const NetworkState *state, const char *id, int index);

#endif
