#include "repository/rescue.h"

#include <pthread.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "repository/pack.h"
#include "repository/storage_ahead.h"

struct Rescue {
        RescueOpen open;
        void *context;
        const WorkProgress *progress;
        pthread_mutex_t lock; /* of all below */
        bool opened;
        Repository *copy; /* borrowed; NULL: it cannot be asked */
        Storage *packs;   /* that reads ahead; NULL: the index has not been loaded yet */
        ChunkIndex index;
        PackScratch *scratch;
        char **objects;
};

Rescue *rescue_create(RescueOpen open, void *context, const WorkProgress *progress)
{
        Rescue *rescue = xnew(Rescue);

        *rescue = (Rescue){ .open = open, .context = context, .progress = progress };
        pthread_mutex_init(&rescue->lock, NULL);
        return rescue;
}

void rescue_free(Rescue *rescue)
{
        if (!rescue)
                return;
        storage_free(rescue->packs);
        chunk_index_done(&rescue->index);
        if (rescue->scratch)
                pack_scratch_free(rescue->scratch);
        strv_free(rescue->objects);
        pthread_mutex_destroy(&rescue->lock);
        free(rescue);
}

char *const *rescue_objects(const Rescue *rescue)
{
        return rescue ? rescue->objects : NULL;
}

static bool is_damage(const Error *failure)
{
        return failure->kind == ERROR_CORRUPT || failure->kind == ERROR_NOT_FOUND || failure->kind == ERROR_INVALID;
}

static void tell_failure(const Rescue *rescue, const Error *error)
{
        _cleanup_free_ char *text = xasprintf("the copy elsewhere cannot help: %s", error->message);

        progress_warning(rescue->progress, text);
}

Repository *rescue_begin(Rescue *rescue, const Error *failure)
{
        _cleanup_error_ Error *error = NULL;

        if (!rescue || !is_damage(failure))
                return NULL;
        pthread_mutex_lock(&rescue->lock);
        if (!rescue->opened && rescue->open(rescue->context, &rescue->copy, &error) < 0)
                tell_failure(rescue, error);
        rescue->opened = true;
        if (!rescue->copy)
                pthread_mutex_unlock(&rescue->lock);
        return rescue->copy;
}

void rescue_end(Rescue *rescue, const char *object)
{
        if (object && !strv_contains(rescue->objects, object)) {
                _cleanup_free_ char *text =
                        xasprintf("%s is damaged here, and was taken from the copy elsewhere", object);

                strv_add(&rescue->objects, object);
                progress_warning(rescue->progress, text);
        }
        pthread_mutex_unlock(&rescue->lock);
}

/* ---- chunks ---- */

static bool load_index(Rescue *rescue)
{
        _cleanup_error_ Error *error = NULL;

        if (rescue->packs)
                return true;
        if (chunk_index_load(&rescue->index, rescue->copy->storage, &error) < 0) {
                tell_failure(rescue, error);
                rescue->copy = NULL;
                return false;
        }
        rescue->packs = storage_ahead_create(rescue->copy->storage);
        rescue->scratch = pack_scratch_create();
        return true;
}

/* What an index says of a chunk may be anything. */
static bool read_chunk(Rescue *rescue, const ChunkId *id, void *buffer, size_t size)
{
        const ChunkPlace *place = chunk_index_find(&rescue->index, id);

        return place && place->raw_bytes == size && place->stored_bytes <= ZSTD_compressBound(size) &&
               pack_read_chunk(rescue->packs, &rescue->index, id, rescue->scratch, buffer, NULL) == 0;
}

/* "packs/<id>.pack is damaged at 4711: …": a pack has many chunks, and is named once. */
static char *object_of(const Error *failure)
{
        const char *start = strstr(failure->message, "packs/"), *end = start ? strstr(start, ".pack") : NULL;

        return end ? xstrndup(start, (size_t)(end - start) + strlen(".pack")) : xstrdup("packs");
}

bool rescue_chunk(Rescue *rescue, const Error *failure, const ChunkId *id, void *buffer, size_t size)
{
        _cleanup_free_ char *object = NULL;
        bool good;

        if (!rescue_begin(rescue, failure))
                return false;
        good = load_index(rescue) && read_chunk(rescue, id, buffer, size);
        object = good ? object_of(failure) : NULL;
        rescue_end(rescue, object);
        return good;
}
