#include "repository/storage.h"

#include "base/mem.h"
#include "state/document.h"

void storage_list_done(StorageList *list)
{
        VECTOR_FOREACH(entry, &list->entries)
                free(entry->key);
        vector_done(&list->entries);
}

static int compare_entries(const void *a, const void *b)
{
        return strcmp(((const StorageEntry *)a)->key, ((const StorageEntry *)b)->key);
}

void storage_list_sort(StorageList *list)
{
        if (list->entries.length)
                qsort(list->entries.items, list->entries.length, sizeof(StorageEntry), compare_entries);
}

int storage_put(Storage *storage, const char *key, const void *data, size_t size, Error **err)
{
        StorageWriter *writer = NULL;
        int r = storage->operations->write_begin(storage, key, &writer, err);

        if (r < 0)
                return r;
        r = storage->operations->write_add(writer, data, size, err);
        if (r < 0) {
                storage->operations->write_abort(writer);
                return r;
        }
        return storage->operations->write_commit(writer, err);
}

int storage_get(Storage *storage, const char *key, size_t limit_bytes, Strbuf *ret, Error **err)
{
        for (;;) {
                size_t wanted = MAX(ret->length, (size_t)65536), got;
                int r;

                strbuf_reserve(ret, wanted + 1);
                r = storage->operations->read(storage, key, ret->length, ret->data + ret->length, wanted, &got, err);
                if (r < 0)
                        return r;
                ret->length += got;
                ret->data[ret->length] = '\0';
                if (ret->length > limit_bytes)
                        return error_set(err, ERROR_INVALID, "\"%s\" is larger than %zu bytes", key, limit_bytes);
                if (got < wanted)
                        return 0;
        }
}

bool storage_has(Storage *storage, const char *key)
{
        char bytes[2]; /* a range of one byte at the start is misread by some servers */
        size_t got;

        return storage->operations->read(storage, key, 0, bytes, sizeof(bytes), &got, NULL) == 0;
}

int storage_put_document(Storage *storage, const char *key, int format, json_t *document, Error **err)
{
        _cleanup_free_ char *text = NULL, *line = NULL;

        json_object_set_new(document, "format", json_integer(format));
        text = json_dumps(document, JSON_INDENT(2));
        line = xasprintf("%s\n", text);
        return storage_put(storage, key, line, strlen(line), err);
}

int storage_get_document(Storage *storage, const char *key, int known_format, size_t limit_bytes, json_t **ret,
                         Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *document = NULL;
        int r = storage_get(storage, key, limit_bytes, &text, err);

        if (r < 0)
                return r;
        document = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        if (!json_is_object(document))
                return error_set(err, ERROR_CORRUPT, "\"%s\" is damaged: it is not JSON", key);
        if (json_get_int(document, "format", 0) > known_format)
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\" was written by a newer Berth", key);
        *ret = TAKE_PTR(document);
        return 0;
}
