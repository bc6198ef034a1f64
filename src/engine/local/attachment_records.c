#include <stdio.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/attachment.h"
#include "engine/local/commit.h"
#include "engine/local/lease.h"

void attachment_done(Attachment *attachment)
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

bool attachment_has_mode(const Attachment *attachment, const char *network_mode)
{
        return streq_ptr(attachment->spec->network_mode, network_mode);
}

bool attachment_is_internal(const Attachment *attachment)
{
        for (size_t i = 0; i < attachment->n_networks; i++)
                if (!attachment->records[i]->internal)
                        return false;
        return attachment->n_networks > 0;
}

bool attachment_wants_ipv6(const Attachment *attachment)
{
        for (size_t i = 0; i < attachment->n_networks; i++)
                if (attachment->records[i]->subnet6)
                        return true;
        return false;
}

bool mac_parse(const char *text, uint8_t ret[MAC_SIZE])
{
        return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4],
                      &ret[5]) == MAC_SIZE;
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

/* "bridge": a network of that name, made on first use, as Docker's default one. */
static int make_default_bridge(const Layout *layout, const EngineProgress *progress, Error **err)
{
        char name[] = "bridge";
        NetworkSpec spec = { .name = name };

        return local_network_create(layout, &spec, progress, err);
}

static void list_networks(Attachment *attachment)
{
        const ContainerSpec *spec = attachment->spec;
        static char default_name[] = "bridge";

        if (attachment_has_mode(attachment, "bridge") || attachment_has_mode(attachment, "default")) {
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

int attachment_choose_networks(Attachment *attachment, Error **err)
{
        const char *mode = attachment->spec->network_mode;
        int r = 0;

        if (attachment_has_mode(attachment, "bridge") || attachment_has_mode(attachment, "default"))
                r = make_default_bridge(attachment->layout, attachment->progress, err);
        else if (mode && !streq(mode, "host") && !streq(mode, "none"))
                return error_set(err, ERROR_UNSUPPORTED, "network_mode \"%s\"", mode);
        if (r == 0)
                list_networks(attachment);
        return r;
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
        endpoint->internal_only = attachment_is_internal(attachment);
        return 0;
}

static void complete_first(Attachment *attachment)
{
        _cleanup_free_ char *head = attachment_hosts_head(attachment);
        Endpoint *first = attachment->endpoints[0];

        first->hosts_head = arena_strdup(first->arena, head);
        first->ports = arena_new_array(first->arena, EndpointPort, attachment->ports.length + 1);
        for (size_t i = 0; i < attachment->ports.length; i++) {
                const HeldPort *held = &attachment->ports.items[i];
                bool all = streq(held->host_ip, "0.0.0.0");

                first->ports[first->n_ports++] =
                        (EndpointPort){ .host_ip = all ? NULL : arena_strdup(first->arena, held->host_ip),
                                        .host_port = held->host_port,
                                        .container_port = held->container_port,
                                        .udp = held->udp };
        }
}

/* Under the lock: addresses are allotted and everything is written down. */
int attachment_allot(Attachment *attachment, Error **err)
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
        r = attachment_write_files(attachment, err); /* first: from now on another's update must find the hosts file */
        for (size_t i = 0; r == 0 && i < attachment->n_networks; i++)
                r = endpoint_save(attachment->layout, attachment->endpoints[i], err);
        return r < 0 ? r : network_note_change(attachment->layout, &attachment->change, err);
}
