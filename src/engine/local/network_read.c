/* Reading networks: what `network ls`, `network inspect` and `stats` show. Takes no locks and no keeper. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/network.h"
#include "engine/local/network_state.h"

static NetworkInfo *info_of(const NetworkState *state, const NetworkRecord *record)
{
        NetworkInfo *info = xnew(NetworkInfo);

        info->name = xstrdup(record->name);
        info->id = xstrdup(record->id);
        info->driver = xstrdup(record->driver ? record->driver : "bridge");
        info->subnet = xstrdup(record->subnet);
        info->gateway = xstrdup(record->gateway);
        info->subnet6 = xstrdup(record->subnet6);
        info->gateway6 = xstrdup(record->gateway6);
        info->project = xstrdup(record->project);
        info->key = xstrdup(record->key);
        info->interface = xstrdup(record->bridge);
        info->internal = record->internal;
        info->created_ns = record->created_ns;
        info->labels = strv_copy(record->labels);
        for (size_t i = 0; i < state->n_endpoints; i++)
                if (streq(state->endpoints[i]->network, record->name))
                        strv_addf(&info->endpoints, "%s=%s", state->endpoints[i]->container, state->endpoints[i]->ipv4);
        return info;
}

/* Of a record that cannot be read its name is left; whose it is, the usual form of names tells. */
static NetworkInfo *damaged_info(const Layout *layout, const char *name, const char *project)
{
        const char *rest = project ? startswith(name, project) : NULL;
        NetworkInfo *info = xnew(NetworkInfo);

        info->name = xstrdup(name);
        info->id = xstrdup("");
        info->driver = xstrdup("bridge");
        info->damage = layout_data(layout, "networks/%s.json", name);
        if (rest && *rest == '_') {
                info->project = xstrdup(project);
                info->key = xstrdup(rest + 1);
        }
        return info;
}

int local_network_inspect(const Layout *layout, const char *name, NetworkInfo **ret, Error **err)
{
        _cleanup_(network_record_freep) NetworkRecord *record = NULL;
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_error_ Error *error = NULL;
        int r;

        r = network_record_load(layout, name, &record, &error);
        if (r == -ERROR_CORRUPT) {
                *ret = damaged_info(layout, name, NULL);
                return 0;
        }
        if (r < 0)
                return error_move(err, &error, r);
        r = network_state_load(layout, &state, err);
        if (r < 0)
                return r;
        *ret = info_of(&state, record);
        return 0;
}

/* Names of the records that cannot be read. */
static char **damaged_names(const Layout *layout, const NetworkState *state)
{
        _cleanup_free_ char *folder = layout_data(layout, "networks");
        _cleanup_strv_ char **files = NULL;
        char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &files, NULL);
        STRV_FOREACH(file, files) {
                size_t length = strlen(*file);
                _cleanup_(network_record_freep) NetworkRecord *record = NULL;

                if (!endswith(*file, ".json"))
                        continue;
                (*file)[length - strlen(".json")] = '\0';
                if (!network_state_find(state, *file) &&
                    network_record_load(layout, *file, &record, NULL) == -ERROR_CORRUPT)
                        strv_add(&names, *file);
        }
        return names;
}

static void keep_those_of(const char *project, NetworkInfo *info, NetworkInfo **list, size_t *length)
{
        if (!project || streq_ptr(info->project, project))
                list[(*length)++] = info;
        else
                network_info_free(info);
}

int local_network_list(const Layout *layout, const char *project, NetworkInfo ***ret, size_t *ret_length, Error **err)
{
        _cleanup_network_state_ NetworkState state = { 0 };
        _cleanup_strv_ char **damaged = NULL;
        int r;

        r = network_state_load(layout, &state, err);
        if (r < 0)
                return r;
        damaged = damaged_names(layout, &state);
        *ret = xnew_array(NetworkInfo *, state.n_networks + strv_length(damaged) + 1);
        *ret_length = 0;
        for (size_t i = 0; i < state.n_networks; i++)
                keep_those_of(project, info_of(&state, state.networks[i]), *ret, ret_length);
        STRV_FOREACH(name, damaged)
                keep_those_of(project, damaged_info(layout, *name, project), *ret, ret_length);
        return 0;
}

int local_network_statistics(pid_t pid, uint64_t *ret_rx_bytes, uint64_t *ret_tx_bytes, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/net/dev", (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int r;

        r = fs_read_file(AT_FDCWD, path, 1024 * 1024, &text, err);
        if (r < 0)
                return r;
        *ret_rx_bytes = *ret_tx_bytes = 0;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                uint64_t rx, tx;
                char name[32];

                if (sscanf(*line, " %31[^:]: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, name, &rx, &tx) != 3 ||
                    streq(name, "lo"))
                        continue;
                *ret_rx_bytes += rx;
                *ret_tx_bytes += tx;
        }
        return 0;
}
