/* The configuration blob of an image (OCI image-spec, config.md; Docker's is the same in what matters here). */
#ifndef BERTH_IMAGE_CONFIG_H
#define BERTH_IMAGE_CONFIG_H

#include <jansson.h>

#include "image/image.h"

/* From the member "config" of the blob; NULL or absent members leave everything unset. */
void image_config_read(const json_t *config, ImageConfig *ret);
/* "linux/arm64/v8" from the blob; owned by the caller. */
char *image_config_platform(const json_t *blob);
/* The member "created", or 0. */
int64_t image_config_created_ns(const json_t *blob);
/* rootfs.diff_ids, bottom first, each checked to be a digest. ERROR_INVALID otherwise. */
int image_config_diff_ids(const json_t *blob, char ***ret, Error **err);

#endif
