/* Unpacking of one image layer (a tar archive, plain or compressed) into a folder, as overlayfs wants it: whiteouts
 * become character devices 0/0, opaque folders get the attribute trusted.overlay.opaque. Links libarchive and
 * libcrypto: for berth-worker only.
 *
 * Nothing outside the folder can be reached: names with ".." are refused, and every other name is resolved with the
 * folder as its root, symbolic links of the layer included. Devices below dev/ are left out (a container has its own
 * /dev), others are refused, as are attributes other than user.* and security.capability. */
#ifndef BERTH_IMAGE_UNPACK_H
#define BERTH_IMAGE_UNPACK_H

#include "base/error.h"

typedef struct UnpackOptions {
        bool plain;                       /* an archive of files that is no layer: no whiteouts, owners or attributes */
        bool (*cancelled)(void *context); /* NULL: never; asked between entries */
        void *context;
} UnpackOptions;

typedef struct UnpackResult {
        char digest[72];     /* "sha256:…" of the bytes read */
        char diff_id[72];    /* "sha256:…" of the uncompressed archive */
        uint64_t size_bytes; /* of the regular files written */
        uint64_t entries;
} UnpackResult;

/* Reads fd from where it stands to its end. root_fd: an empty folder. ERROR_INVALID: malformed, truncated or hostile;
 * ERROR_NO_SPACE; ERROR_CANCELLED. What was written so far is left for the caller to remove. */
int layer_unpack(int fd, int root_fd, const UnpackOptions *options, UnpackResult *ret, Error **err);

/* Opens a name below root as the layer's own links say, without ever leaving it; -1 and errno. */
int open_in_root(int root_fd, const char *path, int flags);

#endif
