#include "engine/local/volume_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/tree.h"
#include "engine/local/copy.h"
#include "engine/local/users.h"
#include "engine/local/volume.h"

/* The image's folder at the target; -1 where it has none. What the image binds from the host is looked up there. */
static int open_origin(const ContainerRecord *record, const char *rootfs, const char *target)
{
        _cleanup_close_ int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *clean = path_clean("/", target);

        for (size_t i = 0; i < record->n_binds; i++) {
                const char *rest = startswith(clean, record->binds[i].target);
                if (rest && (*rest == '/' || !*rest)) {
                        _cleanup_close_ int bound = open(record->binds[i].source, O_PATH | O_DIRECTORY | O_CLOEXEC);
                        return bound < 0 ? -1 : open_in_root(bound, *rest ? rest : "/", O_RDONLY | O_DIRECTORY, NULL);
                }
        }
        return root < 0 ? -1 : open_in_root(root, clean, O_RDONLY | O_DIRECTORY, NULL);
}

/* An empty volume is about to be written by this image. Whoever knows more (the postgres room) replaces it later. */
static int remember_writer(VolumeRecord *volume, const ContainerRecord *record, const SpecMount *mount, Error **err)
{
        if (mount->read_only || !record->origin || streq_ptr(volume->written_by, record->origin))
                return 0;
        volume->written_by = arena_strdup(volume->arena, record->origin);
        return volume_record_save(volume, err);
}

/* Docker's rule: an empty volume takes the content, owner and mode of the image's folder. The state in volume.json
 * makes an interrupted copy be done again instead of being taken for content. */
static int fill(VolumeRecord *volume, int origin, int data, Error **err)
{
        _cleanup_free_ char *path = volume_data_path(volume);
        bool has_content = !folder_is_empty(origin);
        int r;

        if (has_content) {
                volume->fill = VOLUME_FILLING;
                r = volume_record_save(volume, err);
                if (r >= 0)
                        r = copy_tree(origin, data, err);
                if (r >= 0)
                        r = tree_sync(path, err);
                if (r < 0)
                        return error_prefix(err, r, "fill volume \"%s\" from the image", volume->name);
        }
        r = copy_folder_attributes(origin, data, err);
        if (r < 0)
                return r;
        if (fsync(data) < 0)
                return error_set_errno(err, errno, "sync volume \"%s\"", volume->name);
        if (!has_content && volume->fill == VOLUME_UNTOUCHED)
                return 0;
        volume->fill = VOLUME_FILLED;
        return volume_record_save(volume, err);
}

static int fill_if_empty(const Layout *layout, const ContainerRecord *record, const SpecMount *mount,
                         const char *rootfs, VolumeRecord **volume, const char *data_path, Error **err)
{
        _cleanup_free_ char *lock_path = path_join((*volume)->path, "lock"), *name = xstrdup((*volume)->name);
        _cleanup_close_ int origin = -1, data = -1, lock = -1;
        int r;

        data = open(data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (data < 0)
                return error_set_errno(err, errno, "open volume \"%s\"", name);
        if ((*volume)->fill != VOLUME_FILLING && !folder_is_empty(data))
                return 0;
        r = lock_file(lock_path, -1, &lock, err);
        if (r < 0)
                return r;
        /* Looked at again under the lock: another container may have been first. */
        volume_record_free(TAKE_PTR(*volume));
        r = volume_record_load(layout, name, volume, err);
        if (r < 0 || ((*volume)->fill != VOLUME_FILLING && !folder_is_empty(data)))
                return r;
        r = remember_writer(*volume, record, mount, err);
        if (r < 0 || mount->nocopy)
                return r;
        origin = open_origin(record, rootfs, mount->target);
        return origin < 0 ? 0 : fill(*volume, origin, data, err);
}

/* A folder below the volume's root that no link leads out of. */
static int resolve_subpath(const char *data_path, const char *subpath, char **ret, Error **err)
{
        _cleanup_close_ int root = open(data_path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
        _cleanup_free_ char *link = NULL;

        if (root < 0)
                return error_set_errno(err, errno, "open \"%s\"", data_path);
        fd = open_in_root(root, subpath, O_PATH, NULL);
        if (fd < 0)
                return error_set(err, ERROR_NOT_FOUND, "subpath \"%s\" does not exist in the volume", subpath);
        link = xasprintf("/proc/self/fd/%d", fd);
        return fs_read_link(link, ret, err);
}

static int load_or_create(const Layout *layout, const ContainerRecord *record, const SpecMount *mount,
                          VolumeRecord **ret, Error **err)
{
        VolumeSpec spec = { .name = mount->source, .project = record->spec->project, .anonymous = mount->anonymous };
        _cleanup_error_ Error *error = NULL;
        int r = volume_record_load(layout, mount->source, ret, &error);

        /* A named one may have options that only the model knows. */
        if (r != -ERROR_NOT_FOUND && (r != -ERROR_CORRUPT || !mount->anonymous))
                return error_move(err, &error, r);
        r = volume_create(layout, &spec, err);
        return r < 0 ? r : volume_record_load(layout, mount->source, ret, err);
}

int volume_use(const Layout *layout, const ContainerRecord *record, const SpecMount *mount, const char *rootfs,
               char **ret_source, char ***ret_tmpfs, Error **err)
{
        _cleanup_volume_ VolumeRecord *volume = NULL;
        _cleanup_free_ char *data_path = NULL;
        int r;

        if (!mount->source)
                return error_set(err, ERROR_INTERNAL, "a volume without a name");
        r = load_or_create(layout, record, mount, &volume, err);
        if (r < 0)
                return r;
        volume_touch(volume);
        if (streq_ptr(strv_env_get(volume->options, "type"), "tmpfs")) {
                const char *o = strv_env_get(volume->options, "o");
                *ret_source = NULL;
                *ret_tmpfs = o ? strv_split(o, ',') : NULL;
                return 0;
        }
        data_path = volume_data_path(volume);
        r = fill_if_empty(layout, record, mount, rootfs, &volume, data_path, err);
        if (r < 0)
                return r;
        if (!isempty(mount->subpath))
                return resolve_subpath(data_path, mount->subpath, ret_source, err);
        *ret_source = TAKE_PTR(data_path);
        return 0;
}
