/* Manifests: OCI image-spec (manifest.md, image-index.md) and Docker's schema 2, which differ in their media types
 * only. */
#ifndef BERTH_IMAGE_MANIFEST_H
#define BERTH_IMAGE_MANIFEST_H

#include <jansson.h>

#include "base/vector.h"
#include "image/add.h"

typedef struct ManifestBlob {
        char *digest;
        uint64_t size_bytes;
} ManifestBlob;

typedef struct Manifest {
        char *config_digest;
        VECTOR(ManifestBlob) layers; /* bottom first */
        uint64_t size_bytes;         /* of all layers, compressed */
} Manifest;

void manifest_done(Manifest *manifest);
#define _cleanup_manifest_ _cleanup_(manifest_done)

/* A list of manifests, one for each platform? */
bool manifest_is_list(const json_t *json);
/* ERROR_UNSUPPORTED for Docker's schema 1 and for artifacts that are no images. */
int manifest_parse(const json_t *json, Manifest *ret, Error **err);
/* The entry of a list that fits platform ("linux/arm64", "linux/arm/v7"; NULL: this machine's). *ret_digest is the
 * caller's. ERROR_NOT_FOUND names the platforms there are. */
int manifest_select(const json_t *list, const char *platform, char **ret_digest, Error **err);

#endif
