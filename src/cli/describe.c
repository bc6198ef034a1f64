#include "cli/describe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "cli/output/color.h"
#include "deploy/restart.h"
#include "state/document.h"

#define COMMAND_WIDTH 20
#define SHORT_ID      12

char *time_ago(int64_t realtime_ns)
{
        _cleanup_free_ char *duration = NULL;

        if (realtime_ns <= 0)
                return xstrdup("never");
        duration = clock_format_ago(MAX(clock_realtime_ns() - realtime_ns, (int64_t)0));
        return xasprintf("%s ago", duration);
}

char *time_text(int64_t realtime_ns)
{
        time_t seconds = (time_t)(realtime_ns / NSEC_PER_SEC);
        char text[64] = "";
        struct tm parts;

        if (realtime_ns > 0 && localtime_r(&seconds, &parts))
                strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &parts);
        return xstrdup(text);
}

const char *container_short_name(const ContainerInfo *info)
{
        size_t length = info->project ? strlen(info->project) : 0;
        const char *rest = length > 0 && strncmp(info->name, info->project, length) == 0 ? info->name + length : "";

        if (*rest == '-' && info->service && startswith(rest + 1, info->service))
                return rest + 1;
        return info->name;
}

static char *up_text(const ContainerInfo *info)
{
        _cleanup_free_ char *duration = clock_format_ago(MAX(clock_realtime_ns() - info->started_ns, (int64_t)0));

        if (info->state == CONTAINER_PAUSED)
                return xasprintf("Up %s (Paused)", duration);
        if (!info->health)
                return xasprintf("Up %s", duration);
        if (streq(info->health, "starting"))
                return xasprintf("Up %s (health: starting)", duration);
        return xasprintf("Up %s (%s)", duration, info->health);
}

char *container_status_text(const ContainerInfo *info)
{
        _cleanup_free_ char *ago = NULL;

        switch (info->state) {
        case CONTAINER_RUNNING:
        case CONTAINER_PAUSED:
                return up_text(info);
        case CONTAINER_EXITED:
                ago = time_ago(info->finished_ns);
                return xasprintf("Exited (%d) %s", info->exit_code, ago);
        case CONTAINER_DEAD:
                return xstrdup("Dead");
        case CONTAINER_CREATED:
                break;
        }
        return xstrdup("Created");
}

static char *command_text(const ContainerSpec *spec, bool no_trunc)
{
        _cleanup_free_ char *joined = spec && spec->argv ? strv_join(spec->argv, " ") : xstrdup("");
        _cleanup_free_ char *shortened = no_trunc ? xstrdup(joined) : text_shorten(joined, COMMAND_WIDTH);

        return xasprintf("\"%s\"", shortened);
}

static json_t *publishers(const ContainerInfo *info)
{
        json_t *list = json_array();

        for (size_t i = 0; i < info->n_ports; i++) {
                const ContainerPort *port = &info->ports[i];

                json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "URL", port->host_ip ?: "", "TargetPort",
                                                      (int)port->container_port, "PublishedPort", (int)port->host_port,
                                                      "Protocol", port->udp ? "udp" : "tcp"));
        }
        return list;
}

static char *ports_text(const ContainerInfo *info)
{
        _cleanup_strv_ char **parts = NULL;

        for (size_t i = 0; i < info->n_ports; i++) {
                const ContainerPort *port = &info->ports[i];
                bool ipv6 = port->host_ip && strchr(port->host_ip, ':');

                strv_addf(&parts, "%s%s%s:%u->%u/%s", ipv6 ? "[" : "", port->host_ip ?: "0.0.0.0", ipv6 ? "]" : "",
                          port->host_port, port->container_port, port->udp ? "udp" : "tcp");
        }
        return parts ? strv_join(parts, ", ") : xstrdup("");
}

static char *mounts_text(const ContainerSpec *spec)
{
        _cleanup_strv_ char **parts = NULL;

        for (size_t i = 0; spec && i < spec->n_mounts; i++)
                if (spec->mounts[i].source)
                        strv_add(&parts, spec->mounts[i].source);
        return parts ? strv_join(parts, ",") : xstrdup("");
}

static size_t count_volumes(const ContainerSpec *spec)
{
        size_t count = 0;

        for (size_t i = 0; spec && i < spec->n_mounts; i++)
                count += spec->mounts[i].kind == SPEC_MOUNT_VOLUME;
        return count;
}

static char *networks_text(const ContainerInfo *info)
{
        _cleanup_strv_ char **parts = NULL;

        if (info->spec && info->spec->network_mode)
                return xstrdup(info->spec->network_mode);
        for (size_t i = 0; info->spec && i < info->spec->n_networks; i++)
                strv_add(&parts, info->spec->networks[i].network);
        return parts ? strv_join(parts, ",") : xstrdup("");
}

/* Not one that has ended and was not waited for yet, nor another process that has its number by now. */
static bool is_keeper(long long pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%lld/comm", pid);
        _cleanup_close_ int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
        struct pollfd ended = { .fd = fd, .events = POLLIN };
        _cleanup_strbuf_ Strbuf name = STRBUF_INIT;

        return fd >= 0 && poll(&ended, 1, 0) == 0 && fs_read_file(AT_FDCWD, path, 64, &name, NULL) == 0 &&
               startswith(strbuf_text(&name), "berth-keeper");
}

bool keeper_lives(const Layout *layout, const char *project)
{
        _cleanup_free_ char *path = layout_run(layout, "projects/%s/keeper.pid", project);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        long long pid = 0;
        const char *digits;

        if (fs_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
                return false;
        digits = strstr(strbuf_text(&text), "\"pid\"");
        digits = digits ?: strbuf_text(&text);
        digits += strcspn(digits, "0123456789");
        pid = atoll(digits);
        return is_keeper(pid);
}

bool container_is_restarting(const Layout *layout, const ContainerInfo *info)
{
        return info->state == CONTAINER_EXITED && info->project && info->spec && !info->oneoff &&
               restart_is_due(info->spec->restart, info->exit_code, container_was_told_to_stop(info),
                              info->restart_count) &&
               keeper_lives(layout, info->project);
}

static char *status_text_of(const ContainerInfo *info, bool restarting)
{
        _cleanup_free_ char *ago = restarting ? time_ago(info->finished_ns) : NULL;

        return restarting ? xasprintf("Restarting (%d) %s", info->exit_code, ago) : container_status_text(info);
}

json_t *describe_container(const ContainerInfo *info, bool restarting, bool no_trunc)
{
        _cleanup_free_ char *status = status_text_of(info, restarting), *ago = time_ago(info->created_ns);
        _cleanup_free_ char *created = time_text(info->created_ns), *command = command_text(info->spec, no_trunc);
        _cleanup_free_ char *ports = ports_text(info), *mounts = mounts_text(info->spec),
                            *networks = networks_text(info);
        _cleanup_free_ char *labels =
                info->spec && info->spec->labels ? strv_join(info->spec->labels, ",") : xstrdup("");
        _cleanup_free_ char *id = xstrndup(info->id, no_trunc ? strlen(info->id) : SHORT_ID);
        _cleanup_free_ char *volumes = xasprintf("%zu", count_volumes(info->spec));

        return json_pack(
                "{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s}",
                "Command", command, "CreatedAt", created, "ExitCode", info->exit_code, "Health", info->health ?: "",
                "ID", id, "Image", info->image ?: "", "Labels", labels, "LocalVolumes", volumes, "Mounts", mounts,
                "Name", info->name, "Names", info->name, "Networks", networks, "Ports", ports, "Project",
                info->project ?: "", "Publishers", publishers(info), "RunningFor", ago, "Service", info->service ?: "",
                "Size", "0B", "State", restarting ? "restarting" : container_state_name(info->state), "Status", status);
}

json_t *describe_pairs(char *const *pairs)
{
        json_t *object = json_object();

        STRV_FOREACH(pair, pairs) {
                const char *equals = strchr(*pair, '=');
                _cleanup_free_ char *key = equals ? xstrndup(*pair, (size_t)(equals - *pair)) : xstrdup(*pair);

                json_object_set_new(object, key, json_string(equals ? equals + 1 : ""));
        }
        return object;
}

static void set_time(json_t *object, const char *key, int64_t realtime_ns)
{
        _cleanup_free_ char *text =
                realtime_ns > 0 ? clock_format_rfc3339(realtime_ns) : xstrdup("0001-01-01T00:00:00Z");

        json_object_set_new(object, key, json_string(text));
}

static json_t *describe_state(const ContainerInfo *info)
{
        json_t *state = json_pack(
                "{s:s, s:b, s:b, s:b, s:b, s:i, s:i, s:s}", "Status", container_state_name(info->state), "Running",
                info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED, "Paused",
                info->state == CONTAINER_PAUSED, "OOMKilled", info->oom_killed, "Dead", info->state == CONTAINER_DEAD,
                "Pid", (int)info->pid, "ExitCode", info->exit_code, "Error", info->error ?: "");

        set_time(state, "StartedAt", info->started_ns);
        set_time(state, "FinishedAt", info->finished_ns);
        if (info->health)
                json_object_set_new(state, "Health", json_pack("{s:s}", "Status", info->health));
        return state;
}

static json_t *describe_addresses(const ContainerInfo *info)
{
        json_t *networks = json_object();

        for (size_t i = 0; i < info->n_addresses; i++) {
                const ContainerAddress *address = &info->addresses[i];

                json_object_set_new(networks, address->network,
                                    json_pack("{s:s, s:i, s:s, s:s, s:s}", "IPAddress", address->ipv4 ?: "",
                                              "IPPrefixLen", address->ipv4_prefix, "Gateway", address->gateway ?: "",
                                              "GlobalIPv6Address", address->ipv6 ?: "", "MacAddress",
                                              address->mac ?: ""));
        }
        return networks;
}

static json_t *describe_port_map(const ContainerInfo *info)
{
        json_t *ports = json_object();

        for (size_t i = 0; i < info->n_ports; i++) {
                const ContainerPort *port = &info->ports[i];
                _cleanup_free_ char *key = xasprintf("%u/%s", port->container_port, port->udp ? "udp" : "tcp");
                _cleanup_free_ char *host_port = xasprintf("%u", port->host_port);
                json_t *list = json_object_get(ports, key);

                if (!list) {
                        list = json_array();
                        json_object_set_new(ports, key, list);
                }
                json_array_append_new(list,
                                      json_pack("{s:s, s:s}", "HostIp", port->host_ip ?: "", "HostPort", host_port));
        }
        return ports;
}

static json_t *describe_mounts(const ContainerSpec *spec)
{
        static const char *const kinds[] = {
                [SPEC_MOUNT_BIND] = "bind", [SPEC_MOUNT_VOLUME] = "volume", [SPEC_MOUNT_TMPFS] = "tmpfs"
        };
        json_t *mounts = json_array();

        for (size_t i = 0; spec && i < spec->n_mounts; i++) {
                const SpecMount *mount = &spec->mounts[i];
                bool volume = mount->kind == SPEC_MOUNT_VOLUME;

                json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:s, s:b}", "Type", kinds[mount->kind],
                                                        volume ? "Name" : "Source", mount->source ?: "", "Destination",
                                                        mount->target, "Mode", mount->read_only ? "ro" : "rw", "RW",
                                                        !mount->read_only));
        }
        return mounts;
}

json_t *describe_container_fully(const ContainerInfo *info)
{
        const ContainerSpec *spec = info->spec;
        json_t *object = json_object(), *config = json_object();
        _cleanup_free_ char *name = xasprintf("/%s", info->name);

        json_object_set_new(object, "Id", json_string(info->id));
        json_object_set_new(object, "Name", json_string(name));
        set_time(object, "Created", info->created_ns);
        json_object_set_new(object, "State", describe_state(info));
        json_object_set_new(object, "Image", json_string(info->image_id ?: ""));
        json_object_set_new(object, "RestartCount", json_integer(info->restart_count));
        json_set_string(object, "LogPath", info->log_path);
        json_object_set_new(object, "Mounts", describe_mounts(spec));
        json_object_set_new(
                object, "NetworkSettings",
                json_pack("{s:o, s:o}", "Ports", describe_port_map(info), "Networks", describe_addresses(info)));
        json_object_set_new(config, "Image", json_string(info->image ?: ""));
        if (spec) {
                json_set_string(config, "Hostname", spec->hostname);
                json_set_string(config, "User", spec->user ?: "");
                json_set_string(config, "WorkingDir", spec->working_dir ?: "/");
                json_object_set_new(config, "Tty", json_boolean(spec->tty));
                json_object_set_new(config, "Cmd", json_from_strv(spec->argv));
                json_object_set_new(config, "Env", json_from_strv(spec->environment));
                json_object_set_new(config, "Labels", describe_pairs(spec->labels));
                json_set_string(config, "StopSignal", spec->stop_signal);
                json_object_set_new(object, "Spec", container_spec_to_json(spec));
        }
        json_object_set_new(object, "Config", config);
        return object;
}

json_t *describe_volume(const VolumeInfo *info)
{
        _cleanup_free_ char *size = format_size(info->size_bytes), *used = time_ago(info->used_ns);
        json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:s, s:s}", "Name", info->name, "Driver",
                                   info->driver ?: "local", "Mountpoint", info->path ?: "", "Scope", "local",
                                   "Anonymous", info->anonymous, "InTrash", info->in_trash, "Size", size, "SizeBytes",
                                   (json_int_t)info->size_bytes, "LastUsed", used, "WrittenBy", info->written_by ?: "");

        json_set_string(object, "Project", info->project ?: "");
        json_set_string(object, "Key", info->key);
        set_time(object, "CreatedAt", info->created_ns);
        json_object_set_new(object, "Labels", describe_pairs(info->labels));
        json_object_set_new(object, "Options", describe_pairs(info->options));
        json_object_set_new(object, "UsedBy", json_from_strv(info->used_by));
        json_set_string(object, "Damage", info->damage);
        return object;
}

static json_t *describe_endpoints(const NetworkInfo *info)
{
        json_t *containers = json_object();

        STRV_FOREACH(endpoint, info->endpoints) {
                const char *equals = strchr(*endpoint, '=');
                _cleanup_free_ char *name =
                        equals ? xstrndup(*endpoint, (size_t)(equals - *endpoint)) : xstrdup(*endpoint);

                json_object_set_new(containers, name,
                                    json_pack("{s:s, s:s}", "Name", name, "IPv4Address", equals ? equals + 1 : ""));
        }
        return containers;
}

json_t *describe_network(const NetworkInfo *info)
{
        json_t *pools = json_array(), *object;

        if (info->subnet)
                json_array_append_new(pools,
                                      json_pack("{s:s, s:s}", "Subnet", info->subnet, "Gateway", info->gateway ?: ""));
        if (info->subnet6)
                json_array_append_new(
                        pools, json_pack("{s:s, s:s}", "Subnet", info->subnet6, "Gateway", info->gateway6 ?: ""));
        object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:{s:o}}", "Name", info->name, "ID",
                           info->id ?: "", "Driver", info->driver ?: "bridge", "Scope", "local", "Internal",
                           info->internal, "Interface", info->interface ?: "", "Subnet", info->subnet ?: "", "Project",
                           info->project ?: "", "IPAM", "Config", pools);
        json_set_string(object, "Damage", info->damage);
        json_object_set_new(object, "ShortID", json_stringn(info->id ?: "", strnlen(info->id ?: "", SHORT_ID)));
        set_time(object, "Created", info->created_ns);
        json_object_set_new(object, "Labels", describe_pairs(info->labels));
        json_object_set_new(object, "Containers", describe_endpoints(info));
        return object;
}
