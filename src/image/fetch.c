#include "image/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "image/index.h"
#include "image/reference.h"
#include "image/skopeo.h"
#include "image/sources.h"
#include "state/document.h"

#define CONFIG_LIMIT ((size_t)8 * 1024 * 1024)

typedef struct Fetch {
        Skopeo skopeo;
        const Layout *layout;
        const char *platform;
        Reference reference;
        char *repository; /* "docker.io/library/x" */
        char *source;     /* what skopeo is asked for: "docker.io/library/x@sha256:…" once that is known */
        Strbuf manifest;
        char **digests; /* the list's, where there is one, and the manifest's */
        Manifest parsed;
} Fetch;

static void fetch_done(Fetch *fetch)
{
        reference_done(&fetch->reference);
        free(fetch->repository);
        free(fetch->source);
        strbuf_done(&fetch->manifest);
        strv_free(fetch->digests);
        manifest_done(&fetch->parsed);
}
#define _cleanup_fetch_ _cleanup_(fetch_done)

/* ---- the manifest ---- */

/* The manifest or list at fetch->source; its digest is noted, and checked where it was asked for by digest. */
static int fetch_manifest(Fetch *fetch, const char *digest, json_t **ret, Error **err)
{
        _cleanup_free_ char *hex = NULL;
        int r;

        strbuf_truncate(&fetch->manifest, 0);
        r = skopeo_manifest(&fetch->skopeo, fetch->source, &fetch->manifest, err);
        if (r == 0 && digest)
                r = check_digest(&fetch->manifest, digest, "the manifest from the registry", err);
        if (r < 0)
                return r;
        hex = sha256_hex(strbuf_text(&fetch->manifest), fetch->manifest.length);
        strv_addf(&fetch->digests, "%s@sha256:%s", fetch->repository, hex);
        free_and_replace(&fetch->source, xasprintf("%s@sha256:%s", fetch->repository, hex));
        *ret = json_loadb(strbuf_text(&fetch->manifest), fetch->manifest.length, 0, NULL);
        return *ret ? 0 : error_set(err, ERROR_INVALID, "the registry's manifest is not JSON");
}

static int find_manifest(Fetch *fetch, Error **err)
{
        _cleanup_json_ json_t *list = NULL, *manifest = NULL;
        _cleanup_free_ char *digest = NULL;
        int r = fetch_manifest(fetch, fetch->reference.digest, &list, err);

        if (r < 0)
                return r;
        if (!manifest_is_list(list))
                return manifest_parse(list, &fetch->parsed, err);
        r = manifest_select(list, fetch->platform, &digest, err);
        if (r < 0)
                return r;
        free_and_replace(&fetch->source, xasprintf("%s@%s", fetch->repository, digest));
        r = fetch_manifest(fetch, digest, &manifest, err);
        return r < 0 ? r : manifest_parse(manifest, &fetch->parsed, err);
}

/* ---- the layers ---- */

/* Is the layer that came from this blob unpacked in the store? */
static bool have_layer(const Layout *layout, const json_t *index, const char *blob)
{
        const char *diff_id;
        json_t *entry;

        json_object_foreach(json_object_get(index, "layers"), diff_id, entry) {
                _cleanup_free_ char *path = NULL;

                if (!streq(json_get_string(entry, "blob", ""), blob) || !digest_is_valid(diff_id))
                        continue;
                path = store_layer_path(layout, diff_id);
                return fs_is_directory(path);
        }
        return false;
}

/* An empty file under a blob's name makes skopeo believe that it is there. *ret_bytes: what is left to fetch. */
static int leave_out_known(const Fetch *fetch, uint64_t *ret_bytes, bool *ret_all, Error **err)
{
        _cleanup_json_ json_t *index = NULL;
        _cleanup_free_ char *folder = path_join(fetch->skopeo.staging->path, SKOPEO_BLOBS "/sha256");
        int r = store_index_load(fetch->layout, &index, err);

        if (r == 0)
                r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        *ret_bytes = 0;
        *ret_all = true;
        VECTOR_FOREACH(layer, &fetch->parsed.layers) {
                _cleanup_free_ char *path = path_join(folder, digest_hex(layer->digest));
                _cleanup_close_ int fd = -1;

                if (!have_layer(fetch->layout, index, layer->digest)) {
                        *ret_bytes += layer->size_bytes;
                        *ret_all = false;
                        continue;
                }
                fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0)
                        return error_set_errno(err, errno, "create \"%s\"", path);
        }
        return 0;
}

static bool all_blobs_there(const Fetch *fetch)
{
        VECTOR_FOREACH(layer, &fetch->parsed.layers) {
                _cleanup_free_ char *path = xasprintf("%s/" SKOPEO_BLOBS "/sha256/%s", fetch->skopeo.staging->path,
                                                      digest_hex(layer->digest));

                if (!fs_exists(path))
                        return false;
        }
        return true;
}

/* *ret_prefix: where the blobs are, below *ret_fd. A layer that skopeo would not keep as it is (an uncompressed one)
 * makes the whole image be copied in a form that changes nothing. */
static int fetch_layers(const Fetch *fetch, int *ret_fd, const char **ret_prefix, Error **err)
{
        _cleanup_free_ char *source = NULL;
        uint64_t bytes = 0;
        bool all = true;
        int r = leave_out_known(fetch, &bytes, &all, err);

        *ret_prefix = SKOPEO_BLOBS "/sha256/";
        if (r == 0 && !all) {
                progress_status(fetch->skopeo.progress, "pulling");
                r = skopeo_fetch_layers(&fetch->skopeo, fetch->source, bytes, err);
        }
        if (r < 0)
                return r;
        if (all_blobs_there(fetch)) {
                *ret_fd = fcntl(fetch->skopeo.staging->fd, F_DUPFD_CLOEXEC, 3);
                return *ret_fd >= 0 ? 0 : error_set_errno(err, errno, "duplicate a descriptor");
        }
        *ret_prefix = "";
        source = xasprintf("docker://%s", fetch->source);
        return skopeo_fetch_whole(&fetch->skopeo, source, fetch->parsed.size_bytes, ret_fd, err);
}

/* From the store where it is there already, under the digest that the manifest names. */
static int fetch_config(const Fetch *fetch, Strbuf *ret, Error **err)
{
        _cleanup_free_ char *stored = store_blob_path(fetch->layout, fetch->parsed.config_digest);
        int r;

        if (fs_read_file(AT_FDCWD, stored, CONFIG_LIMIT, ret, NULL) == 0 &&
            check_digest(ret, fetch->parsed.config_digest, "", NULL) == 0)
                return 0;
        strbuf_truncate(ret, 0);
        r = skopeo_config(&fetch->skopeo, fetch->source, ret, err);
        return r < 0 ? r : check_digest(ret, fetch->parsed.config_digest, "the configuration from the registry", err);
}

static int fetch_image(Fetch *fetch, char **ret_id, Error **err)
{
        _cleanup_(new_image_freep) NewImage *image = NULL;
        _cleanup_strbuf_ Strbuf config = STRBUF_INIT;
        _cleanup_close_ int folder = -1;
        const char *prefix;
        int r = find_manifest(fetch, err);

        if (r == 0)
                r = fetch_config(fetch, &config, err);
        if (r == 0)
                r = fetch_layers(fetch, &folder, &prefix, err);
        if (r == 0)
                r = new_image_from_manifest(folder, prefix, &fetch->manifest, &config, &image, err);
        if (r < 0)
                return r;
        image->digests = strv_copy(fetch->digests);
        if (fetch->reference.tag && !fetch->reference.digest)
                strv_addf(&image->names, "%s:%s", fetch->repository, fetch->reference.tag);
        return store_add_image(fetch->layout, fetch->skopeo.staging, image, fetch->skopeo.progress, ret_id, err);
}

int image_fetch(const Layout *layout, const char *reference, const char *platform, const ImageProgress *progress,
                char **ret_id, Error **err)
{
        _cleanup_staging_ Staging staging = STAGING_INIT;
        _cleanup_fetch_ Fetch fetch = { .layout = layout, .platform = platform };
        int r = reference_parse(reference, &fetch.reference, err);

        if (r == 0)
                r = staging_create(layout, &staging, err);
        if (r < 0)
                return r;
        fetch.skopeo = (Skopeo){ .layout = layout, .staging = &staging, .progress = progress, .name = reference };
        fetch.repository = reference_repository_name(&fetch.reference);
        fetch.source = fetch.reference.digest ? xasprintf("%s@%s", fetch.repository, fetch.reference.digest)
                                              : xasprintf("%s:%s", fetch.repository, fetch.reference.tag);
        progress_status(progress, "resolving");
        r = fetch_image(&fetch, ret_id, err);
        return error_prefix(err, r, "pull \"%s\"", reference);
}
