/* Taking images out of the store. Light: jansson only. What containers use is never removed: the caller says which ids
 * those are ("sha256:…"). A crash leaves either the old store or the new one, with leftovers that the next writer
 * removes. */
#ifndef BERTH_IMAGE_REMOVE_H
#define BERTH_IMAGE_REMOVE_H

#include "image/store.h"

typedef struct ImageRemoval {
        char **untagged;      /* names that went */
        char **deleted;       /* ids of images that went */
        uint64_t freed_bytes; /* of layers that no image has any more */
} ImageRemoval;

void image_removal_done(ImageRemoval *removal);
#define _cleanup_image_removal_ _cleanup_(image_removal_done)

/* By name: that name, and the image with its last one. By id or digest: the image with all its names; ERROR_CONFLICT
 * where it has several, unless force. ERROR_CONFLICT where a container uses it; ERROR_NOT_FOUND. ret is added to. */
int image_remove(const Layout *layout, const char *reference, bool force, char *const *used_ids, ImageRemoval *ret,
                 Error **err);

/* Images without a name (host images: of packages that were replaced), with all every image that no container uses;
 * and layers, blobs and unfinished pulls that belong to nothing. dry_run: only says what would go. */
int image_prune(const Layout *layout, bool all, bool dry_run, char *const *used_ids, ImageRemoval *ret, Error **err);

#endif
