/* Networks of the local engine: one bridge per network, fixed addresses, names in hosts files, ports published by
 * nftables, isolation between networks. Which rules there are and why: docs/networking.md; files: docs/formats.md.
 *
 * - Everything is derived from files: networks and leases in <data>/networks/<name>.json, the endpoints that exist now
 *   in <run>/networks/<name>/<container id>.json. Rules and hosts files are made from them and may be made again at any
 *   time, by any process; so every call may be repeated after a crash.
 * - All calls are thread-safe, and several processes may call at once: <run>/lock is taken for the allotment of
 *   addresses and ports, <run>/networks.lock while rules and hosts files are brought up to date. Containers that start at
 *   the same time share one update.
 * - Calls work in the network namespace of the calling thread and leave the thread there.
 * - Reading (inspect, list, endpoints, statistics) links jansson only (library engine_local_read). */
#ifndef BERTH_ENGINE_LOCAL_NETWORK_H
#define BERTH_ENGINE_LOCAL_NETWORK_H

#include "engine/engine.h"
#include "state/layout.h"

/* ---- networks: the engine's slots ---- */

/* Makes the network's record (its subnet is chosen or checked here), its bridge and the rules; where they exist as asked
 * for, puts back what is missing. ERROR_INVALID: a subnet, gateway or range that cannot be, ERROR_CONFLICT: a subnet that
 * overlaps a route of this machine or another network, ERROR_EXISTS: it exists with other settings (the message names
 * the first), ERROR_UNSUPPORTED: another driver. progress: warnings; may be NULL. */
int local_network_create(const Layout *layout, const NetworkSpec *spec, const EngineProgress *progress, Error **err);
/* Whether it would refuse the name or the driver. */
int network_check_spec(const NetworkSpec *spec, Error **err);
/* ERROR_CONFLICT while containers are attached (the message names them); absent is fine. */
int local_network_remove(const Layout *layout, const char *name, Error **err);
int local_network_inspect(const Layout *layout, const char *name, NetworkInfo **ret, Error **err);
/* project NULL: all. Sorted by name. */
int local_network_list(const Layout *layout, const char *project, NetworkInfo ***ret, size_t *ret_length, Error **err);

/* ---- containers ---- */

typedef struct LocalNetworkResult {
        char *netns_path; /* the bind-mounted namespace to join; NULL: the host's */
        char *hosts_path, *resolv_path,
                *hostname_path; /* to be bound over the files in /etc. Bind the files themselves:
                                 * they are rewritten in place while the container runs */
        ContainerAddress *addresses;
        size_t n_addresses;
        ContainerPort *ports;
        size_t n_ports;
        int *port_fds; /* never NULL; ends with -1; owned. The monitor must inherit them and keep them as long as the
                        * container runs: they hold the published ports, and the relay for IPv6 ends when they
                        * are closed */
} LocalNetworkResult;
/* Frees the members and closes the descriptors. */
void local_network_result_done(LocalNetworkResult *result);
#define _cleanup_local_network_result_ _cleanup_(local_network_result_done)

/* Checks what can be known before a container is created: that its networks exist and that the addresses it asks for lie
 * in them and belong to nobody else. ERROR_NOT_FOUND, ERROR_INVALID, ERROR_CONFLICT. */
int local_network_check(const Layout *layout, const ContainerSpec *spec, Error **err);

/* Connects a container that is about to start: makes its network namespace at <run_dir>/netns, allots addresses, holds
 * the published ports, writes hosts, resolv.conf and hostname into run_dir (which exists), makes the rules. What an earlier
 * attachment of the same id left is replaced. On failure nothing is left. Serves network_mode NULL (networks), "bridge",
 * "host" and "none"; "container:…" is the caller's matter. ERROR_CONFLICT for a port that is taken: the message names its
 * holder, the hint a free port. progress: warnings; may be NULL. */
int local_network_attach(const Layout *layout, const ContainerSpec *spec, const char *id, const char *run_dir,
                         const EngineProgress *progress, LocalNetworkResult *ret, Error **err);

/* Undoes it; absent is fine, run_dir may be gone. The address stays allotted to the container's name while the network
 * exists (a one-off container's is given back). */
int local_network_detach(const Layout *layout, const ContainerSpec *spec, const char *id, const char *run_dir,
                         Error **err);

/* Bytes received and sent by all interfaces but loopback of the namespace that process pid lives in. */
int local_network_statistics(pid_t pid, uint64_t *ret_rx_bytes, uint64_t *ret_tx_bytes, Error **err);

/* ---- looking after it ---- */

/* After a reboot or a crash: makes all bridges again, removes the endpoints of `project` (NULL: of all) whose container is
 * not among live_ids, and brings rules and hosts files up to date. */
int local_network_recover(const Layout *layout, const char *project, char *const *live_ids,
                          const EngineProgress *progress, Error **err);

/* A descriptor that is readable when somebody changes nftables or the machine's interfaces. The caller closes it. */
int local_network_watch_fd(int *ret_fd, Error **err);
/* Reads what came; true where it was not our own doing, and local_network_refresh is due (a second or so later: firewalls
 * change in many steps). */
bool local_network_watch_read(const Layout *layout, int fd);
/* Looks at the kernel, not at our memory of it: puts our rules back where they are missing or changed, and accepts our
 * bridges where another firewall's forward chain would drop them (Docker, ufw, firewalld). Done by create as well. */
int local_network_refresh(const Layout *layout, Error **err);

/* What this installation has in the kernel. */
typedef struct LocalNetworkObject {
        char *kind; /* "bridge", "veth", "table", "chain", "rule" (in another firewall's chain), "namespace" */
        char *name;
        char *owner;   /* "network demo_default", "container demo-db-1"; NULL: nobody, prune removes it */
        char *project; /* NULL */
} LocalNetworkObject;

typedef struct LocalNetworkObjects {
        LocalNetworkObject *items;
        size_t length;
} LocalNetworkObjects;
void local_network_objects_done(LocalNetworkObjects *objects);
#define _cleanup_local_network_objects_ _cleanup_(local_network_objects_done)

int local_network_objects(const Layout *layout, LocalNetworkObjects *ret, Error **err);
/* Removes those without an owner; *ret (may be NULL) tells which. */
int local_network_prune(const Layout *layout, LocalNetworkObjects *ret, Error **err);

#endif
