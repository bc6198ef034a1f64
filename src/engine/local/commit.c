#include "engine/local/commit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/firewall.h"
#include "engine/local/hosts.h"
#include "engine/local/lease.h"
#include "engine/local/network_state.h"

#define HOSTS_LIMIT ((size_t)16 * 1024 * 1024)

int network_lock(const Layout *layout, int *ret_fd, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "lock");

        return lock_file(path, -1, ret_fd, err);
}

static uint64_t read_counter(const char *path)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        uint64_t value = 0;

        if (fs_read_file(AT_FDCWD, path, 64, &text, NULL) == 0)
                (void)sscanf(strbuf_text(&text), "%" SCNu64, &value);
        return value;
}

static int write_counter(const char *path, uint64_t value, Error **err)
{
        char text[32];
        int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", value);

        return fs_rewrite_in_place(AT_FDCWD, path, text, (size_t)length, 0600, err);
}

int network_note_change(const Layout *layout, uint64_t *ret, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "networks.changed");

        *ret = read_counter(path) + 1;
        return write_counter(path, *ret, err);
}

/* In place: a rename would not be seen through the bind mount. A file that is gone belongs to a container that goes. */
static int update_hosts_file(const NetworkState *state, const Endpoint *endpoint, Error **err)
{
        _cleanup_free_ char *path = path_join(endpoint->directory, "hosts"), *text = hosts_text(state, endpoint->id);
        _cleanup_strbuf_ Strbuf present = STRBUF_INIT;

        if (!text || fs_read_file(AT_FDCWD, path, HOSTS_LIMIT, &present, NULL) < 0 ||
            streq(strbuf_text(&present), text))
                return 0;
        return fs_rewrite_in_place(AT_FDCWD, path, text, strlen(text), 0644, err);
}

static bool lacks_lease(const NetworkState *state, const NetworkRecord *record)
{
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->network, record->name) && !lease_is_noted(record, state->endpoints[i]))
                        return true;
        return false;
}

/* The addresses that were allotted since stay with their containers from now on. */
static int save_leases(const Layout *layout, const NetworkState *state, const char *network, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = NULL;
        _cleanup_close_ int lock = -1;
        int r = network_lock(layout, &lock, err);

        if (r < 0 || network_record_load(layout, network, &record, NULL) < 0)
                return r;
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->network, network))
                        lease_note(record, state->endpoints[i]);
        return network_record_save(layout, record, err);
}

static int write_files(const Layout *layout, const NetworkState *state, Error **err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < state->n_endpoints; i++)
                if (state->endpoints[i]->index == 0)
                        r = update_hosts_file(state, state->endpoints[i], err);
        for (size_t i = 0; r == 0 && i < state->n_networks; i++)
                if (lacks_lease(state, state->networks[i]))
                        r = save_leases(layout, state, state->networks[i]->name, err);
        return r;
}

static int bring_over(const Layout *layout, bool force, Error **err)
{
        FirewallChange firewall = FIREWALL_CHANGE_INIT;
        _cleanup_network_state_ NetworkState state = { 0 };
        int r, written;

        r = network_state_load(layout, &state, err);
        if (r == 0)
                r = firewall_begin(layout, &state, force, &firewall, err);
        if (r < 0)
                return r;
        written = write_files(layout, &state, err); /* while nft works */
        r = firewall_finish(layout, &firewall, err);
        return written < 0 ? written : r;
}

static int commit(const Layout *layout, uint64_t change, bool force, Error **err)
{
        _cleanup_free_ char *lock = layout_run(layout, "networks.lock");
        _cleanup_free_ char *changed = layout_run(layout, "networks.changed");
        _cleanup_free_ char *applied = layout_run(layout, "networks.applied");
        _cleanup_close_ int lock_fd = -1;
        uint64_t newest;
        int r;

        r = lock_file(lock, -1, &lock_fd, err);
        if (r < 0)
                return r;
        if (read_counter(applied) >= change)
                return 0;
        newest = read_counter(changed); /* before the state is read: what comes later is the next one's */
        r = bring_over(layout, force, err);
        return r < 0 ? r : write_counter(applied, newest, err);
}

int network_commit(const Layout *layout, uint64_t change, Error **err)
{
        return commit(layout, change, false, err);
}

int network_commit_all(const Layout *layout, bool force, Error **err)
{
        return commit(layout, UINT64_MAX, force, err);
}
