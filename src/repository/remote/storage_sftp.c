/* A folder of another machine as storage. An object is written to a name that begins with a dot, synced and renamed. */
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "repository/remote/sftp_session.h"

typedef struct SftpStorage {
        Storage storage;
        SftpSession *session;
        char *path;
        size_t root_length; /* of the part of path that has to be there */
} SftpStorage;

struct StorageWriter {
        SftpStorage *storage;
        char *path, *temporary;
        SftpHandle handle;
        uint64_t written;
};

/* ---- writing ---- */

static void writer_free(StorageWriter *writer)
{
        free(writer->path);
        free(writer->temporary);
        free(writer);
}

/* All folders above path, but for those that the user has made. */
static int make_parents(SftpStorage *storage, const char *path, Error **err)
{
        for (const char *slash = strchr(path + storage->root_length + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                _cleanup_free_ char *folder = xstrndup(path, (size_t)(slash - path));
                int r = sftp_make_directory(storage->session, folder, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static char *temporary_name(const char *path)
{
        _cleanup_free_ char *parent = path_dirname(path), *digits = NULL;
        unsigned char random[8];

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                abort();
        digits = hex_encode(random, sizeof(random));
        return xasprintf("%s/.%s.%s.tmp", parent, path_basename(path), digits);
}

static int sftp_write_begin(Storage *storage, const char *key, StorageWriter **ret, Error **err)
{
        SftpStorage *sftp = (SftpStorage *)storage;
        StorageWriter *writer = xnew(StorageWriter);
        const uint32_t flags = SFTP_WRITE | SFTP_CREATE | SFTP_EXCL;
        _cleanup_error_ Error *missing = NULL;
        int r;

        *writer = (StorageWriter){ .storage = sftp, .path = path_join(sftp->path, key) };
        writer->temporary = temporary_name(writer->path);
        r = sftp_open(sftp->session, writer->temporary, flags, &writer->handle, &missing);
        if (r == -ERROR_NOT_FOUND) {
                r = make_parents(sftp, writer->path, err);
                if (r == 0)
                        r = sftp_open(sftp->session, writer->temporary, flags, &writer->handle, err);
        } else if (r < 0) {
                error_move(err, &missing, r);
        }
        if (r < 0) {
                writer_free(writer);
                return r;
        }
        *ret = writer;
        return 0;
}

static int sftp_write_add(StorageWriter *writer, const void *data, size_t size, Error **err)
{
        int r = sftp_write(writer->storage->session, &writer->handle, writer->written, data, size, err);

        writer->written += size;
        return r;
}

static void sftp_write_abort(StorageWriter *writer)
{
        sftp_close(writer->storage->session, &writer->handle, NULL);
        sftp_remove(writer->storage->session, writer->temporary, NULL);
        writer_free(writer);
}

static int sftp_write_commit(StorageWriter *writer, Error **err)
{
        SftpSession *session = writer->storage->session;
        int r = sftp_sync(session, &writer->handle, err);

        if (r < 0) {
                sftp_write_abort(writer);
                return r;
        }
        r = sftp_close(session, &writer->handle, err);
        if (r == 0)
                r = sftp_rename(session, writer->temporary, writer->path, err);
        if (r < 0)
                sftp_remove(session, writer->temporary, NULL);
        writer_free(writer);
        return r;
}

/* ---- reading ---- */

static int sftp_storage_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size,
                             size_t *ret_size, Error **err)
{
        SftpStorage *sftp = (SftpStorage *)storage;
        _cleanup_free_ char *path = path_join(sftp->path, key);
        SftpHandle handle;
        int r = sftp_open(sftp->session, path, SFTP_READ, &handle, err);

        if (r < 0)
                return r;
        r = sftp_read(sftp->session, &handle, offset, buffer, size, ret_size, err);
        if (r != -ERROR_UNAVAILABLE)
                sftp_close(sftp->session, &handle, NULL);
        return r;
}

/* ---- folders ---- */

typedef struct Entry {
        char *name;
        SftpAttributes attributes;
} Entry;

typedef struct Entries {
        VECTOR(Entry) items;
} Entries;

static void entries_done(Entries *entries)
{
        VECTOR_FOREACH(entry, &entries->items)
                free(entry->name);
        vector_done(&entries->items);
}

static void add_entry(void *context, const char *name, const SftpAttributes *attributes)
{
        Entries *entries = context;

        vector_add(&entries->items, (Entry){ xstrdup(name), *attributes });
}

static int load_entries(SftpStorage *sftp, const char *path, Entries *ret, Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        int r = sftp_list(sftp->session, path, add_entry, ret, &failure);

        return r == -ERROR_NOT_FOUND || r == 0 ? 0 : error_move(err, &failure, r);
}

static int list_folder(SftpStorage *sftp, const char *path, const char *key, StorageList *ret, Error **err)
{
        _cleanup_(entries_done) Entries entries = { 0 };
        int r = load_entries(sftp, path, &entries, err);

        VECTOR_FOREACH(entry, &entries.items) {
                _cleanup_free_ char *child = path_join(path, entry->name);
                _cleanup_free_ char *child_key = *key ? path_join(key, entry->name) : xstrdup(entry->name);

                if (*entry->name == '.')
                        continue; /* unfinished work */
                if (S_ISDIR(entry->attributes.mode))
                        r = list_folder(sftp, child, child_key, ret, err);
                else if (S_ISREG(entry->attributes.mode))
                        vector_add(&ret->entries, (StorageEntry){ TAKE_PTR(child_key), entry->attributes.size_bytes,
                                                                  entry->attributes.modified_s * INT64_C(1000000000) });
                if (r < 0)
                        return r;
        }
        return r;
}

static int sftp_storage_list(Storage *storage, const char *folder, StorageList *ret, Error **err)
{
        SftpStorage *sftp = (SftpStorage *)storage;
        _cleanup_free_ char *path = *folder ? path_join(sftp->path, folder) : xstrdup(sftp->path);
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = list_folder(sftp, path, folder, &list, err);

        if (r < 0)
                return r;
        storage_list_sort(&list);
        *ret = list;
        list = (StorageList){ 0 };
        return 0;
}

static int sftp_storage_remove(Storage *storage, const char *key, Error **err)
{
        SftpStorage *sftp = (SftpStorage *)storage;
        _cleanup_free_ char *path = path_join(sftp->path, key);
        _cleanup_error_ Error *failure = NULL;
        int r = sftp_remove(sftp->session, path, &failure);

        return r == -ERROR_NOT_FOUND || r == 0 ? 0 : error_move(err, &failure, r);
}

static int sweep_folder(SftpStorage *sftp, const char *path, int64_t before_ns, Error **err)
{
        _cleanup_(entries_done) Entries entries = { 0 };
        int r = load_entries(sftp, path, &entries, err);

        VECTOR_FOREACH(entry, &entries.items) {
                _cleanup_free_ char *child = path_join(path, entry->name);

                if (S_ISDIR(entry->attributes.mode))
                        r = sweep_folder(sftp, child, before_ns, err);
                else if (*entry->name == '.' && endswith(entry->name, ".tmp") &&
                         entry->attributes.modified_s < before_ns / INT64_C(1000000000))
                        r = sftp_remove(sftp->session, child, err);
                if (r < 0)
                        return r;
        }
        return r;
}

static int sftp_storage_sweep(Storage *storage, int64_t before_ns, Error **err)
{
        SftpStorage *sftp = (SftpStorage *)storage;

        return sweep_folder(sftp, sftp->path, before_ns, err);
}

static void sftp_storage_free(Storage *storage)
{
        SftpStorage *sftp = (SftpStorage *)storage;

        sftp_session_free(sftp->session);
        free(sftp->path);
        free(sftp);
}

static const StorageOperations sftp_operations = {
        .name = "sftp",
        .free = sftp_storage_free,
        .write_begin = sftp_write_begin,
        .write_add = sftp_write_add,
        .write_commit = sftp_write_commit,
        .write_abort = sftp_write_abort,
        .read = sftp_storage_read,
        .list = sftp_storage_list,
        .remove = sftp_storage_remove,
        .sweep = sftp_storage_sweep,
};

static int check_root(SftpSession *session, const Location *location, Error **err)
{
        SftpAttributes attributes;
        int r = sftp_stat(session, location->path, &attributes, err);

        if (r == 0 && !S_ISDIR(attributes.mode))
                return error_set(err, ERROR_INVALID, "\"%s\" of sftp server %s is no folder", location->path,
                                 location->host);
        if (r == -ERROR_NOT_FOUND && err && *err)
                (*err)->kind = ERROR_UNAVAILABLE;
        return r == -ERROR_NOT_FOUND ? error_hint(err, -ERROR_UNAVAILABLE,
                                                  "Make that folder: it is not made by itself, so that a missing "
                                                  "mount is noticed.")
                                     : r;
}

int storage_sftp_create(const Location *location, const char *folder, Storage **ret, Error **err)
{
        _cleanup_(sftp_session_freep) SftpSession *session = NULL;
        SftpStorage *sftp;
        int r = sftp_connect(location, &session, err);

        if (r == 0)
                r = check_root(session, location, err);
        if (r < 0)
                return error_prefix(err, r, "copies of backups at \"%s\"", location->url);
        sftp = xnew(SftpStorage);
        *sftp = (SftpStorage){ { &sftp_operations },
                               TAKE_PTR(session),
                               *folder ? path_join(location->path, folder) : xstrdup(location->path),
                               strlen(location->path) };
        *ret = &sftp->storage;
        return 0;
}
