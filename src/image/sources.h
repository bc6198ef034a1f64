/* Reading images out of folders: an OCI layout, an unpacked `docker save`, a folder that skopeo wrote. */
#ifndef BERTH_IMAGE_SOURCES_H
#define BERTH_IMAGE_SOURCES_H

#include "image/add.h"
#include "image/manifest.h"

typedef VECTOR(NewImage *) NewImageVector;
void new_images_done(NewImageVector *images);
#define _cleanup_new_images_ _cleanup_(new_images_done)

/* What the folder is, it says itself (manifest.json, index.json). folder_fd stays the caller's and must outlive the
 * images. ERROR_INVALID where it is none of these. */
int read_images(int folder_fd, const char *platform, NewImageVector *images, Error **err);

/* From manifest and configuration as they came; blobs are at prefix + hex digits below folder_fd. */
int new_image_from_manifest(int folder_fd, const char *prefix, const Strbuf *manifest, const Strbuf *config,
                            NewImage **ret, Error **err);

/* A small file below folder_fd. */
int read_small_file(int folder_fd, const char *path, Strbuf *ret, Error **err);
/* ERROR_CORRUPT unless data has that digest. */
int check_digest(const Strbuf *data, const char *digest, const char *what, Error **err);

#endif
