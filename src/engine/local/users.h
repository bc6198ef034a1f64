/* Users and groups of an image, read from its own /etc/passwd and /etc/group without following a link out of it. */
#ifndef BERTH_ENGINE_LOCAL_USERS_H
#define BERTH_ENGINE_LOCAL_USERS_H

#include <sys/types.h>

#include "base/error.h"

typedef struct ImageUser {
        uint32_t uid, gid;
        uint32_t *groups; /* supplementary; owned */
        size_t n_groups;
        char *home; /* owned; "/" where unknown */
} ImageUser;

void image_user_done(ImageUser *user);
#define _cleanup_image_user_ _cleanup_(image_user_done)

/* user: "name", "uid", "name:group", "uid:gid", … or NULL for root; group_add: names or numbers, NULL. Numbers need no
 * entry. ERROR_NOT_FOUND where the image has no such name. */
int image_user_find(int root_fd, const char *user, char *const *group_add, ImageUser *ret, Error **err);

/* Opens path as a process whose root is root_fd would, links included. */
int open_in_root(int root_fd, const char *path, int flags, Error **err);

#endif
