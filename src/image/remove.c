#include "image/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "base/strv.h"
#include "image/config.h"
#include "image/host.h"
#include "image/index.h"
#include "image/reference.h"
#include "image/staging.h"
#include "state/document.h"

void image_removal_done(ImageRemoval *removal)
{
        strv_free(removal->untagged);
        strv_free(removal->deleted);
        *removal = (ImageRemoval){ 0 };
}

/* ---- what belongs to nothing ---- */

/* Digits of every layer and blob that an image of the index needs. ERROR_CORRUPT and the like where one cannot be read:
 * then nothing may be removed. */
static int find_needed(const Layout *layout, const json_t *index, Strmap *needed, Error **err)
{
        static char yes;
        const char *id;
        json_t *entry;

        json_object_foreach(json_object_get(index, "images"), id, entry) {
                const char *manifest = json_get_string(entry, "manifest", "");
                _cleanup_json_ json_t *config = NULL;
                _cleanup_strv_ char **diff_ids = NULL;
                int r;

                if (!digest_is_valid(id))
                        return error_set(err, ERROR_CORRUPT, "images/names.json: \"%.80s\" is not an image's id", id);
                r = store_config_load(layout, id, &config, err);
                if (r == 0)
                        r = image_config_diff_ids(config, &diff_ids, err);
                if (r < 0)
                        return error_prefix(err, r, "image %s", id);
                strmap_set(needed, digest_hex(id), &yes);
                if (digest_is_valid(manifest))
                        strmap_set(needed, digest_hex(manifest), &yes);
                STRV_FOREACH(diff_id, diff_ids)
                        strmap_set(needed, digest_hex(*diff_id), &yes);
        }
        return 0;
}

/* Away by rename first: a layer that is half removed must not be taken for a whole one. */
static int discard(const char *path, const char *name, const Staging *staging, Error **err)
{
        _cleanup_free_ char *to = path_join(staging->path, name);

        if (rename(path, to) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "rename \"%s\"", path);
        return fs_remove_tree(AT_FDCWD, to, err);
}

static int sweep_folder(const Layout *layout, const char *name, const Strmap *needed, const Staging *staging,
                        json_t *index, ImageRemoval *ret, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/%s", name);
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, folder, &names, err);

        if (r < 0)
                return r;
        STRV_FOREACH(item, names) {
                _cleanup_free_ char *path = path_join(folder, *item), *diff_id = xasprintf("sha256:%s", *item);

                if (strmap_has(needed, *item))
                        continue;
                if (streq(name, "layers"))
                        ret->freed_bytes += fs_disk_usage(path);
                json_object_del(json_object_get(index, "layers"), diff_id);
                if (!staging)
                        continue;
                r = discard(path, *item, staging, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* staging NULL: only counts. The index is the new one, already saved. */
static int sweep(const Layout *layout, json_t *index, const Staging *staging, ImageRemoval *ret, Error **err)
{
        _cleanup_strmap_ Strmap needed = STRMAP_INIT;
        int r = find_needed(layout, index, &needed, err);

        if (r == 0)
                r = sweep_folder(layout, "layers", &needed, staging, index, ret, err);
        if (r == 0)
                r = sweep_folder(layout, "blobs/sha256", &needed, staging, index, ret, err);
        return r;
}

/* ---- taking one image out of the index ---- */

static void drop_image(json_t *index, const char *id, ImageRemoval *ret)
{
        json_t *names = json_object_get(index, "names"), *value;
        _cleanup_free_ char *kept_id = xstrdup(id);
        const char *name;
        void *next;

        json_object_foreach_safe(names, next, name, value) if (streq_ptr(json_string_value(value), kept_id))
        {
                strv_add(&ret->untagged, name);
                json_object_del(names, name);
        }
        json_object_del(json_object_get(index, "images"), kept_id);
        strv_add(&ret->deleted, kept_id);
}

static int save_and_sweep(const Layout *layout, json_t *index, ImageRemoval *ret, Error **err)
{
        _cleanup_staging_ Staging staging = STAGING_INIT;
        int r = staging_create(layout, &staging, err);

        if (r == 0)
                r = store_index_save(layout, index, err);
        if (r == 0)
                r = sweep(layout, index, &staging, ret, err);
        /* Once more, without the entries of layers that went. */
        return r == 0 ? store_index_save(layout, index, err) : r;
}

static int refuse_used(const Image *image, char *const *used_ids, Error **err)
{
        int r;

        if (!strv_contains(used_ids, image->id))
                return 0;
        r = error_set(err, ERROR_CONFLICT, "image \"%s\" is used by a container", image->reference);
        return error_hint(err, r, "Remove the container first.");
}

static int remove_host_image(const Layout *layout, const Image *image, ImageRemoval *ret, Error **err)
{
        int r = host_image_remove(layout, image->id, err);

        if (r < 0)
                return r;
        strv_add_all(&ret->untagged, image->names);
        strv_add(&ret->deleted, image->id);
        ret->freed_bytes += image->size_bytes;
        return 0;
}

/* Only the name goes where the image has others. */
static int remove_found(const Layout *layout, json_t *index, const Image *image, bool force, char *const *used_ids,
                        ImageRemoval *ret, Error **err)
{
        _cleanup_free_ char *name = NULL;
        size_t names = strv_length(image->names);
        int r;

        if (image_reference_normalize(image->reference, &name, NULL) == 0 && strv_contains(image->names, name)) {
                if (names > 1) {
                        json_object_del(json_object_get(index, "names"), name);
                        strv_add(&ret->untagged, name);
                        return store_index_save(layout, index, err);
                }
        } else if (names > 1 && !force) {
                r = error_set(err, ERROR_CONFLICT, "image \"%s\" has %zu names", image->reference, names);
                return error_hint(err, r, "Remove them by name, or all of them with --force.");
        }
        r = refuse_used(image, used_ids, err);
        if (r < 0)
                return r;
        drop_image(index, image->id, ret);
        return save_and_sweep(layout, index, ret, err);
}

int image_remove(const Layout *layout, const char *reference, bool force, char *const *used_ids, ImageRemoval *ret,
                 Error **err)
{
        _cleanup_close_ int lock = -1;
        _cleanup_json_ json_t *index = NULL;
        _cleanup_image_ Image *image = NULL;
        int r = store_lock(layout, &lock, err);

        if (r == 0)
                r = store_index_load(layout, &index, err);
        if (r == 0)
                r = image_find_made(layout, reference, &image, err);
        if (r < 0)
                return r;
        if (image->source == IMAGE_SOURCE_HOST) {
                r = refuse_used(image, used_ids, err);
                return r < 0 ? r : remove_host_image(layout, image, ret, err);
        }
        return remove_found(layout, index, image, force, used_ids, ret, err);
}

/* ---- everything that nobody uses ---- */

static bool is_unused(const Layout *layout, const Image *image, bool all, char *const *used_ids)
{
        if (strv_contains(used_ids, image->id))
                return false;
        if (all)
                return true;
        return image->source == IMAGE_SOURCE_HOST ? !host_image_is_current(layout, image) : !image->names;
}

static int prune_one(const Layout *layout, json_t *index, const Image *image, bool dry_run, ImageRemoval *ret,
                     Error **err)
{
        if (image->source != IMAGE_SOURCE_HOST) {
                drop_image(index, image->id, ret);
                return 0;
        }
        if (!dry_run)
                return remove_host_image(layout, image, ret, err);
        strv_add_all(&ret->untagged, image->names);
        strv_add(&ret->deleted, image->id);
        ret->freed_bytes += image->size_bytes;
        return 0;
}

static int prune_listed(const Layout *layout, json_t *index, bool all, bool dry_run, char *const *used_ids,
                        Image **images, size_t length, ImageRemoval *ret, Error **err)
{
        for (size_t i = 0; i < length; i++) {
                int r = 0;

                if (is_unused(layout, images[i], all, used_ids))
                        r = prune_one(layout, index, images[i], dry_run, ret, err);
                if (r < 0)
                        return r;
        }
        if (dry_run)
                return sweep(layout, index, NULL, ret, err);
        host_image_remove_leftovers(layout);
        return save_and_sweep(layout, index, ret, err);
}

int image_prune(const Layout *layout, bool all, bool dry_run, char *const *used_ids, ImageRemoval *ret, Error **err)
{
        _cleanup_close_ int lock = -1;
        _cleanup_json_ json_t *index = NULL;
        Image **images = NULL;
        size_t length = 0;
        int r = store_lock(layout, &lock, err);

        if (r == 0)
                r = store_index_load(layout, &index, err);
        if (r == 0)
                r = image_list(layout, &images, &length, err);
        if (r == 0)
                r = prune_listed(layout, index, all, dry_run, used_ids, images, length, ret, err);
        image_list_free(images, length);
        return r;
}
