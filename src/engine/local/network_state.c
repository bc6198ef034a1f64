#include "engine/local/network_state.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/fields.h"
#include "state/document.h"

static const Field pool_fields[] = {
        FIELD(NetworkPool, FIELD_STRING, subnet),
        FIELD(NetworkPool, FIELD_STRING, gateway),
        FIELD(NetworkPool, FIELD_STRING, ip_range),
};
static const FieldTable pool_table = FIELD_TABLE(NetworkPool, pool_fields);

static const Field lease_fields[] = {
        FIELD(NetworkLease, FIELD_STRING, container),
        FIELD(NetworkLease, FIELD_STRING, ipv4),
        FIELD(NetworkLease, FIELD_STRING, ipv6),
};
static const FieldTable lease_table = FIELD_TABLE(NetworkLease, lease_fields);

static const Field record_fields[] = {
        FIELD(NetworkRecord, FIELD_STRING, name),
        FIELD(NetworkRecord, FIELD_STRING, id),
        FIELD(NetworkRecord, FIELD_STRING, project),
        FIELD(NetworkRecord, FIELD_STRING, key),
        FIELD(NetworkRecord, FIELD_STRING, driver),
        FIELD(NetworkRecord, FIELD_STRING, bridge),
        FIELD(NetworkRecord, FIELD_BOOL, internal),
        FIELD(NetworkRecord, FIELD_BOOL, enable_ipv6),
        FIELD_ITEMS(NetworkRecord, pools, n_pools, &pool_table),
        FIELD(NetworkRecord, FIELD_STRV, options),
        FIELD(NetworkRecord, FIELD_STRV, labels),
        FIELD(NetworkRecord, FIELD_STRING, subnet),
        FIELD(NetworkRecord, FIELD_STRING, gateway),
        FIELD(NetworkRecord, FIELD_STRING, ip_range),
        FIELD(NetworkRecord, FIELD_STRING, subnet6),
        FIELD(NetworkRecord, FIELD_STRING, gateway6),
        FIELD(NetworkRecord, FIELD_STRING, ip_range6),
        FIELD(NetworkRecord, FIELD_INT64, created_ns),
        FIELD_ITEMS(NetworkRecord, leases, n_leases, &lease_table),
};
static const FieldTable record_table = FIELD_TABLE(NetworkRecord, record_fields);

static const Field port_fields[] = {
        FIELD(EndpointPort, FIELD_STRING, host_ip),
        FIELD(EndpointPort, FIELD_UINT16, host_port),
        FIELD(EndpointPort, FIELD_UINT16, container_port),
        FIELD(EndpointPort, FIELD_BOOL, udp),
};
static const FieldTable port_table = FIELD_TABLE(EndpointPort, port_fields);

static const Field endpoint_fields[] = {
        FIELD(Endpoint, FIELD_STRING, boot_id),    FIELD(Endpoint, FIELD_STRING, network),
        FIELD(Endpoint, FIELD_STRING, id),         FIELD(Endpoint, FIELD_STRING, container),
        FIELD(Endpoint, FIELD_STRING, project),    FIELD(Endpoint, FIELD_STRING, service),
        FIELD(Endpoint, FIELD_STRV, names),        FIELD(Endpoint, FIELD_STRING, directory),
        FIELD(Endpoint, FIELD_STRING, interface),  FIELD(Endpoint, FIELD_STRING, guest_interface),
        FIELD(Endpoint, FIELD_STRING, ipv4),       FIELD(Endpoint, FIELD_STRING, ipv6),
        FIELD(Endpoint, FIELD_STRING, mac),        FIELD(Endpoint, FIELD_INT, index),
        FIELD(Endpoint, FIELD_BOOL, oneoff),       FIELD(Endpoint, FIELD_BOOL, internal_only),
        FIELD(Endpoint, FIELD_STRING, hosts_head), FIELD_ITEMS(Endpoint, ports, n_ports, &port_table),
};
static const FieldTable endpoint_table = FIELD_TABLE(Endpoint, endpoint_fields);

bool network_name_is_valid(const char *name)
{
        size_t length = strlen(name);

        if (length == 0 || length > 200 || strspn(name, "._-") > 0)
                return false;
        return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

NetworkRecord *network_record_create(void)
{
        NetworkRecord *record = xnew(NetworkRecord);

        record->arena = arena_create();
        return record;
}

void network_record_free(NetworkRecord *record)
{
        if (!record)
                return;
        arena_free(record->arena);
        free(record);
}

static char *record_path(const Layout *layout, const char *name)
{
        return layout_data(layout, "networks/%s.json", name);
}

static int record_read(const char *path, NetworkRecord **ret, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = network_record_create();
        _cleanup_json_ json_t *document = NULL;
        int r;

        r = document_load(path, NETWORK_FORMAT, &document, err);
        if (r < 0)
                return r;
        r = fields_from_json(&record_table, document, record->arena, record, err);
        if (r < 0 || !record->name || !record->bridge || !record->subnet || !record->gateway) {
                error_set(err, ERROR_CORRUPT, "members are missing");
                return error_prefix(err, -ERROR_CORRUPT, "\"%s\"", path);
        }
        *ret = TAKE_PTR(record);
        return 0;
}

static int record_not_found(const Layout *layout, const char *name, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "networks"), *names = NULL;
        _cleanup_strv_ char **files = NULL;
        int r = error_set(err, ERROR_NOT_FOUND, "network \"%s\" does not exist", name);

        if (fs_list_directory(AT_FDCWD, folder, &files, NULL) < 0 || !files)
                return error_hint(err, r, "There are no networks yet.");
        STRV_FOREACH(file, files)
                if (endswith(*file, ".json"))
                        (*file)[strlen(*file) - 5] = '\0';
        names = strv_join(files, ", ");
        return error_hint(err, r, "There are: %s.", names);
}

int network_record_load(const Layout *layout, const char *name, NetworkRecord **ret, Error **err)
{
        _cleanup_free_ char *path = record_path(layout, name);

        if (!network_name_is_valid(name) || !fs_exists(path))
                return record_not_found(layout, name, err);
        return record_read(path, ret, err);
}

int network_record_save(const Layout *layout, const NetworkRecord *record, Error **err)
{
        _cleanup_free_ char *path = record_path(layout, record->name), *folder = path_dirname(path);
        _cleanup_json_ json_t *document = fields_to_json(&record_table, record);
        int r;

        r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        r = document_save(path, NETWORK_FORMAT, document, err);
        return error_prefix(err, r, "record network \"%s\"", record->name);
}

int network_record_delete(const Layout *layout, const char *name, Error **err)
{
        _cleanup_free_ char *path = record_path(layout, name), *folder = path_dirname(path);
        _cleanup_free_ char *endpoints = layout_run(layout, "networks/%s", name);
        int r;

        r = fs_remove_tree(AT_FDCWD, endpoints, err);
        if (r < 0)
                return r;
        r = fs_remove_tree(AT_FDCWD, path, err);
        return r < 0 || !fs_exists(folder) ? r : fs_sync_directory(AT_FDCWD, folder, err);
}

const char *network_record_option(const NetworkRecord *record, const char *key)
{
        return strv_env_get(record->options, key);
}

NetworkLease *network_record_lease(const NetworkRecord *record, const char *container)
{
        for (size_t i = 0; i < record->n_leases; i++)
                if (streq_ptr(record->leases[i].container, container))
                        return &record->leases[i];
        return NULL;
}

void network_record_set_lease(NetworkRecord *record, const char *container, const char *ipv4, const char *ipv6)
{
        NetworkLease *lease = network_record_lease(record, container), *grown;

        if (!lease) {
                grown = arena_alloc(record->arena, (record->n_leases + 1) * sizeof(NetworkLease));
                if (record->n_leases > 0)
                        memcpy(grown, record->leases, record->n_leases * sizeof(NetworkLease));
                record->leases = grown;
                lease = &grown[record->n_leases++];
                lease->container = arena_strdup(record->arena, container);
        }
        lease->ipv4 = arena_strdup(record->arena, ipv4);
        lease->ipv6 = arena_strdup(record->arena, ipv6);
}

bool network_record_drop_lease(NetworkRecord *record, const char *container)
{
        NetworkLease *lease = network_record_lease(record, container);

        if (!lease)
                return false;
        record->n_leases--;
        memmove(lease, lease + 1, (size_t)(record->leases + record->n_leases - lease) * sizeof(NetworkLease));
        return true;
}

Endpoint *endpoint_create(void)
{
        Endpoint *endpoint = xnew(Endpoint);

        endpoint->arena = arena_create();
        return endpoint;
}

void endpoint_free(Endpoint *endpoint)
{
        if (!endpoint)
                return;
        arena_free(endpoint->arena);
        free(endpoint);
}

int endpoint_save(const Layout *layout, const Endpoint *endpoint, Error **err)
{
        _cleanup_free_ char *folder = layout_run(layout, "networks/%s", endpoint->network);
        _cleanup_free_ char *path = xasprintf("%s/%s.json", folder, endpoint->id);
        _cleanup_json_ json_t *document = fields_to_json(&endpoint_table, endpoint);
        int r;

        r = fs_make_directories(folder, 0700, err);
        return r < 0 ? r : document_save_volatile(path, ENDPOINT_FORMAT, document, err);
}

int endpoint_delete(const Layout *layout, const char *network, const char *id, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "networks/%s/%s.json", network, id);

        return fs_remove_tree(AT_FDCWD, path, err);
}

static Endpoint *endpoint_read(const char *path, const char *boot_id)
{
        _cleanup_(endpoint_freep) Endpoint *endpoint = endpoint_create();
        _cleanup_json_ json_t *document = NULL;

        if (document_load(path, ENDPOINT_FORMAT, &document, NULL) < 0 ||
            fields_from_json(&endpoint_table, document, endpoint->arena, endpoint, NULL) < 0)
                return NULL;
        if (!streq_ptr(endpoint->boot_id, boot_id) || !endpoint->id || !endpoint->container || !endpoint->network ||
            !endpoint->directory || !endpoint->interface || !endpoint->ipv4)
                return NULL;
        return TAKE_PTR(endpoint);
}

typedef VECTOR(Endpoint *) EndpointVector;
typedef VECTOR(NetworkRecord *) RecordVector;

static int load_endpoints(const char *folder, const char *boot_id, EndpointVector *endpoints, Error **err)
{
        _cleanup_strv_ char **files = NULL;
        int r;

        r = fs_list_directory(AT_FDCWD, folder, &files, err);
        if (r < 0)
                return r;
        STRV_FOREACH(file, files) {
                _cleanup_free_ char *path = path_join(folder, *file);
                Endpoint *endpoint = endswith(*file, ".json") ? endpoint_read(path, boot_id) : NULL;

                if (endpoint)
                        vector_add(endpoints, endpoint);
        }
        return 0;
}

static int load_records(const Layout *layout, RecordVector *records, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "networks");
        _cleanup_strv_ char **files = NULL;
        int r;

        if (!fs_exists(folder))
                return 0;
        r = fs_list_directory(AT_FDCWD, folder, &files, err);
        if (r < 0)
                return r;
        STRV_FOREACH(file, files) {
                _cleanup_free_ char *path = path_join(folder, *file);
                NetworkRecord *record;

                if (endswith(*file, ".json") && record_read(path, &record, NULL) == 0)
                        vector_add(records, record);
        }
        return 0;
}

int network_state_load(const Layout *layout, NetworkState *ret, Error **err)
{
        _cleanup_free_ char *boot_id = layout_boot_id(), *folder = layout_run(layout, "networks");
        _cleanup_network_state_ NetworkState state = { 0 };
        EndpointVector endpoints = { 0 };
        RecordVector records = { 0 };
        int r;

        r = load_records(layout, &records, err);
        for (size_t i = 0; r == 0 && i < records.length; i++) {
                _cleanup_free_ char *path = path_join(folder, records.items[i]->name);

                if (fs_exists(path))
                        r = load_endpoints(path, boot_id, &endpoints, err);
        }
        state = (NetworkState){ .networks = records.items,
                                .n_networks = records.length,
                                .endpoints = endpoints.items,
                                .n_endpoints = endpoints.length };
        if (r < 0)
                return r;
        *ret = state;
        state = (NetworkState){ 0 };
        return 0;
}

void network_state_done(NetworkState *state)
{
        for (size_t i = 0; i < state->n_networks; i++)
                network_record_free(state->networks[i]);
        for (size_t i = 0; i < state->n_endpoints; i++)
                endpoint_free(state->endpoints[i]);
        free(state->networks);
        free(state->endpoints);
        *state = (NetworkState){ 0 };
}

NetworkRecord *network_state_find(const NetworkState *state, const char *name)
{
        for (size_t i = 0; i < state->n_networks; i++)
                if (streq(state->networks[i]->name, name))
                        return state->networks[i];
        return NULL;
}

Endpoint *network_state_endpoint(const NetworkState *state, const char *id, int index)
{
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (state->endpoints[i]->index == index && streq(state->endpoints[i]->id, id))
                        return state->endpoints[i];
        return NULL;
}
