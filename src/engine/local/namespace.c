#include "engine/local/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/sysctl.h"

#define OWN_NAMESPACE "/proc/thread-self/ns/net"

/* In the new namespace: what /proc/sys/net shows is that of the thread which opens it. */
static int prepare_inside(const char *path, bool ipv6, int *ret_fd, Netlink **ret_netlink, Error **err)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        r = netlink_open(&netlink, err);
        if (r < 0)
                return r;
        r = netlink_set_up(netlink, 1, err);
        if (r < 0)
                return error_prefix(err, r, "loopback");
        /* Absent where the kernel has no IPv6. */
        (void)sysctl_write(ipv6 ? "net/ipv6/conf/default/accept_ra" : "net/ipv6/conf/default/disable_ipv6",
                           ipv6 ? "0" : "1", NULL);
        fd = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return error_set_errno(err, errno, "open the new namespace");
        if (mount(OWN_NAMESPACE, path, NULL, MS_BIND, NULL) < 0)
                return error_set_errno(err, errno, "keep the new namespace at \"%s\"", path);
        *ret_fd = TAKE_FD(fd);
        *ret_netlink = TAKE_PTR(netlink);
        return 0;
}

static void go_home(int home)
{
        if (setns(home, CLONE_NEWNET) == 0)
                return;
        /* A thread in the wrong namespace would do everything that follows to the wrong machine. */
        perror("berth: return to the network namespace it started in");
        abort();
}

int namespace_create(const char *path, bool ipv6, int *ret_fd, Netlink **ret_netlink, Error **err)
{
        _cleanup_close_ int home = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
        int r;

        if (home < 0 || file < 0)
                return error_set_errno(err, errno, "make a network namespace at \"%s\"", path);
        if (unshare(CLONE_NEWNET) < 0) {
                r = error_set_errno(err, errno, "make a network namespace");
                return error_hint(err, r, "It needs root with CAP_SYS_ADMIN.");
        }
        r = prepare_inside(path, ipv6, ret_fd, ret_netlink, err);
        go_home(home);
        return r;
}

int namespace_netlink(const char *path, Netlink **ret, Error **err)
{
        _cleanup_close_ int home = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int there = open(path, O_RDONLY | O_CLOEXEC);
        int r;

        if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
                return error_set_errno(err, errno, "enter the network namespace \"%s\"", path);
        r = netlink_open(ret, err);
        go_home(home);
        return r;
}

int namespace_remove(const char *path, Error **err)
{
        /* Detached: whoever still looks at it must not keep the container from going. */
        while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                ;
        if (errno != EINVAL && errno != ENOENT)
                return error_set_errno(err, errno, "unmount \"%s\"", path);
        if (unlink(path) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove \"%s\"", path);
        return 0;
}
