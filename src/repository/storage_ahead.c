#include "repository/storage_ahead.h"

#include "base/mem.h"

#define WINDOW_BYTES ((size_t)4 << 20)

typedef struct AheadStorage {
        Storage storage;
        Storage *inner;
        char *key; /* of the object that the window is a part of; NULL: none yet */
        uint64_t offset;
        size_t length; /* less than the window: the object ends there */
        char *window;
} AheadStorage;

static void ahead_free(Storage *storage)
{
        AheadStorage *ahead = (AheadStorage *)storage;

        free(ahead->key);
        free(ahead->window);
        free(ahead);
}

static bool is_in_window(const AheadStorage *ahead, const char *key, uint64_t offset, size_t size)
{
        return ahead->key && streq(ahead->key, key) && offset >= ahead->offset &&
               offset <= ahead->offset + ahead->length &&
               (offset + size <= ahead->offset + ahead->length || ahead->length < WINDOW_BYTES);
}

static int ahead_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
                      Error **err)
{
        AheadStorage *ahead = (AheadStorage *)storage;
        int r;

        if (size > WINDOW_BYTES)
                return ahead->inner->operations->read(ahead->inner, key, offset, buffer, size, ret_size, err);
        if (!is_in_window(ahead, key, offset, size)) {
                free_and_replace(&ahead->key, NULL);
                r = ahead->inner->operations->read(ahead->inner, key, offset, ahead->window, WINDOW_BYTES,
                                                   &ahead->length, err);
                if (r < 0)
                        return r;
                ahead->key = xstrdup(key);
                ahead->offset = offset;
        }
        *ret_size = MIN(size, ahead->length - (size_t)(offset - ahead->offset));
        memcpy(buffer, ahead->window + (offset - ahead->offset), *ret_size);
        return 0;
}

static int ahead_list(Storage *storage, const char *folder, StorageList *ret, Error **err)
{
        Storage *inner = ((AheadStorage *)storage)->inner;

        return inner->operations->list(inner, folder, ret, err);
}

static const StorageOperations ahead_operations = {
        .name = "ahead",
        .free = ahead_free,
        .read = ahead_read,
        .list = ahead_list,
};

Storage *storage_ahead_create(Storage *inner)
{
        AheadStorage *ahead = xnew(AheadStorage);

        *ahead = (AheadStorage){ .storage = { &ahead_operations }, .inner = inner, .window = xmalloc(WINDOW_BYTES) };
        return &ahead->storage;
}
