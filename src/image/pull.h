/* Pulling, loading and importing, done by a berth-worker that is started for it. Light: links jansson only. */
#ifndef BERTH_IMAGE_PULL_H
#define BERTH_IMAGE_PULL_H

#include "image/progress.h"
#include "image/store.h"

/* Sees to it that image_find finds the reference afterwards. Where policy lets a host image serve, nothing is fetched.
 * platform NULL: this machine's. progress may be NULL. ERROR_CANCELLED when progress->cancel_fd became readable. */
int image_pull(const Layout *layout, const char *reference, ImagePolicy policy, const char *platform,
               const ImageProgress *progress, Error **err);

/* The references pinned to what their tags stand for in the registry now, in full: "docker.io/library/x:1@sha256:…"; one
 * with a digest already only loses its tag. *ret: in their order, a vector of the caller's. The error of every one that
 * cannot be pinned is in the list *err (Error.next). Nothing is stored, and the folders of the installation are not needed. */
int image_pin(const Layout *layout, char *const *references, char ***ret, Error **err);

/* See image/load.h for the arguments. *ret_ids: ids of the images, the caller's. input_fd: what "-" stands for. */
int image_load_by_worker(const Layout *layout, const char *source, const char *name, const char *platform, int input_fd,
                         const ImageProgress *progress, char ***ret_ids, Error **err);
int image_import_by_worker(const Layout *layout, const char *source, const char *name, const char *platform,
                           char *const *changes, int input_fd, const ImageProgress *progress, char **ret_id,
                           Error **err);

#endif
