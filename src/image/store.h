/* The image store: <data>/images/{blobs/sha256/<hex>, layers/<diff id hex>/, names.json}. Reading takes no lock and is
 * safe from any thread (files are replaced atomically); writers hold the store's lock. Reading links jansson only:
 * pulling, loading and unpacking are in image/pull.h, image/load.h and image/unpack.h and run in berth-worker. */
#ifndef BERTH_IMAGE_STORE_H
#define BERTH_IMAGE_STORE_H

#include "image/image.h"
#include "state/layout.h"

typedef enum ImagePolicy { IMAGES_AUTO, IMAGES_HOST, IMAGES_REGISTRY } ImagePolicy;

/* Looks a reference up ("postgres:16", "name@sha256:…", an id or its first 12 digits) without any network.
 * With IMAGES_AUTO or IMAGES_HOST a host image is found too, and made when it does not exist yet (a few ms).
 * ERROR_NOT_FOUND where it must be pulled (or, with IMAGES_HOST, where the packages are missing: the message says
 * which majors there are and what to install). *ret is the caller's. */
int image_find(const Layout *layout, const char *reference, ImagePolicy policy, Image **ret, Error **err);

/* The same among what there is already: stored images by name, digest or id, host images by name or id.
 * Makes nothing. */
int image_find_made(const Layout *layout, const char *reference, Image **ret, Error **err);

/* "auto", "host", "registry"; false where the name is none of them. */
bool image_policy_from_name(const char *name, ImagePolicy *ret);

/* Every image of the store, host images made so far included, sorted by name. */
int image_list(const Layout *layout, Image ***ret, size_t *ret_length, Error **err);
void image_list_free(Image **images, size_t length);

/* Writes the index anew from its copy where it is damaged. *ret_damaged: its path, the caller's; NULL: it was well. */
int image_store_mend(const Layout *layout, char **ret_damaged, Error **err);
/* Normalised form: "postgres" → "docker.io/library/postgres:latest"; ERROR_INVALID where malformed.
 * *ret is the caller's. */
int image_reference_normalize(const char *reference, char **ret, Error **err);

#endif
