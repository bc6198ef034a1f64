#include "engine/local/network.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "engine/local/bridge.h"
#include "engine/local/commit.h"
#include "engine/local/firewall.h"
#include "engine/local/ipam.h"
#include "engine/local/network_state.h"
#include "state/document.h"

static void warn(const EngineProgress *progress, const char *format, ...) _printf_(2, 3);
static void warn(const EngineProgress *progress, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        if (!progress || !progress->warning)
                return;
        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        progress->warning(progress->context, text);
}

int network_check_spec(const NetworkSpec *spec, Error **err)
{
        int r;

        if (!network_name_is_valid(spec->name))
                return error_set(err, ERROR_INVALID, "\"%s\" cannot be a network's name", spec->name);
        if (!spec->driver || streq(spec->driver, "bridge") || streq(spec->driver, "default"))
                return 0;
        r = error_set(err, ERROR_UNSUPPORTED, "network \"%s\": driver \"%s\"", spec->name, spec->driver);
        return error_hint(err, r, "On this machine networks are bridges.");
}

static bool pools_equal(const NetworkRecord *record, const NetworkSpec *spec)
{
        if (record->n_pools != spec->n_pools)
                return false;
        for (size_t i = 0; i < spec->n_pools; i++)
                if (!streq_ptr(record->pools[i].subnet, spec->pools[i].subnet) ||
                    !streq_ptr(record->pools[i].gateway, spec->pools[i].gateway) ||
                    !streq_ptr(record->pools[i].ip_range, spec->pools[i].ip_range))
                        return false;
        return true;
}

static int compare(const NetworkRecord *record, const NetworkSpec *spec, Error **err)
{
        const char *what = NULL;
        int r;

        if (record->internal != spec->internal)
                what = "internal";
        else if (record->enable_ipv6 != spec->enable_ipv6)
                what = "enable_ipv6";
        else if (!pools_equal(record, spec))
                what = "ipam";
        else if (!strv_equal(record->options, spec->options))
                what = "driver_opts";
        if (!what)
                return 0;
        r = error_set(err, ERROR_EXISTS, "network \"%s\" exists with other settings (%s)", spec->name, what);
        return error_hint(err, r, "Remove it first: its containers must be stopped.");
}

static void copy_spec(const Layout *layout, const NetworkSpec *spec, NetworkRecord *record)
{
        Arena *arena = record->arena;
        _cleanup_free_ char *seed = NULL, *id = NULL;

        record->created_ns = clock_realtime_ns();
        seed = xasprintf("%s %s %lld", layout->id, spec->name, (long long)record->created_ns);
        id = sha256_hex(seed, strlen(seed));
        record->name = arena_strdup(arena, spec->name);
        record->id = arena_strdup(arena, id);
        record->project = arena_strdup(arena, spec->project);
        record->key = arena_strdup(arena, spec->key);
        record->driver = arena_strdup(arena, "bridge");
        record->internal = spec->internal;
        record->enable_ipv6 = spec->enable_ipv6;
        record->options = arena_strv(arena, spec->options);
        record->labels = arena_strv(arena, spec->labels);
        record->n_pools = spec->n_pools;
        record->pools = arena_new_array(arena, NetworkPool, spec->n_pools + 1);
        for (size_t i = 0; i < spec->n_pools; i++)
                record->pools[i] = (NetworkPool){ arena_strdup(arena, spec->pools[i].subnet),
                                                  arena_strdup(arena, spec->pools[i].gateway),
                                                  arena_strdup(arena, spec->pools[i].ip_range) };
}

static void choose_bridge(const Layout *layout, const NetworkState *state, NetworkRecord *record)
{
        for (unsigned attempt = 0;; attempt++) {
                _cleanup_free_ char *name = bridge_name(layout, record->name, attempt);
                bool taken = false;

                for (size_t i = 0; i < state->n_networks; i++)
                        taken = taken || streq(state->networks[i]->bridge, name);
                if (taken)
                        continue;
                record->bridge = arena_strdup(record->arena, name);
                return;
        }
}

/* Its record was lost while its bridge was not: the containers on it keep their addresses. */
static void adopt_bridge(const Routes *routes, NetworkRecord *record)
{
        for (size_t i = 0; i < routes->length && record->n_pools == 0; i++) {
                const Route *route = &routes->items[i];
                _cleanup_free_ char *text = NULL;

                if (!streq(route->interface, record->bridge) || route->subnet.address.family != AF_INET)
                        continue;
                text = subnet_format(route->subnet);
                record->pools[0].subnet = arena_strdup(record->arena, text);
                record->n_pools = 1;
        }
}

static int make_record(const Layout *layout, const NetworkSpec *spec, NetworkRecord **ret, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = network_record_create();
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_routes_ Routes routes = { 0 };
        int r;

        r = network_state_load(layout, &state, err);
        if (r == 0)
                r = routes_read(&routes, err);
        if (r < 0)
                return r;
        copy_spec(layout, spec, record);
        choose_bridge(layout, &state, record);
        adopt_bridge(&routes, record);
        r = ipam_assign(layout, &state, &routes, record, err);
        record->n_pools = spec->n_pools;
        if (r < 0)
                return error_prefix(err, r, "network \"%s\"", spec->name);
        r = network_record_save(layout, record, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(record);
        return 0;
}

static int load_existing(const Layout *layout, const char *name, const EngineProgress *progress, NetworkRecord **ret,
                         Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "networks/%s.json", name), *kept = NULL;
        _cleanup_error_ Error *failure = NULL;
        int r = network_record_load(layout, name, ret, &failure);

        if (r != -ERROR_CORRUPT)
                return r == -ERROR_NOT_FOUND ? r : error_move(err, &failure, r);
        r = document_keep_aside(path, &kept, err);
        if (r < 0)
                return r;
        warn(progress, "the record of network \"%s\" was damaged (%s): kept as \"%s\" and made again", name,
             failure->message, kept);
        return -ERROR_NOT_FOUND;
}

/* Under the lock. */
static int find_or_make(const Layout *layout, const NetworkSpec *spec, const EngineProgress *progress,
                        NetworkRecord **ret, uint64_t *ret_change, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = NULL;
        _cleanup_close_ int lock = -1;
        int r;

        r = network_lock(layout, &lock, err);
        if (r < 0)
                return r;
        r = load_existing(layout, spec->name, progress, &record, err);
        if (r == 0)
                r = compare(record, spec, err);
        else if (r == -ERROR_NOT_FOUND)
                r = make_record(layout, spec, &record, err);
        if (r == 0)
                r = network_note_change(layout, ret_change, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(record);
        return 0;
}

int local_network_create(const Layout *layout, const NetworkSpec *spec, const EngineProgress *progress, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = NULL;
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        uint64_t change;
        int index, r;

        r = network_check_spec(spec, err);
        if (r < 0)
                return r;
        r = find_or_make(layout, spec, progress, &record, &change, err);
        if (r < 0)
                return r;
        r = netlink_open(&netlink, err);
        if (r == 0)
                r = bridge_ensure(layout, netlink, record, &index, err);
        if (r == 0)
                r = network_commit(layout, change, err);
        return r < 0 ? r : local_network_refresh(layout, err);
}

static int check_unused(const NetworkState *state, const char *name, Error **err)
{
        _cleanup_free_ char *joined = NULL;
        _cleanup_strv_ char **users = NULL;
        int r;

        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->network, name))
                        strv_add(&users, state->endpoints[i]->container);
        if (!users)
                return 0;
        joined = strv_join(users, ", ");
        r = error_set(err, ERROR_CONFLICT, "network \"%s\" is in use by %s", name, joined);
        return error_hint(err, r, "Stop these containers first.");
}

/* With the interfaces on it: those of containers that ended a moment ago may still be there. */
static int remove_bridge(const Layout *layout, Netlink *netlink, const NetworkRecord *record, Error **err)
{
        _cleanup_free_ char *prefix = xasprintf(KERNEL_NAME_PREFIX "%sv", layout->id);
        _cleanup_strv_ char **ports = NULL;
        int index, r;

        r = netlink_index(netlink, record->bridge, &index, NULL);
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r == 0)
                r = netlink_list(netlink, prefix, index, &ports, err);
        for (size_t i = 0; r == 0 && ports && ports[i]; i++)
                r = netlink_delete(netlink, ports[i], err);
        return r < 0 ? r : netlink_delete(netlink, record->bridge, err);
}

/* The bridge goes first: while the record is there, a repetition finds what is left. */
static int remove_locked(const Layout *layout, const char *name, uint64_t *ret_change, bool *ret_last, Error **err)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_free_ char *bridge = NULL;
        _cleanup_close_ int lock = -1;
        NetworkRecord unreadable = { 0 };
        const NetworkRecord *record;
        int r;

        r = network_lock(layout, &lock, err);
        if (r == 0)
                r = network_state_load(layout, &state, err);
        if (r == 0)
                r = check_unused(&state, name, err);
        if (r == 0)
                r = netlink_open(&netlink, err);
        record = r == 0 ? network_state_find(&state, name) : NULL;
        *ret_last = record && state.n_networks == 1;
        if (r == 0 && !record) { /* its record may be damaged */
                unreadable.bridge = bridge = bridge_name(layout, name, 0);
                record = &unreadable;
        }
        if (record)
                r = remove_bridge(layout, netlink, record, err);
        if (r == 0)
                r = network_record_delete(layout, name, err);
        return r < 0 ? r : network_note_change(layout, ret_change, err);
}

int local_network_remove(const Layout *layout, const char *name, Error **err)
{
        uint64_t change;
        bool last;
        int r;

        if (!network_name_is_valid(name))
                return 0; /* there is none of such a name */
        r = remove_locked(layout, name, &change, &last, err);
        if (r < 0)
                return r;
        r = network_commit(layout, change, err);
        return r < 0 || !last ? r : local_network_refresh(layout, err); /* nothing of ours stays in others' chains */
}
