#include "repository/storage_sealed.h"

#include <endian.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/sha256.h"

#define MAGIC        "berth-sealed 1\n\n"
#define MAGIC_BYTES  16
#define SALT_BYTES   32
#define OBJECT_LABEL "berth object"
#define STORED_FRAME (SEALED_FRAME_BYTES + SEALED_TAG_BYTES)
#define HEADERS_KEPT 16

/* What is needed to open an object: kept for the last few, since they are read in pieces. */
typedef struct OpenObject {
        char *name;
        unsigned char salt[SALT_BYTES], key[BACKUP_KEY_SIZE];
} OpenObject;

typedef struct SealedStorage {
        Storage storage;
        Storage *inner;
        const BackupKey *key;
        pthread_mutex_t lock;
        OpenObject kept[HEADERS_KEPT];
        unsigned next; /* of kept, to be replaced */
} SealedStorage;

struct StorageWriter {
        SealedStorage *storage;
        StorageWriter *inner;
        unsigned char key[BACKUP_KEY_SIZE];
        uint64_t frame;
        Strbuf content; /* less than a frame */
        unsigned char *sealed;
};

/* ---- frames ---- */

static void frame_nonce(uint64_t frame, unsigned char ret[12])
{
        uint64_t number = htobe64(frame);

        memset(ret, 0, 4);
        memcpy(ret + 4, &number, sizeof(number));
}

/* The key of one object: salt and name go into it, so that neither can be exchanged. */
static void object_key(const BackupKey *key, const unsigned char salt[SALT_BYTES], const char *name,
                       unsigned char ret[BACKUP_KEY_SIZE])
{
        _cleanup_strbuf_ Strbuf data = STRBUF_INIT;

        strbuf_adds(&data, OBJECT_LABEL);
        strbuf_add(&data, salt, SALT_BYTES);
        strbuf_adds(&data, name);
        backup_key_derive(key, strbuf_text(&data), data.length, ret);
}

/* ret gets size + SEALED_TAG_BYTES. */
static void seal_frame(const unsigned char *key, uint64_t frame, const void *content, size_t size, unsigned char *ret)
{
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        unsigned char nonce[12];
        int n = 0, end = 0;

        frame_nonce(frame, nonce);
        if (!context || EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
            EVP_EncryptUpdate(context, ret, &n, content, (int)size) != 1 ||
            EVP_EncryptFinal_ex(context, ret + n, &end) != 1 ||
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, SEALED_TAG_BYTES, ret + size) != 1)
                abort(); /* out of memory, or a libcrypto without AES */
        EVP_CIPHER_CTX_free(context);
}

/* In place: the content is at sealed afterwards. False where it is not what was sealed. */
static bool open_frame(const unsigned char *key, uint64_t frame, unsigned char *sealed, size_t size)
{
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        size_t content = size - SEALED_TAG_BYTES;
        unsigned char nonce[12];
        int n = 0, end = 0;
        bool good;

        frame_nonce(frame, nonce);
        if (!context || EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) != 1)
                abort();
        good = EVP_DecryptUpdate(context, sealed, &n, sealed, (int)content) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, SEALED_TAG_BYTES, sealed + content) == 1 &&
               EVP_DecryptFinal_ex(context, sealed + n, &end) == 1;
        EVP_CIPHER_CTX_free(context);
        return good;
}

/* ---- writing ---- */

static void writer_free(StorageWriter *writer)
{
        erase_memory(writer->key, sizeof(writer->key));
        strbuf_done(&writer->content);
        free(writer->sealed);
        free(writer);
}

static const StorageOperations *inner_of(const SealedStorage *sealed)
{
        return sealed->inner->operations;
}

static int sealed_write_begin(Storage *storage, const char *key, StorageWriter **ret, Error **err)
{
        SealedStorage *sealed = (SealedStorage *)storage;
        unsigned char header[SEALED_HEADER_BYTES], *salt = header + MAGIC_BYTES + BACKUP_KEY_ID_SIZE;
        StorageWriter *inner = NULL;
        int r = inner_of(sealed)->write_begin(sealed->inner, key, &inner, err);

        if (r < 0)
                return r;
        memcpy(header, MAGIC, MAGIC_BYTES);
        memcpy(header + MAGIC_BYTES, sealed->key->id, BACKUP_KEY_ID_SIZE);
        if (getrandom(salt, SALT_BYTES, 0) != SALT_BYTES)
                abort();
        r = inner_of(sealed)->write_add(inner, header, sizeof(header), err);
        if (r < 0) {
                inner_of(sealed)->write_abort(inner);
                return r;
        }
        *ret = xnew(StorageWriter);
        **ret = (StorageWriter){ .storage = sealed, .inner = inner, .sealed = xmalloc(STORED_FRAME) };
        object_key(sealed->key, salt, key, (*ret)->key);
        return 0;
}

static int write_frame(StorageWriter *writer, const void *content, size_t size, Error **err)
{
        seal_frame(writer->key, writer->frame++, content, size, writer->sealed);
        return inner_of(writer->storage)->write_add(writer->inner, writer->sealed, size + SEALED_TAG_BYTES, err);
}

static int sealed_write_add(StorageWriter *writer, const void *data, size_t size, Error **err)
{
        const char *from = data;

        while (size) {
                size_t piece = MIN(size, SEALED_FRAME_BYTES - writer->content.length);
                int r;

                strbuf_add(&writer->content, from, piece);
                from += piece;
                size -= piece;
                if (writer->content.length < SEALED_FRAME_BYTES)
                        return 0;
                r = write_frame(writer, strbuf_text(&writer->content), SEALED_FRAME_BYTES, err);
                strbuf_truncate(&writer->content, 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void sealed_write_abort(StorageWriter *writer)
{
        inner_of(writer->storage)->write_abort(writer->inner);
        writer_free(writer);
}

static int sealed_write_commit(StorageWriter *writer, Error **err)
{
        int r = write_frame(writer, strbuf_text(&writer->content), writer->content.length, err);

        if (r < 0) {
                sealed_write_abort(writer);
                return r;
        }
        r = inner_of(writer->storage)->write_commit(writer->inner, err);
        writer_free(writer);
        return r;
}

/* ---- reading ---- */

static int wrong_key(const SealedStorage *sealed, const char *key, const unsigned char *found, Error **err)
{
        _cleanup_free_ char *digits = hex_encode(found, BACKUP_KEY_ID_SIZE);
        int r = error_set(err, ERROR_DENIED, "\"%s\" was encrypted with the key %s, this is the key %s (\"%s\")", key,
                          digits, sealed->key->id_text, sealed->key->name);

        return error_hint(err, r, "It is not damaged: give the key file whose id is %s.", digits);
}

static void forget_header(SealedStorage *sealed, const char *name)
{
        pthread_mutex_lock(&sealed->lock);
        for (unsigned i = 0; i < HEADERS_KEPT; i++)
                if (streq_ptr(sealed->kept[i].name, name))
                        free_and_replace(&sealed->kept[i].name, NULL);
        pthread_mutex_unlock(&sealed->lock);
}

static bool find_kept(SealedStorage *sealed, const char *name, OpenObject *ret)
{
        bool found = false;

        pthread_mutex_lock(&sealed->lock);
        for (unsigned i = 0; i < HEADERS_KEPT && !found; i++)
                if (streq_ptr(sealed->kept[i].name, name)) {
                        *ret = sealed->kept[i];
                        found = true;
                }
        pthread_mutex_unlock(&sealed->lock);
        ret->name = NULL;
        return found;
}

static void keep_header(SealedStorage *sealed, const char *name, const OpenObject *object)
{
        OpenObject *place;

        pthread_mutex_lock(&sealed->lock);
        place = &sealed->kept[sealed->next++ % HEADERS_KEPT];
        free(place->name);
        *place = *object;
        place->name = xstrdup(name);
        pthread_mutex_unlock(&sealed->lock);
}

static int read_header(SealedStorage *sealed, const char *key, OpenObject *ret, Error **err)
{
        unsigned char header[SEALED_HEADER_BYTES];
        const unsigned char *id = header + MAGIC_BYTES;
        size_t got;
        int r = inner_of(sealed)->read(sealed->inner, key, 0, header, sizeof(header), &got, err);

        if (r < 0)
                return r;
        if (got < sizeof(header) || memcmp(header, MAGIC, MAGIC_BYTES) != 0)
                return error_set(err, ERROR_CORRUPT, "\"%s\" is damaged, or was never encrypted", key);
        if (memcmp(id, sealed->key->id, BACKUP_KEY_ID_SIZE) != 0)
                return wrong_key(sealed, key, id, err);
        memcpy(ret->salt, id + BACKUP_KEY_ID_SIZE, SALT_BYTES);
        object_key(sealed->key, ret->salt, key, ret->key);
        keep_header(sealed, key, ret);
        return 0;
}

static int damaged(Error **err, const char *key, uint64_t frame, const char *how)
{
        return error_set(err, ERROR_CORRUPT, "\"%s\" is damaged at %llu: %s", key,
                         (unsigned long long)(frame * SEALED_FRAME_BYTES), how);
}

/* Opens the frames that cover the bytes from offset on. stored, of n bytes, begins with a frame's first byte; where it holds
 * less than was asked for, it ends with the object's last frame, which is shorter than the others. */
static int open_frames(const OpenObject *object, const char *key, uint64_t frame, unsigned char *stored, size_t n,
                       bool at_end, uint64_t offset, void *buffer, size_t size, size_t *ret_size, Error **err)
{
        size_t skip = (size_t)(offset - frame * SEALED_FRAME_BYTES), done = 0;

        if (at_end && n % STORED_FRAME < SEALED_TAG_BYTES)
                return damaged(err, key, frame + n / STORED_FRAME, "it is cut off");
        for (size_t at = 0; at < n && done < size; at += STORED_FRAME, frame++) {
                size_t stored_size = MIN(n - at, (size_t)STORED_FRAME), content = stored_size - SEALED_TAG_BYTES, piece;

                if (!open_frame(object->key, frame, stored + at, stored_size))
                        return damaged(err, key, frame, "it is not what was encrypted");
                if (content <= skip)
                        break;
                piece = MIN(content - skip, size - done);
                memcpy((char *)buffer + done, stored + at + skip, piece);
                done += piece;
                skip = 0;
        }
        *ret_size = done;
        return 0;
}

static int read_frames(SealedStorage *sealed, const OpenObject *object, const char *key, uint64_t offset, void *buffer,
                       size_t size, size_t *ret_size, Error **err)
{
        uint64_t first = offset / SEALED_FRAME_BYTES, last = (offset + MAX(size, (size_t)1) - 1) / SEALED_FRAME_BYTES;
        size_t wanted = (size_t)(last - first + 1) * STORED_FRAME, got = 0;
        _cleanup_free_ unsigned char *stored = xmalloc(wanted);
        int r = inner_of(sealed)->read(sealed->inner, key, SEALED_HEADER_BYTES + first * STORED_FRAME, stored, wanted,
                                       &got, err);

        return r < 0 ? r
                     : open_frames(object, key, first, stored, got, got < wanted, offset, buffer, size, ret_size, err);
}

static int sealed_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
                       Error **err)
{
        SealedStorage *sealed = (SealedStorage *)storage;
        OpenObject object;
        int r;

        /* A kept header may be that of an object that was replaced since. */
        if (find_kept(sealed, key, &object)) {
                r = read_frames(sealed, &object, key, offset, buffer, size, ret_size, NULL);
                if (r != -ERROR_CORRUPT)
                        return r < 0 ? read_frames(sealed, &object, key, offset, buffer, size, ret_size, err) : 0;
                forget_header(sealed, key);
        }
        r = read_header(sealed, key, &object, err);
        return r < 0 ? r : read_frames(sealed, &object, key, offset, buffer, size, ret_size, err);
}

/* ---- the rest ---- */

static uint64_t content_size(uint64_t stored)
{
        uint64_t body = stored > SEALED_HEADER_BYTES ? stored - SEALED_HEADER_BYTES : 0;
        uint64_t rest = body % STORED_FRAME;

        return body / STORED_FRAME * SEALED_FRAME_BYTES + (rest > SEALED_TAG_BYTES ? rest - SEALED_TAG_BYTES : 0);
}

static int sealed_list(Storage *storage, const char *folder, StorageList *ret, Error **err)
{
        SealedStorage *sealed = (SealedStorage *)storage;
        int r = inner_of(sealed)->list(sealed->inner, folder, ret, err);

        if (r == 0)
                VECTOR_FOREACH(entry, &ret->entries)
                        entry->size_bytes = content_size(entry->size_bytes);
        return r;
}

static int sealed_remove(Storage *storage, const char *key, Error **err)
{
        SealedStorage *sealed = (SealedStorage *)storage;

        return inner_of(sealed)->remove(sealed->inner, key, err);
}

static int sealed_sweep(Storage *storage, int64_t before_ns, Error **err)
{
        SealedStorage *sealed = (SealedStorage *)storage;

        return inner_of(sealed)->sweep(sealed->inner, before_ns, err);
}

static void sealed_free(Storage *storage)
{
        SealedStorage *sealed = (SealedStorage *)storage;

        for (unsigned i = 0; i < HEADERS_KEPT; i++)
                free(sealed->kept[i].name);
        erase_memory(sealed->kept, sizeof(sealed->kept));
        storage_free(sealed->inner);
        pthread_mutex_destroy(&sealed->lock);
        free(sealed);
}

static const StorageOperations sealed_operations = {
        .name = "sealed",
        .free = sealed_free,
        .write_begin = sealed_write_begin,
        .write_add = sealed_write_add,
        .write_commit = sealed_write_commit,
        .write_abort = sealed_write_abort,
        .read = sealed_read,
        .list = sealed_list,
        .remove = sealed_remove,
        .sweep = sealed_sweep,
};

bool sealed_by(const char *head, size_t size, char ret_key[2 * BACKUP_KEY_ID_SIZE + 1])
{
        _cleanup_free_ char *digits = NULL;

        if (size < SEALED_HEADER_BYTES || memcmp(head, MAGIC, MAGIC_BYTES) != 0)
                return false;
        digits = hex_encode((const unsigned char *)head + MAGIC_BYTES, BACKUP_KEY_ID_SIZE);
        memcpy(ret_key, digits, 2 * BACKUP_KEY_ID_SIZE + 1);
        return true;
}

Storage *storage_sealed_create(Storage *inner, const BackupKey *key)
{
        SealedStorage *sealed = xnew(SealedStorage);

        *sealed = (SealedStorage){ .storage = { &sealed_operations }, .inner = inner, .key = key };
        pthread_mutex_init(&sealed->lock, NULL);
        return &sealed->storage;
}
