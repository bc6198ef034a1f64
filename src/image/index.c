#include "image/index.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/config.h"
#include "image/reference.h"
#include "image/store.h"
#include "state/document.h"

#define INDEX_FORMAT 1
#define CONFIG_LIMIT ((size_t)8 * 1024 * 1024)

char *store_blob_path(const Layout *layout, const char *digest)
{
        return layout_data(layout, "images/blobs/sha256/%s", digest_hex(digest));
}

char *store_layer_path(const Layout *layout, const char *diff_id)
{
        return layout_data(layout, "images/layers/%s", digest_hex(diff_id));
}

char *store_staging_path(const Layout *layout)
{
        return layout_data(layout, "images/staging");
}

int store_prepare(const Layout *layout, Error **err)
{
        static const char *const folders[] = { "images/blobs/sha256", "images/layers", "images/host",
                                               "images/staging" };

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                _cleanup_free_ char *folder = layout_data(layout, "%s", folders[i]);
                int r = fs_make_directories(folder, 0711, err);

                if (r < 0)
                        return error_prefix(err, r, "image store");
        }
        return 0;
}

int store_lock(const Layout *layout, int *ret_fd, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "images/lock");
        int r = store_prepare(layout, err);

        if (r < 0)
                return r;
        r = lock_file(path, -1, ret_fd, err);
        return error_prefix(err, r, "image store");
}

static char *index_path(const Layout *layout)
{
        return layout_data(layout, "images/names.json");
}

static char *copy_path(const Layout *layout)
{
        return layout_data(layout, "images/names.copy.json");
}

int store_index_load(const Layout *layout, json_t **ret, Error **err)
{
        _cleanup_free_ char *path = index_path(layout), *copy = copy_path(layout);
        _cleanup_error_ Error *failure = NULL;
        int r = document_load(path, INDEX_FORMAT, ret, &failure);

        if ((r == -ERROR_CORRUPT || r == -ERROR_NOT_FOUND) && document_load(copy, INDEX_FORMAT, ret, NULL) == 0)
                return 0;
        if (r == -ERROR_NOT_FOUND) {
                *ret = json_pack("{s:{}, s:{}}", "images", "names");
                return 0;
        }
        if (r == -ERROR_CORRUPT)
                error_hint(&failure, r, "Move it aside and pull or load the images again; unpacked layers are kept.");
        return error_move(err, &failure, r);
}

int store_index_save(const Layout *layout, json_t *index, Error **err)
{
        _cleanup_free_ char *path = index_path(layout), *copy = copy_path(layout), *kept = NULL;
        _cleanup_json_ json_t *present = NULL;
        int r = 0;

        if (document_load(path, INDEX_FORMAT, &present, NULL) == -ERROR_CORRUPT)
                r = document_keep_copy(path, &kept, err);
        if (r == 0)
                r = document_save(path, INDEX_FORMAT, index, err);
        return r < 0 ? r : document_save(copy, INDEX_FORMAT, index, err);
}

int image_store_mend(const Layout *layout, char **ret_damaged, Error **err)
{
        _cleanup_free_ char *path = index_path(layout);
        _cleanup_json_ json_t *index = NULL;
        _cleanup_close_ int lock = -1;
        int r = 0;

        *ret_damaged = NULL;
        if (document_load(path, INDEX_FORMAT, &index, NULL) != -ERROR_CORRUPT)
                return 0;
        r = store_lock(layout, &lock, err);
        if (r == 0)
                r = store_index_load(layout, &index, err);
        if (r == 0)
                r = store_index_save(layout, index, err);
        if (r == 0)
                *ret_damaged = TAKE_PTR(path);
        return r;
}

int store_config_load(const Layout *layout, const char *id, json_t **ret, Error **err)
{
        _cleanup_free_ char *path = store_blob_path(layout, id);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        json_error_t failure;
        int r;

        r = fs_read_file(AT_FDCWD, path, CONFIG_LIMIT, &text, err);
        if (r < 0)
                return r;
        *ret = json_loadb(strbuf_text(&text), text.length, 0, &failure);
        if (!json_is_object(*ret)) {
                json_decref(*ret);
                *ret = NULL;
                return error_set_at(err, ERROR_CORRUPT, path, failure.line, failure.column, "%s", failure.text);
        }
        return 0;
}

static char **names_of(const json_t *index, const char *id)
{
        char **names = NULL;
        const char *name;
        json_t *value;

        json_object_foreach(json_object_get(index, "names"), name, value)
                if (streq_ptr(json_string_value(value), id))
                        strv_add(&names, name);
        strv_sort(names);
        return names;
}

/* overlayfs wants the topmost first; a manifest has the bottom first. */
static char **layers_of(const Layout *layout, char *const *diff_ids)
{
        char **layers = NULL;

        for (size_t i = strv_length(diff_ids); i > 0; i--)
                strv_take(&layers, store_layer_path(layout, diff_ids[i - 1]));
        return layers;
}

int store_image_load(const Layout *layout, const json_t *index, const char *id, Image **ret, Error **err)
{
        const json_t *entry = json_object_get(json_object_get(index, "images"), id);
        _cleanup_json_ json_t *blob = NULL;
        _cleanup_strv_ char **diff_ids = NULL;
        _cleanup_image_ Image *image = NULL;
        int r;

        if (!entry)
                return error_set(err, ERROR_NOT_FOUND, "no image %s in the store", id);
        r = store_config_load(layout, id, &blob, err);
        if (r < 0)
                return error_prefix(err, r, "image %s", id);
        r = image_config_diff_ids(blob, &diff_ids, err);
        if (r < 0)
                return r;
        image = xnew(Image);
        image->id = xstrdup(id);
        image->names = names_of(index, id);
        image->digests = json_get_strv(entry, "digests");
        image->source = IMAGE_SOURCE_STORE;
        image->source_line = xasprintf("image %.12s from the store", digest_hex(id));
        image->platform = image_config_platform(blob);
        image->libc = xstrdup(json_get_string(entry, "libc", NULL));
        image->created_ns = image_config_created_ns(blob);
        image->size_bytes = (uint64_t)json_get_int(entry, "size_bytes", 0);
        image->layers = layers_of(layout, diff_ids);
        image_config_read(json_object_get(blob, "config"), &image->config);
        *ret = TAKE_PTR(image);
        return 0;
}
