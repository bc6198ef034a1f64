/* Images from elsewhere than a registry. For berth-worker only. */
#ifndef BERTH_IMAGE_LOAD_H
#define BERTH_IMAGE_LOAD_H

#include "image/progress.h"
#include "state/layout.h"

typedef struct LoadedImage {
        char *id, **names;
} LoadedImage;

typedef struct LoadedImages {
        LoadedImage *items;
        size_t length;
} LoadedImages;

void loaded_images_done(LoadedImages *images);
#define _cleanup_loaded_images_ _cleanup_(loaded_images_done)

/* source: a docker archive or OCI layout (tar, also compressed, or folder), "docker-daemon:NAME" or "-" (standard
 * input). name: a further name for the image, where there is one only; NULL: none. platform NULL: this machine's. */
int image_load(const Layout *layout, const char *source, const char *name, const char *platform,
               const ImageProgress *progress, LoadedImages *ret, Error **err);

/* A root file system as an image of one layer. source: a tar, also compressed, or "-". changes: "CMD [\"x\"]", "ENV
 * A=B", … as `docker import --change` takes them. *ret_id is the caller's. */
int image_import(const Layout *layout, const char *source, const char *name, const char *platform, char *const *changes,
                 const ImageProgress *progress, char **ret_id, Error **err);

#endif
