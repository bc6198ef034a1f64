/* Seccomp profiles: Docker's form (includes and excludes by capability and architecture) resolved into the runtime's.
 */
#ifndef BERTH_ENGINE_LOCAL_SECCOMP_PROFILE_H
#define BERTH_ENGINE_LOCAL_SECCOMP_PROFILE_H

#include <jansson.h>

#include "base/error.h"

/* The filter for a container with these capabilities: of the file at path, or the default where path is NULL. The
 * default is the profile of the package golang-github-containers-common, from which is taken what Docker's does not
 * allow without CAP_SYS_ADMIN (new namespaces, mounts). Kept by key: the second call with the same capabilities costs
 * nothing. *ret is a new reference; NULL where there is no default profile on this machine. */
int seccomp_resolve(const char *path, char *const *capabilities, json_t **ret, Error **err);

#endif
