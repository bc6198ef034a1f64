/* Kernel settings below /proc/sys; those of net/ are those of the calling thread's network namespace. */
#ifndef BERTH_ENGINE_LOCAL_SYSCTL_H
#define BERTH_ENGINE_LOCAL_SYSCTL_H

#include "base/error.h"

/* name: "net/ipv4/ip_forward". ERROR_NOT_FOUND where the kernel has no such setting. */
int sysctl_write(const char *name, const char *value, Error **err);
/* Writes only where the value is another. */
int sysctl_ensure(const char *name, const char *value, Error **err);
/* Without the newline, owned by the caller; NULL where it cannot be read. */
char *sysctl_read(const char *name);

#endif
