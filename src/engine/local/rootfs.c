#include "engine/local/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define MOUNT_OPTIONS_LIMIT 4000 /* mount(2) takes one page */

bool mount_is_point(const char *path)
{
        struct statx status;

        return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status) == 0 &&
               (status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int mount_prepare_run(const Layout *layout, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "projects"), *lock_path = layout_run(layout, "lock");
        _cleanup_close_ int lock = -1;
        int r;

        if (mount_is_point(path))
                return 0;
        r = fs_make_directories(path, 0711, err);
        if (r >= 0)
                r = lock_file(lock_path, -1, &lock, err);
        if (r < 0 || mount_is_point(path))
                return r;
        if (mount(path, path, NULL, MS_BIND, NULL) < 0 || mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0)
                return error_set_errno(err, errno, "make \"%s\" a private mount", path);
        return 0;
}

static int open_layers(char *const *layers, int **ret_fds, Error **err)
{
        size_t length = strv_length(layers);
        int *fds = xnew_array(int, length + 1);

        *ret_fds = fds;
        for (size_t i = 0; i <= length; i++)
                fds[i] = -1;
        for (size_t i = 0; i < length; i++) {
                fds[i] = open(layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fds[i] < 0)
                        return error_set_errno(err, errno, "open image layer \"%s\"", layers[i]);
        }
        return 0;
}

static void close_layersp(int **fds)
{
        for (int *fd = *fds; fd && *fd >= 0; fd++)
                close(*fd);
        free(*fds);
}

static void add_escaped(Strbuf *options, const char *path)
{
        for (const char *c = path; *c; c++) {
                if (strchr(":,\\", *c))
                        strbuf_addc(options, '\\');
                strbuf_addc(options, *c);
        }
}

/* Many layers' paths do not fit into a page: their descriptors in /proc/self/fd do. */
static void add_layers(Strbuf *options, char *const *layers, const int *fds)
{
        size_t size = 0;

        STRV_FOREACH(layer, layers)
                size += strlen(*layer) + 1;
        for (size_t i = 0; layers[i]; i++) {
                strbuf_adds(options, i ? ":" : "lowerdir=");
                if (size > MOUNT_OPTIONS_LIMIT - 1024)
                        strbuf_addf(options, "/proc/self/fd/%d", fds[i]);
                else
                        add_escaped(options, layers[i]);
        }
}

static int mount_overlay(const ContainerRecord *record, const char *target, Error **err)
{
        _cleanup_free_ char *upper = path_join(record->data_path, "upper"),
                            *work = path_join(record->data_path, "work");
        _cleanup_strbuf_ Strbuf options = STRBUF_INIT;
        _cleanup_(close_layersp) int *fds = NULL;
        struct stat top;
        int r;

        r = open_layers(record->layers, &fds, err);
        if (r < 0)
                return r;
        if (mkdir(work, 0700) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "make folder \"%s\"", work);
        if (mkdir(upper, 0755) == 0) { /* the container's root folder has the image's owner and mode */
                if (fstat(fds[0], &top) < 0 || chown(upper, top.st_uid, top.st_gid) < 0 ||
                    chmod(upper, top.st_mode & 07777) < 0)
                        return error_set_errno(err, errno, "prepare folder \"%s\"", upper);
        } else if (errno != EEXIST) {
                return error_set_errno(err, errno, "make folder \"%s\"", upper);
        }
        add_layers(&options, record->layers, fds);
        strbuf_adds(&options, ",upperdir=");
        add_escaped(&options, upper);
        strbuf_adds(&options, ",workdir=");
        add_escaped(&options, work);
        if (mount("overlay", target, "overlay", 0, strbuf_text(&options)) < 0)
                return error_set_errno(err, errno, "mount the root file system of container %s", record->spec->name);
        return 0;
}

int rootfs_mount(const Layout *layout, const ContainerRecord *record, char **ret_path, Error **err)
{
        _cleanup_free_ char *target = path_join(record->run_path, "merged");
        int r;

        if (!record->layers || !record->layers[0])
                return error_set(err, ERROR_CORRUPT, "container %s has no image layers", record->spec->name);
        r = mount_prepare_run(layout, err);
        if (r >= 0)
                r = fs_make_directories(target, 0700, err);
        if (r >= 0 && !mount_is_point(target))
                r = mount_overlay(record, target, err);
        if (r < 0)
                return r;
        *ret_path = TAKE_PTR(target);
        return 0;
}

int rootfs_unmount(const ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *target = path_join(record->run_path, "merged");

        while (mount_is_point(target))
                if (umount2(target, MNT_DETACH) < 0)
                        return error_set_errno(err, errno, "unmount \"%s\"", target);
        return 0;
}
