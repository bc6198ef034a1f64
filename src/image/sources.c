#include "image/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "image/reference.h"
#include "image/store.h"
#include "image/unpack.h"
#include "state/document.h"

#define DOCUMENT_LIMIT ((size_t)8 * 1024 * 1024)
#define NESTING_MAX    4

void new_images_done(NewImageVector *images)
{
        VECTOR_FOREACH(item, images)
                new_image_free(*item);
        vector_done(images);
}

int read_small_file(int folder_fd, const char *path, Strbuf *ret, Error **err)
{
        _cleanup_close_ int fd = open_in_root(folder_fd, path, O_RDONLY | O_NONBLOCK);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%.200s\"", path);
        r = fs_read_fd(fd, DOCUMENT_LIMIT, ret, err);
        return error_prefix(err, r, "\"%.200s\"", path);
}

int check_digest(const Strbuf *data, const char *digest, const char *what, Error **err)
{
        _cleanup_free_ char *hex = sha256_hex(strbuf_text(data), data->length);

        if (streq(hex, digest_hex(digest)))
                return 0;
        return error_set(err, ERROR_CORRUPT, "%s has digest sha256:%s, not %s", what, hex, digest);
}

static int read_json(int folder_fd, const char *path, json_t **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        json_error_t failure;
        int r = read_small_file(folder_fd, path, &text, err);

        if (r < 0)
                return r;
        *ret = json_loadb(strbuf_text(&text), text.length, 0, &failure);
        if (!*ret)
                return error_set(err, ERROR_INVALID, "\"%s\" line %d: %s", path, failure.line, failure.text);
        return 0;
}

static void copy_text(Strbuf *to, const Strbuf *from)
{
        strbuf_add(to, strbuf_text(from), from->length);
}

int new_image_from_manifest(int folder_fd, const char *prefix, const Strbuf *manifest, const Strbuf *config,
                            NewImage **ret, Error **err)
{
        _cleanup_(new_image_freep) NewImage *image = NULL;
        _cleanup_json_ json_t *json = json_loadb(strbuf_text(manifest), manifest->length, 0, NULL);
        _cleanup_manifest_ Manifest parsed = { 0 };
        int r = manifest_parse(json, &parsed, err);

        if (r == 0)
                r = check_digest(config, parsed.config_digest, "the image's configuration", err);
        if (r < 0)
                return r;
        image = xnew(NewImage);
        image->source_fd = folder_fd;
        copy_text(&image->manifest, manifest);
        copy_text(&image->config, config);
        VECTOR_FOREACH(layer, &parsed.layers) {
                char *path = xasprintf("%s%s", prefix, digest_hex(layer->digest));

                vector_add(&image->layers, (NewLayer){ .path = path, .digest = xstrdup(layer->digest) });
        }
        *ret = TAKE_PTR(image);
        return 0;
}

/* ---- blobs by digest: OCI layouts, skopeo's folders ---- */

static int read_image_of_manifest(int folder_fd, const char *prefix, const Strbuf *manifest, NewImageVector *images,
                                  Error **err)
{
        _cleanup_json_ json_t *json = json_loadb(strbuf_text(manifest), manifest->length, 0, NULL);
        _cleanup_manifest_ Manifest parsed = { 0 };
        _cleanup_free_ char *config_path = NULL;
        _cleanup_strbuf_ Strbuf config = STRBUF_INIT;
        NewImage *image = NULL;
        int r = manifest_parse(json, &parsed, err);

        if (r < 0)
                return r;
        config_path = xasprintf("%s%s", prefix, digest_hex(parsed.config_digest));
        r = read_small_file(folder_fd, config_path, &config, err);
        if (r == 0)
                r = new_image_from_manifest(folder_fd, prefix, manifest, &config, &image, err);
        if (r == 0)
                vector_add(images, image);
        return r;
}

#define OCI_PREFIX "blobs/sha256/"

static int read_oci_manifest(int folder_fd, const char *digest, const char *platform, int depth, NewImageVector *images,
                             Error **err)
{
        _cleanup_free_ char *path = xasprintf(OCI_PREFIX "%s", digest_hex(digest)), *selected = NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *json = NULL;
        int r = read_small_file(folder_fd, path, &text, err);

        if (r == 0)
                r = check_digest(&text, digest, "the manifest", err);
        if (r < 0)
                return r;
        json = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        if (!manifest_is_list(json))
                return read_image_of_manifest(folder_fd, OCI_PREFIX, &text, images, err);
        if (depth >= NESTING_MAX)
                return error_set(err, ERROR_INVALID, "lists of manifests are nested too deeply");
        r = manifest_select(json, platform, &selected, err);
        return r < 0 ? r : read_oci_manifest(folder_fd, selected, platform, depth + 1, images, err);
}

/* A whole name, as containerd and podman write it; a bare tag ("latest") tells nothing. */
static void add_oci_name(const json_t *entry, NewImage *image)
{
        static const char *const keys[] = { "io.containerd.image.name", "org.opencontainers.image.ref.name" };
        const json_t *annotations = json_object_get(entry, "annotations");

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *name = json_get_string(annotations, keys[i], "");
                char *normalized = NULL;

                if (!strpbrk(name, ":/") || image_reference_normalize(name, &normalized, NULL) < 0)
                        continue;
                strv_take(&image->names, normalized);
                return;
        }
}

static int read_oci_layout(int folder_fd, const json_t *index, const char *platform, NewImageVector *images,
                           Error **err)
{
        const json_t *entry;
        size_t i;

        json_array_foreach(json_object_get(index, "manifests"), i, entry) {
                const char *digest = json_get_string(entry, "digest", "");
                int r;

                if (!digest_is_valid(digest))
                        return error_set(err, ERROR_INVALID, "index.json: entry %zu has no sha256 digest", i);
                r = read_oci_manifest(folder_fd, digest, platform, 0, images, err);
                if (r < 0)
                        return r;
                add_oci_name(entry, images->items[images->length - 1]);
        }
        return images->length > 0 ? 0 : error_set(err, ERROR_INVALID, "index.json names no image");
}

/* ---- `docker save` ---- */

static int read_saved_image(int folder_fd, const json_t *entry, NewImageVector *images, Error **err)
{
        _cleanup_(new_image_freep) NewImage *image = xnew(NewImage);
        _cleanup_strv_ char **layers = json_get_strv(entry, "Layers"), **tags = json_get_strv(entry, "RepoTags");
        int r;

        image->source_fd = folder_fd;
        r = read_small_file(folder_fd, json_get_string(entry, "Config", ""), &image->config, err);
        if (r < 0)
                return r;
        STRV_FOREACH(layer, layers)
                vector_add(&image->layers, (NewLayer){ .path = xstrdup(*layer) });
        STRV_FOREACH(tag, tags) {
                char *name = NULL;

                r = image_reference_normalize(*tag, &name, err);
                if (r < 0)
                        return r;
                strv_take(&image->names, name);
        }
        vector_add(images, TAKE_PTR(image));
        return 0;
}

static int read_saved_images(int folder_fd, const json_t *manifest, NewImageVector *images, Error **err)
{
        const json_t *entry;
        size_t i;

        json_array_foreach((json_t *)manifest, i, entry) {
                int r = read_saved_image(folder_fd, entry, images, err);

                if (r < 0)
                        return error_prefix(err, r, "manifest.json");
        }
        return images->length > 0 ? 0 : error_set(err, ERROR_INVALID, "manifest.json names no image");
}

static bool has_file(int folder_fd, const char *name)
{
        return faccessat(folder_fd, name, R_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int read_images(int folder_fd, const char *platform, NewImageVector *images, Error **err)
{
        _cleanup_json_ json_t *json = NULL;
        _cleanup_strbuf_ Strbuf manifest = STRBUF_INIT;
        int r;

        /* A new `docker save` is both; its manifest.json has the names. */
        if (has_file(folder_fd, "manifest.json")) {
                r = read_json(folder_fd, "manifest.json", &json, err);
                if (r < 0)
                        return r;
                if (json_is_array(json))
                        return read_saved_images(folder_fd, json, images, err);
                r = read_small_file(folder_fd, "manifest.json", &manifest, err);
                return r < 0 ? r : read_image_of_manifest(folder_fd, "", &manifest, images, err);
        }
        if (!has_file(folder_fd, "index.json"))
                return error_set(err, ERROR_INVALID,
                                 "neither an OCI layout nor a docker archive: there is no manifest.json "
                                 "and no index.json in it");
        r = read_json(folder_fd, "index.json", &json, err);
        return r < 0 ? r : read_oci_layout(folder_fd, json, platform, images, err);
}
