/* Folders for what is not yet part of the store: <data>/images/staging/<name>/. Each is held by a lock as long as its
 * process lives; one that nobody holds is a leftover of a crash and goes away when the next one is made. */
#ifndef BERTH_IMAGE_STAGING_H
#define BERTH_IMAGE_STAGING_H

#include "state/layout.h"

typedef struct Staging {
        char *path;
        int fd; /* the folder; also holds the lock; -1: none */
} Staging;

#define STAGING_INIT { .fd = -1 }

int staging_create(const Layout *layout, Staging *ret, Error **err);
/* Removes it with all it holds. */
void staging_done(Staging *staging);
#define _cleanup_staging_ _cleanup_(staging_done)

/* Removes what crashes left behind; done by staging_create too. */
void staging_remove_leftovers(const Layout *layout);

#endif
