/* What tags stand for in their registries now. For berth-worker only; others call image_pin (image/pull.h). */
#ifndef BERTH_IMAGE_DIGEST_H
#define BERTH_IMAGE_DIGEST_H

#include <jansson.h>

#include "image/progress.h"
#include "state/layout.h"

/* Asks for several at once. *ret: an array, in their order, of {"digest": "sha256:…"} (of the list, where a tag has an
 * image for each platform) or {"error": …} (state/document.h); kinds as in image/skopeo.h. */
int image_digests(const Layout *layout, char *const *references, const ImageProgress *progress, json_t **ret,
                  Error **err);

#endif
