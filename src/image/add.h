/* Adding an image to the store: its layers are unpacked, in parallel, then everything becomes visible at once. A crash
 * at any point leaves the store as it was, or with layers that nothing names yet. For berth-worker only. */
#ifndef BERTH_IMAGE_ADD_H
#define BERTH_IMAGE_ADD_H

#include "base/strbuf.h"
#include "base/vector.h"
#include "image/progress.h"
#include "image/staging.h"
#include "image/unpack.h"

typedef struct NewLayer {
        char *path;             /* below source_fd */
        char *digest;           /* of the blob, checked; NULL: not known */
        UnpackResult *unpacked; /* it is in the staging area already, as "layer-<diff id's digits>"; NULL; owned */
} NewLayer;

typedef struct NewImage {
        Strbuf manifest;         /* as it came; empty: none */
        Strbuf config;           /* as it came: its digest is the image's id */
        VECTOR(NewLayer) layers; /* bottom first, one for each diff id of the configuration */
        char **names;            /* normalised; each is moved to this image */
        char **digests;          /* "docker.io/library/x@sha256:…" */
        int source_fd;           /* folder with the blobs, not owned; nothing above it is read */
} NewImage;

void new_image_free(NewImage *image);
DEFINE_CLEANUP(NewImage, new_image_free);

/* *ret_id: "sha256:…", the caller's. ERROR_CORRUPT where a blob is not what its digest says; ERROR_INVALID where a
 * layer cannot be unpacked. */
int store_add_image(const Layout *layout, const Staging *staging, const NewImage *image, const ImageProgress *progress,
                    char **ret_id, Error **err);

/* "glibc 2.36", "musl 1.2.4" by the files in layers (topmost first); NULL: unknown. Owned by the caller. */
char *layers_find_libc(char *const *layers);
/* The same with the ICU that is in them: "glibc 2.36, ICU 72". */
char *layers_find_collations(char *const *layers);

#endif
