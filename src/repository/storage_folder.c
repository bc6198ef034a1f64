/* A folder as storage. An object is written to a name that begins with a dot, synced and renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/storage.h"

typedef struct FolderStorage {
        Storage storage;
        char *path;
} FolderStorage;

struct StorageWriter {
        char *path, *temporary;
        uint64_t written, pushed; /* pushed: on its way to the disk already, so that the sync at the end is short */
        int fd;
};

#define PUSH_BYTES (4u << 20)

static const char *root_of(const Storage *storage)
{
        return ((const FolderStorage *)storage)->path;
}

static void folder_free(Storage *storage)
{
        free(((FolderStorage *)storage)->path);
        free(storage);
}

static void writer_free(StorageWriter *writer)
{
        fs_close(writer->fd);
        free(writer->path);
        free(writer->temporary);
        free(writer);
}

static void folder_write_abort(StorageWriter *writer)
{
        unlink(writer->temporary);
        writer_free(writer);
}

static int folder_write_begin(Storage *storage, const char *key, StorageWriter **ret, Error **err)
{
        static unsigned counter;
        _cleanup_free_ char *path = path_join(root_of(storage), key), *parent = path_dirname(path);
        _cleanup_free_ char *temporary = xasprintf("%s/.%s.%d.%u.tmp", parent, path_basename(path), (int)getpid(),
                                                   __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED));
        int fd, r = fs_make_directories(parent, 0700, err);

        if (r < 0)
                return r;
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return error_set_errno(err, errno, "create \"%s\"", temporary);
        *ret = xnew(StorageWriter);
        **ret = (StorageWriter){ .path = TAKE_PTR(path), .temporary = TAKE_PTR(temporary), .fd = fd };
        return 0;
}

static int folder_write_add(StorageWriter *writer, const void *data, size_t size, Error **err)
{
        int r = fs_write_all(writer->fd, data, size, err);

        if (r < 0)
                return error_prefix(err, r, "\"%s\"", writer->path);
        writer->written += size;
        if (writer->written - writer->pushed >= PUSH_BYTES) {
                sync_file_range(writer->fd, (off_t)writer->pushed, (off_t)(writer->written - writer->pushed),
                                SYNC_FILE_RANGE_WRITE);
                writer->pushed = writer->written;
        }
        return 0;
}

/* A new folder's own name has to last, too. */
static int sync_parents(const char *path, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(path), *grandparent = path_dirname(parent);
        int r = fs_sync_directory(AT_FDCWD, parent, err);

        return r < 0 ? r : fs_sync_directory(AT_FDCWD, grandparent, err);
}

static int folder_write_commit(StorageWriter *writer, Error **err)
{
        int r = 0;

        if (fsync(writer->fd) < 0)
                r = error_set_errno(err, errno, "sync \"%s\"", writer->path);
        else if (rename(writer->temporary, writer->path) < 0)
                r = error_set_errno(err, errno, "rename to \"%s\"", writer->path);
        if (r < 0) {
                folder_write_abort(writer);
                return r;
        }
        r = sync_parents(writer->path, err);
        writer_free(writer);
        return r;
}

static int folder_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
                       Error **err)
{
        _cleanup_free_ char *path = path_join(root_of(storage), key);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        size_t got = 0;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        while (got < size) {
                ssize_t n = pread(fd, (char *)buffer + got, size - got, (off_t)(offset + got));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, errno, "read \"%s\"", path);
                if (n == 0)
                        break;
                got += (size_t)n;
        }
        *ret_size = got;
        return 0;
}

static int add_entry(const char *path, const char *key, StorageList *ret, Error **err);

static int list_folder(const char *path, const char *key, StorageList *ret, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        _cleanup_error_ Error *missing = NULL;
        int r = fs_list_directory(AT_FDCWD, path, &names, &missing);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &missing, r);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *child = path_join(path, *name);
                _cleanup_free_ char *child_key = *key ? path_join(key, *name) : xstrdup(*name);

                if (**name == '.')
                        continue; /* unfinished work */
                r = add_entry(child, child_key, ret, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_entry(const char *path, const char *key, StorageList *ret, Error **err)
{
        struct stat status;

        if (lstat(path, &status) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "look at \"%s\"", path);
        if (S_ISDIR(status.st_mode))
                return list_folder(path, key, ret, err);
        if (S_ISREG(status.st_mode))
                vector_add(&ret->entries,
                           (StorageEntry){ xstrdup(key), (uint64_t)status.st_size,
                                           status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec });
        return 0;
}

static int folder_list(Storage *storage, const char *folder, StorageList *ret, Error **err)
{
        _cleanup_free_ char *path = *folder ? path_join(root_of(storage), folder) : xstrdup(root_of(storage));
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = list_folder(path, folder, &list, err);

        if (r < 0)
                return r;
        storage_list_sort(&list);
        *ret = list;
        list = (StorageList){ 0 };
        return 0;
}

static int folder_remove(Storage *storage, const char *key, Error **err)
{
        _cleanup_free_ char *path = path_join(root_of(storage), key), *parent = path_dirname(path);

        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "remove \"%s\"", path);
        return fs_sync_directory(AT_FDCWD, parent, err);
}

static int sweep_folder(const char *path, int64_t before_ns, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, path, &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *child = path_join(path, *name);
                struct stat status;

                if (lstat(child, &status) < 0)
                        continue;
                if (S_ISDIR(status.st_mode))
                        r = sweep_folder(child, before_ns, err);
                else if (**name == '.' && endswith(*name, ".tmp") &&
                         status.st_mtim.tv_sec < before_ns / INT64_C(1000000000) && unlink(child) < 0 &&
                         errno != ENOENT)
                        r = error_set_errno(err, errno, "remove \"%s\"", child);
                if (r < 0)
                        return r;
        }
        return r;
}

static int folder_sweep(Storage *storage, int64_t before_ns, Error **err)
{
        return sweep_folder(root_of(storage), before_ns, err);
}

static const StorageOperations folder_operations = {
        .name = "folder",
        .free = folder_free,
        .write_begin = folder_write_begin,
        .write_add = folder_write_add,
        .write_commit = folder_write_commit,
        .write_abort = folder_write_abort,
        .read = folder_read,
        .list = folder_list,
        .remove = folder_remove,
        .sweep = folder_sweep,
};

int storage_folder_create(const char *path, Storage **ret, Error **err)
{
        FolderStorage *storage;
        int r = fs_make_directories(path, 0700, err);

        if (r < 0)
                return r;
        storage = xnew(FolderStorage);
        *storage = (FolderStorage){ { &folder_operations }, xstrdup(path) };
        *ret = &storage->storage;
        return 0;
}
