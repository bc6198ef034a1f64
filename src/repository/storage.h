/* Where a repository's objects lie: a folder, later an object store or another machine. Objects are immutable once written
 * (but for a few small ones that are replaced whole), named by keys such as "packs/ab/….pack", and appear complete and
 * durable or not at all. All calls block and may be made from several threads at once; a writer belongs to one thread at
 * a time. Errors: ERROR_NOT_FOUND, ERROR_NO_SPACE, ERROR_DENIED (credentials too), ERROR_UNAVAILABLE (may be tried again),
 * ERROR_IO. */
#ifndef BERTH_REPOSITORY_STORAGE_H
#define BERTH_REPOSITORY_STORAGE_H

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "base/vector.h"

typedef struct Storage Storage;
typedef struct StorageWriter StorageWriter;

typedef struct StorageEntry {
        char *key;
        uint64_t size_bytes;
        int64_t modified_ns; /* realtime */
} StorageEntry;

typedef struct StorageList {
        VECTOR(StorageEntry) entries; /* sorted by key */
} StorageList;

void storage_list_done(StorageList *list);
void storage_list_sort(StorageList *list);
#define _cleanup_storage_list_ _cleanup_(storage_list_done)

typedef struct StorageOperations {
        const char *name; /* "folder" */
        void (*free)(Storage *storage);
        /* Begins an object; nothing is seen under key before write_commit. *ret is ended by commit or abort. */
        int (*write_begin)(Storage *storage, const char *key, StorageWriter **ret, Error **err);
        int (*write_add)(StorageWriter *writer, const void *data, size_t size, Error **err);
        /* Durable and visible on return; replaces an older object of that key. Frees the writer, also on failure. */
        int (*write_commit)(StorageWriter *writer, Error **err);
        void (*write_abort)(StorageWriter *writer);
        /* Up to size bytes from offset; *ret_size is less only at the object's end. */
        int (*read)(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
                    Error **err);
        /* All objects below a folder key ("wal", "packs/ab"; "": all). An absent folder is an empty list. */
        int (*list)(Storage *storage, const char *folder, StorageList *ret, Error **err);
        /* Absent is fine. */
        int (*remove)(Storage *storage, const char *key, Error **err);
        /* Removes what writers that were killed before before_ns (realtime) left behind. */
        int (*sweep)(Storage *storage, int64_t before_ns, Error **err);
} StorageOperations;

struct Storage {
        const StorageOperations *operations;
        /* a driver's own members follow */
};

static inline void storage_free(Storage *storage)
{
        if (storage)
                storage->operations->free(storage);
}
DEFINE_CLEANUP(Storage, storage_free);

/* Whole objects, for small ones. limit_bytes: ERROR_INVALID past it. */
int storage_put(Storage *storage, const char *key, const void *data, size_t size, Error **err);
int storage_get(Storage *storage, const char *key, size_t limit_bytes, Strbuf *ret, Error **err);
bool storage_has(Storage *storage, const char *key);
/* JSON objects with a format number, as state/document.h has them. document gets its number. */
int storage_put_document(Storage *storage, const char *key, int format, json_t *document, Error **err);
int storage_get_document(Storage *storage, const char *key, int known_format, size_t limit_bytes, json_t **ret,
                         Error **err);

/* A folder of this machine (or one that is mounted from another). Made with mode 0700 where it is absent. */
int storage_folder_create(const char *path, Storage **ret, Error **err);

#endif
