/* skopeo, which speaks to registries and to Docker: mirrors, credentials, TLS settings and proxies are its own, as
 * containers-registries.conf(5) and containers-auth.json(5) say. For berth-worker only. */
#ifndef BERTH_IMAGE_SKOPEO_H
#define BERTH_IMAGE_SKOPEO_H

#include "base/strbuf.h"
#include "image/progress.h"
#include "image/staging.h"

typedef struct Skopeo {
        const Layout *layout;   /* its configuration folder may hold registries.conf and auth.json */
        const Staging *staging; /* temporary files go there; NULL: only manifests and configurations are asked for */
        const ImageProgress *progress;
        const char *name; /* what is fetched, for messages */
} Skopeo;

/* Bytes as they came, of a docker:// source "docker.io/library/x:1". Errors are told apart: ERROR_NOT_FOUND,
 * ERROR_UNAVAILABLE (registry unreachable), ERROR_DENIED, ERROR_CORRUPT (wrong digest), ERROR_NO_SPACE. */
int skopeo_manifest(const Skopeo *skopeo, const char *source, Strbuf *ret, Error **err);
int skopeo_config(const Skopeo *skopeo, const char *source, Strbuf *ret, Error **err);

/* Fetches the layers into <staging>/<blobs>/sha256/<digits>; those that are there already (whatever is in them) are
 * left out. total_bytes: what is expected, for the progress. */
int skopeo_fetch_layers(const Skopeo *skopeo, const char *source, uint64_t total_bytes, Error **err);
#define SKOPEO_BLOBS "blobs"

/* The whole image into the folder <staging>/image, exactly as it is at its source; *ret_fd is open on it. */
int skopeo_fetch_whole(const Skopeo *skopeo, const char *transport_and_source, uint64_t total_bytes, int *ret_fd,
                       Error **err);

/* An image of a running Docker, found by DOCKER_HOST. */
int skopeo_copy_from_daemon(const Layout *layout, const Staging *staging, const char *name,
                            const ImageProgress *progress, int *ret_fd, Error **err);

#endif
