/* Network namespaces kept by a bind mount of their file. */
#ifndef BERTH_ENGINE_LOCAL_NAMESPACE_H
#define BERTH_ENGINE_LOCAL_NAMESPACE_H

#include "engine/local/netlink.h"

/* Makes a namespace with loopback up and keeps it at path. Its interfaces get no IPv6 unless ipv6. *ret_fd (the caller's)
 * refers to it, *ret_netlink works inside. */
int namespace_create(const char *path, bool ipv6, int *ret_fd, Netlink **ret_netlink, Error **err);
/* A session that works inside the namespace kept at path. */
int namespace_netlink(const char *path, Netlink **ret, Error **err);
/* The kernel takes the namespace and its interfaces away some time after the last process has left it. Absent is fine. */
int namespace_remove(const char *path, Error **err);

#endif
