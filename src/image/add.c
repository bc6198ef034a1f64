#include "image/add.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "image/config.h"
#include "image/index.h"
#include "image/reference.h"
#include "image/unpack.h"
#include "state/document.h"

#define THREADS_MAX 4

void new_image_free(NewImage *image)
{
        if (!image)
                return;
        strbuf_done(&image->manifest);
        strbuf_done(&image->config);
        VECTOR_FOREACH(layer, &image->layers) {
                free(layer->path);
                free(layer->digest);
                free(layer->unpacked);
        }
        vector_done(&image->layers);
        strv_free(image->names);
        strv_free(image->digests);
        free(image);
}

/* ---- unpacking, several layers at once ---- */

typedef struct Work {
        const Staging *staging;
        const NewImage *image;
        const ImageProgress *progress;
        char *const *diff_ids;
        bool *wanted; /* layers that are to be unpacked */
        UnpackResult *results;
        bool failed;
        pthread_mutex_t lock;
        Error *error; /* the first one */
} Work;

static bool work_cancelled(void *context)
{
        Work *work = context;

        return __atomic_load_n(&work->failed, __ATOMIC_RELAXED) || progress_cancelled(work->progress);
}

static char *unpacked_path(const Staging *staging, const char *diff_id)
{
        return xasprintf("%s/layer-%s", staging->path, digest_hex(diff_id));
}

static int check_digests(const NewLayer *layer, const char *diff_id, const UnpackResult *result, Error **err)
{
        if (layer->digest && !streq(layer->digest, result->digest))
                return error_set(err, ERROR_CORRUPT, "the blob has digest %s", result->digest);
        if (!streq(diff_id, result->diff_id))
                return error_set(err, ERROR_CORRUPT, "the unpacked layer has diff id %s, the configuration names %s",
                                 result->diff_id, diff_id);
        return 0;
}

static int unpack_layer(Work *work, size_t i, Error **err)
{
        const NewLayer *layer = &work->image->layers.items[i];
        _cleanup_free_ char *path = unpacked_path(work->staging, work->diff_ids[i]);
        _cleanup_close_ int blob = -1, folder = -1;
        UnpackOptions options = { .cancelled = work_cancelled, .context = work };
        struct stat status;
        int r;

        if (layer->unpacked) {
                work->results[i] = *layer->unpacked;
                return 0;
        }
        blob = open_in_root(work->image->source_fd, layer->path, O_RDONLY);
        if (blob < 0 || fstat(blob, &status) < 0)
                return error_set_errno(err, errno, "open \"%.200s\"", layer->path);
        /* It was left out of the transfer because the store had it then. */
        if (status.st_size == 0 && layer->digest)
                return error_hint(err, error_set(err, ERROR_UNAVAILABLE, "it was removed from the store meanwhile"),
                                  "Try again.");
        if (mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", path);
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        posix_fadvise(blob, 0, 0, POSIX_FADV_SEQUENTIAL);
        r = layer_unpack(blob, folder, &options, &work->results[i], err);
        return r < 0 ? r : check_digests(layer, work->diff_ids[i], &work->results[i], err);
}

static void unpack_step(void *context, size_t i)
{
        Work *work = context;
        Error *error = NULL;

        if (!work->wanted[i] || work_cancelled(work) || unpack_layer(work, i, &error) == 0)
                return;
        error_prefix(&error, 0, "layer %s", work->image->layers.items[i].digest ?: work->diff_ids[i]);
        __atomic_store_n(&work->failed, true, __ATOMIC_RELAXED);
        pthread_mutex_lock(&work->lock);
        error_move(&work->error, &error, 0);
        pthread_mutex_unlock(&work->lock);
}

static int unpack_all(Work *work, Error **err)
{
        size_t most = (size_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L), wanted = 0;

        for (size_t i = 0; i < work->image->layers.length; i++)
                wanted += work->wanted[i];
        most = MIN(most, (size_t)THREADS_MAX);
        parallel_run(work->image->layers.length, MIN(most, wanted), unpack_step, work);
        if (work->error)
                return error_move(err, &work->error, -(int)work->error->kind);
        if (progress_cancelled(work->progress))
                return error_set(err, ERROR_CANCELLED, "cancelled");
        return 0;
}

/* ---- into the store ---- */

static int move_layers(const Layout *layout, const Work *work, Error **err)
{
        _cleanup_free_ char *layers = layout_data(layout, "images/layers");

        /* One pass for everything that was unpacked: far cheaper than a sync for each file. */
        if (syncfs(work->staging->fd) < 0)
                return error_set_errno(err, errno, "sync \"%s\"", work->staging->path);
        for (size_t i = 0; i < work->image->layers.length; i++) {
                _cleanup_free_ char *from = unpacked_path(work->staging, work->diff_ids[i]);
                _cleanup_free_ char *to = store_layer_path(layout, work->diff_ids[i]);

                if (work->wanted[i] && rename(from, to) < 0)
                        return error_set_errno(err, errno, "rename to \"%s\"", to);
        }
        return fs_sync_directory(AT_FDCWD, layers, err);
}

static int write_blob(const Layout *layout, const Strbuf *text, char **ret_digest, Error **err)
{
        _cleanup_free_ char *hex = sha256_hex(strbuf_text(text), text->length);
        _cleanup_free_ char *digest = xasprintf("sha256:%s", hex), *path = store_blob_path(layout, digest);
        int r = fs_write_file(AT_FDCWD, path, strbuf_text(text), text->length, 0644, err);

        if (r == 0)
                *ret_digest = TAKE_PTR(digest);
        return r;
}

static json_t *member_object(json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);

        if (!json_is_object(value)) {
                value = json_object();
                json_object_set_new(object, key, value);
        }
        return value;
}

/* "layers" of the index: sizes, and from which blob a layer came, so that it is not fetched again. */
static uint64_t note_layers(json_t *index, const Work *work)
{
        json_t *layers = member_object(index, "layers");
        uint64_t total = 0;

        for (size_t i = 0; i < work->image->layers.length; i++) {
                json_t *entry = member_object(layers, work->diff_ids[i]);

                if (work->wanted[i])
                        json_object_set_new(entry, "size_bytes", json_integer((json_int_t)work->results[i].size_bytes));
                json_set_string(entry, "blob", work->image->layers.items[i].digest);
                total += (uint64_t)json_get_int(entry, "size_bytes", 0);
        }
        return total;
}

static void note_digests(json_t *entry, char *const *digests)
{
        char **known = json_get_strv(entry, "digests");

        STRV_FOREACH(digest, digests)
                if (!strv_contains(known, *digest))
                        strv_add(&known, *digest);
        json_object_set_new(entry, "digests", json_from_strv(known));
        strv_free(known);
}

static int note_image(const Layout *layout, const Work *work, const char *id, const char *manifest, Error **err)
{
        _cleanup_json_ json_t *index = NULL;
        _cleanup_strv_ char **layers = NULL;
        _cleanup_free_ char *libc = NULL;
        json_t *entry, *names;
        int r = store_index_load(layout, &index, err);

        if (r < 0)
                return r;
        for (size_t i = work->image->layers.length; i > 0; i--)
                strv_take(&layers, store_layer_path(layout, work->diff_ids[i - 1]));
        libc = layers_find_collations(layers);
        entry = member_object(member_object(index, "images"), id);
        json_set_string(entry, "manifest", manifest);
        json_set_string(entry, "libc", libc);
        json_object_set_new(entry, "size_bytes", json_integer((json_int_t)note_layers(index, work)));
        json_object_set_new(entry, "stored_ns", json_integer(clock_realtime_ns()));
        note_digests(entry, work->image->digests);
        names = member_object(index, "names");
        STRV_FOREACH(name, work->image->names)
                json_object_set_new(names, *name, json_string(id));
        return store_index_save(layout, index, err);
}

static int add_locked(const Layout *layout, Work *work, char **ret_id, Error **err)
{
        _cleanup_free_ char *id = NULL, *manifest = NULL;
        int r;

        for (size_t i = 0; i < work->image->layers.length; i++) {
                _cleanup_free_ char *path = store_layer_path(layout, work->diff_ids[i]);

                work->wanted[i] = !fs_is_directory(path);
                /* A layer may occur twice in one image (the empty one often does). */
                for (size_t j = 0; j < i; j++)
                        if (streq(work->diff_ids[i], work->diff_ids[j]))
                                work->wanted[i] = false;
        }
        r = unpack_all(work, err);
        if (r == 0)
                r = move_layers(layout, work, err);
        if (r == 0)
                r = write_blob(layout, &work->image->config, &id, err);
        if (r == 0 && work->image->manifest.length > 0)
                r = write_blob(layout, &work->image->manifest, &manifest, err);
        if (r == 0)
                r = note_image(layout, work, id, manifest, err);
        if (r == 0)
                *ret_id = TAKE_PTR(id);
        return r;
}

static int read_diff_ids(const NewImage *image, char ***ret, Error **err)
{
        _cleanup_json_ json_t *config = json_loadb(strbuf_text(&image->config), image->config.length, 0, NULL);
        int r;

        if (!json_is_object(config))
                return error_set(err, ERROR_INVALID, "the image's configuration is not a JSON object");
        r = image_config_diff_ids(config, ret, err);
        if (r < 0)
                return r;
        if (strv_length(*ret) != image->layers.length)
                return error_set(err, ERROR_INVALID, "the image's configuration names %zu layers, its manifest %zu",
                                 strv_length(*ret), image->layers.length);
        return 0;
}

int store_add_image(const Layout *layout, const Staging *staging, const NewImage *image, const ImageProgress *progress,
                    char **ret_id, Error **err)
{
        _cleanup_strv_ char **diff_ids = NULL;
        _cleanup_free_ bool *wanted = xnew_array(bool, image->layers.length + 1);
        _cleanup_free_ UnpackResult *results = xnew_array(UnpackResult, image->layers.length + 1);
        _cleanup_close_ int lock = -1;
        Work work = {
                .staging = staging,
                .image = image,
                .progress = progress,
                .wanted = wanted,
                .results = results,
                .lock = PTHREAD_MUTEX_INITIALIZER,
        };
        int r = read_diff_ids(image, &diff_ids, err);

        if (r == 0)
                r = store_lock(layout, &lock, err);
        if (r < 0)
                return r;
        work.diff_ids = diff_ids;
        progress_status(progress, "unpacking");
        return add_locked(layout, &work, ret_id, err);
}
