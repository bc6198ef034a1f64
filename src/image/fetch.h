/* Pulling an image from a registry into the store. For berth-worker only; others call image_pull (image/pull.h). */
#ifndef BERTH_IMAGE_FETCH_H
#define BERTH_IMAGE_FETCH_H

#include "image/progress.h"
#include "state/layout.h"

/* Only layers that the store lacks are fetched. platform NULL: this machine's. *ret_id is the caller's.
 * Kinds of errors: see image/skopeo.h, and store_add_image. Whatever fails, nothing is left behind. */
int image_fetch(const Layout *layout, const char *reference, const char *platform, const ImageProgress *progress,
                char **ret_id, Error **err);

#endif
