/* <data>/images/names.json, the index of the store, and the paths of what it names.
 *
 *   {"format": 1,
 *    "images": {"sha256:<config>": {"manifest": "sha256:…", "platform", "libc", "size_bytes", "stored_ns",
 *                                   "digests": ["docker.io/library/x@sha256:…"]}},
 *    "names": {"docker.io/library/x:1": "sha256:<config>"}}
 *
 * names.copy.json beside it is the same, and what is read where the first is damaged. Readers load it without a lock (it is
 * replaced atomically); writers hold store_lock from load to save. */
#ifndef BERTH_IMAGE_INDEX_H
#define BERTH_IMAGE_INDEX_H

#include <jansson.h>

#include "image/image.h"
#include "state/layout.h"

/* Makes the store's folders. */
int store_prepare(const Layout *layout, Error **err);
/* Waits for other writers; the lock lasts until *ret_fd is closed. Prepares the store too. */
int store_lock(const Layout *layout, int *ret_fd, Error **err);

/* An empty index where there is none yet. *ret is a new reference. */
int store_index_load(const Layout *layout, json_t **ret, Error **err);
/* One that was damaged is kept aside. */
int store_index_save(const Layout *layout, json_t *index, Error **err);

/* Owned by the caller. */
char *store_blob_path(const Layout *layout, const char *digest);
char *store_layer_path(const Layout *layout, const char *diff_id);
char *store_staging_path(const Layout *layout); /* folder of unfinished pulls and unpacks */

/* The configuration blob of an image. */
int store_config_load(const Layout *layout, const char *id, json_t **ret, Error **err);
/* The image of that id as the index has it; ERROR_NOT_FOUND. */
int store_image_load(const Layout *layout, const json_t *index, const char *id, Image **ret, Error **err);

#endif
