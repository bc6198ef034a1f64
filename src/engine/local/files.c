#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "engine/local/mounts.h"
#include "engine/local/private.h"
#include "engine/local/rootfs.h"
#include "engine/local/users.h"

#define FILE_LIMIT    ((size_t)16 * 1024 * 1024)
#define SECRETS_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static bool needs_copy(const SpecFile *file)
{
        return !file->host_path || file->secret || file->in_memory || file->uid >= 0 || file->gid >= 0 ||
               file->mode >= 0 || file->owner;
}

static bool is_in_memory(const SpecFile *file)
{
        return file->secret || file->in_memory;
}

static char *secrets_path(const Layout *layout, const ContainerRecord *record)
{
        return layout_run(layout, "projects/%s/secrets", record->folder);
}

/* The folder of a container's copies: on the project's tmpfs, or among its data for configs. */
static char *copies_path(const Layout *layout, const ContainerRecord *record, bool in_memory)
{
        return in_memory ? layout_run(layout, "projects/%s/secrets/%s", record->folder, record->id)
                         : path_join(record->data_path, "files");
}

/* An owner by name is looked up in the image; the numbers go to *file. */
static int resolve_owner(const char *rootfs, SpecFile *file, Error **err)
{
        _cleanup_image_user_ ImageUser user = { 0 };
        _cleanup_close_ int root_fd = -1;
        int r;

        if (!file->owner)
                return 0;
        root_fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", rootfs);
        r = image_user_find(root_fd, file->owner, NULL, &user, err);
        if (r < 0)
                return error_prefix(err, r, "owner of \"%s\"", file->target);
        file->uid = user.uid;
        file->gid = user.gid;
        return 0;
}

/* Not every machine has a tmpfs at /run, and a swap partition would keep what was swapped out. */
static int mount_secrets(const Layout *layout, const ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *path = secrets_path(layout, record);
        int r;

        r = mount_prepare_run(layout, err);
        if (r >= 0)
                r = fs_make_directories(path, 0700, err);
        if (r < 0 || mount_is_point(path))
                return r;
        if (mount("tmpfs", path, "tmpfs", SECRETS_FLAGS, "mode=0700,size=64m,noswap") == 0)
                return 0;
        if (mount("tmpfs", path, "tmpfs", SECRETS_FLAGS, "mode=0700,size=64m") < 0)
                return error_set_errno(err, errno, "mount a tmpfs at \"%s\"", path);
        return 0;
}

static int write_copy(const char *path, const SpecFile *file, const void *data, size_t size, const struct stat *origin,
                      Error **err)
{
        uid_t uid = file->uid >= 0 ? (uid_t)file->uid : origin ? origin->st_uid : 0;
        gid_t gid = file->gid >= 0 ? (gid_t)file->gid : origin ? origin->st_gid : 0;
        mode_t mode = file->mode >= 0 ? (mode_t)file->mode & 07777 : 0444;
        _cleanup_close_ int fd = -1;
        int r;

        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set_errno(err, errno, "create the copy of \"%s\"", file->target);
        r = fs_write_all(fd, data, size, err);
        if (r < 0)
                return r;
        if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
                return error_set_errno(err, errno, "set owner and mode of \"%s\"", file->target);
        return 0;
}

static int prepare_folder(const Layout *layout, const ContainerRecord *record, const SpecFile *file, char **ret,
                          Error **err)
{
        _cleanup_free_ char *path = copies_path(layout, record, is_in_memory(file));
        int r = is_in_memory(file) ? mount_secrets(layout, record, err) : 0;

        if (r >= 0)
                r = fs_make_directories(path, 0700, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(path);
        return 0;
}

int files_store(const Layout *layout, const ContainerRecord *record, Error **err)
{
        const ContainerSpec *spec = record->spec;

        for (size_t i = 0; i < spec->n_files; i++) {
                _cleanup_free_ char *folder = NULL, *path = NULL;
                int r;
                if (spec->files[i].host_path)
                        continue;
                r = prepare_folder(layout, record, &spec->files[i], &folder, err);
                if (r < 0)
                        return r;
                path = xasprintf("%s/%zu", folder, i);
                r = write_copy(path, &spec->files[i], spec->files[i].content ? spec->files[i].content : "",
                               spec->files[i].content_size, NULL, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_host_file(const SpecFile *file, Strbuf *ret, struct stat *ret_status, Error **err)
{
        _cleanup_close_ int fd = open(file->host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 || fstat(fd, ret_status) < 0)
                return error_set_errno(err, errno, "%s file \"%s\"", file->secret ? "secret" : "config",
                                       file->host_path);
        if (!S_ISREG(ret_status->st_mode))
                return error_set(err, ERROR_INVALID, "%s file \"%s\" is not a regular file",
                                 file->secret ? "secret" : "config", file->host_path);
        return fs_read_fd(fd, FILE_LIMIT, ret, err);
}

static int copy_from_host(const SpecFile *file, const char *path, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;
        int r = read_host_file(file, &text, &status, err);

        if (r >= 0)
                r = write_copy(path, file, strbuf_text(&text), text.length, &status, err);
        strbuf_erase(&text);
        return r;
}

int files_prepare(const Layout *layout, const ContainerRecord *record, const char *rootfs, size_t i, char **ret,
                  Error **err)
{
        SpecFile found = record->spec->files[i], *file = &found;
        _cleanup_free_ char *folder = NULL, *path = NULL;
        int r;

        if (!needs_copy(file)) {
                if (!fs_exists(file->host_path))
                        return error_set(err, ERROR_NOT_FOUND, "config file \"%s\" does not exist", file->host_path);
                *ret = xstrdup(file->host_path);
                return 0;
        }
        r = resolve_owner(rootfs, file, err);
        if (r >= 0)
                r = prepare_folder(layout, record, file, &folder, err);
        if (r < 0)
                return r;
        path = xasprintf("%s/%zu", folder, i);
        if (file->host_path)
                r = copy_from_host(file, path, err);
        else if (!fs_exists(path) && file->content)
                r = write_copy(path, file, file->content, file->content_size, NULL, err);
        else if (!fs_exists(path))
                r = error_hint(
                        err,
                        error_set(err, ERROR_NOT_FOUND, "the value of secret \"%s\" is not known any more",
                                  path_basename(file->target)),
                        "It was kept in memory only, as it came with `berth up` and from no file: run that again, with "
                        "its variable set. A secret from a file comes back by itself after a reboot.");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(path);
        return 0;
}

static int refresh_file(const SpecFile *file, const char *path, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;
        int r = read_host_file(file, &text, &status, err);

        if (r >= 0)
                r = fs_rewrite_in_place(AT_FDCWD, path, strbuf_text(&text), text.length, 0400, err);
        strbuf_erase(&text);
        return r;
}

int local_container_refresh(Engine *engine, const char *id, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int lock = -1;
        int r = container_lock(layout, id, &record, &lock, err);

        for (size_t i = 0; r >= 0 && i < record->spec->n_files; i++) {
                const SpecFile *file = &record->spec->files[i];
                _cleanup_free_ char *folder = copies_path(layout, record, is_in_memory(file)),
                                    *path = xasprintf("%s/%zu", folder, i);
                if (file->host_path && needs_copy(file) && fs_exists(path))
                        r = refresh_file(file, path, err);
        }
        return r < 0 ? r : 0;
}

void files_remove(const Layout *layout, const ContainerRecord *record)
{
        _cleanup_free_ char *path = copies_path(layout, record, true), *parent = secrets_path(layout, record);
        _cleanup_strv_ char **left = NULL;

        fs_remove_tree(AT_FDCWD, path, NULL);
        if (mount_is_point(parent) && fs_list_directory(AT_FDCWD, parent, &left, NULL) >= 0 && !left &&
            umount2(parent, 0) == 0)
                rmdir(parent);
}
