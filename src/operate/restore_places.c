/* Where a service's data lies, and a place for its copy. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "operate/restore_container.h"
#include "operate/restore_mark.h"
#include "operate/restore_places.h"

#define WRITER_NS      (60 * NSEC_PER_SEC)
#define WRITER_POLL_MS 20

void restore_places_done(RestorePlaces *places)
{
        free(places->container);
        free(places->present);
        free(places->staged);
        free(places->volume);
        free(places->inside);
        free(places->rest);
        free(places->target);
        *places = (RestorePlaces){ 0 };
}

/* ---- the service's container ---- */

int restore_find_container(const ServiceRestore *restore, ContainerInfo **ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        const char *id = NULL;
        int r = restore->engine->operations->container_list(restore->engine, restore->project, &list, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++)
                if (!list.items[i]->oneoff && streq_ptr(list.items[i]->service, restore->service) && !id)
                        id = list.items[i]->id;
        if (!id)
                return error_hint(err,
                                  error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container", restore->service),
                                  "\"berth up --no-start %s\" makes one.", restore->service);
        return restore->engine->operations->container_inspect(restore->engine, id, ret, err);
}

static bool is_data_mount(const SpecMount *mount)
{
        return mount && mount->kind != SPEC_MOUNT_TMPFS && !mount->subpath;
}

int restore_find_present(const ServiceRestore *restore, const ContainerInfo *info, RestorePlaces *ret,
                         const SpecMount **ret_mount, Error **err)
{
        const char *inside = data_folder_of_spec(info->spec);
        _cleanup_free_ char *folder = NULL, *below = NULL;
        bool is_new = false;

        ret->container = xstrdup(info->id);
        ret->inside = xstrdup(inside ? inside : "/var/lib/postgresql/data");
        folder = data_folder_on_host(restore->engine, info->spec, ret->inside, ret_mount, &is_new);
        if (!is_data_mount(*ret_mount))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "service \"%s\": its data is in no volume or folder of its own", restore->service);
        ret->present = data_folder_on_host(restore->engine, info->spec, (*ret_mount)->target, ret_mount, &is_new);
        if (!ret->present)
                return error_set(err, ERROR_NOT_FOUND, "service \"%s\": its volume does not exist", restore->service);
        ret->target = xstrdup((*ret_mount)->target);
        below = folder ? xstrdup(folder + strlen(ret->present)) : xstrdup("");
        ret->rest = xstrdup(below + strspn(below, "/"));
        return 0;
}

/* ---- the copy's place ---- */

static char *kept_name(const char *name)
{
        time_t seconds = time(NULL);
        char text[32];
        struct tm utc;

        gmtime_r(&seconds, &utc);
        strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &utc);
        return xasprintf("%s" RESTORE_KEPT_SUFFIX "%s", name, text);
}

bool restore_is_unfinished(const char *root)
{
        _cleanup_free_ char *mark = path_join(root, RESTORE_MARK);

        return fs_exists(mark);
}

/* The worker of a keeper that was killed goes on until it notices: it holds the mark meanwhile. */
int restore_await_writer(const char *root, Error **err)
{
        _cleanup_free_ char *mark = path_join(root, RESTORE_MARK);
        _cleanup_close_ int fd = open(mark, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int64_t until_ns = clock_monotonic_ns() + WRITER_NS;

        while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (clock_monotonic_ns() > until_ns)
                        return error_set(err, ERROR_CONFLICT, "a restore still writes into \"%s\"", root);
                poll(NULL, 0, WRITER_POLL_MS);
        }
        return 0;
}

static int clear_volumes(const ServiceRestore *restore, const char *volume, Error **err)
{
        _cleanup_free_ char *prefix = xasprintf("%s" RESTORE_KEPT_SUFFIX, volume);
        const EngineOperations *operations = restore->engine->operations;
        VolumeInfo **list = NULL;
        size_t length = 0;
        int r = operations->volume_list(restore->engine, NULL, &list, &length, err);

        for (size_t i = 0; i < length; i++) {
                if (r >= 0 && startswith(list[i]->name, prefix) && list[i]->path &&
                    restore_is_unfinished(list[i]->path)) {
                        r = restore_await_writer(list[i]->path, err);
                        if (r >= 0)
                                r = operations->volume_remove(restore->engine, list[i]->name, true, err);
                }
                volume_info_free(list[i]);
        }
        free(list);
        return r;
}

static int make_volume(const ServiceRestore *restore, const char *name, RestorePlaces *ret, Error **err)
{
        const EngineOperations *operations = restore->engine->operations;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        VolumeSpec spec = { 0 };
        int r = clear_volumes(restore, name, err);

        if (r < 0)
                return r;
        ret->volume = kept_name(name);
        spec.name = ret->volume;
        r = operations->volume_create(restore->engine, &spec, err);
        if (r >= 0)
                r = operations->volume_inspect(restore->engine, ret->volume, false, &volume, err);
        if (r >= 0)
                ret->staged = xstrdup(volume->path);
        return r;
}

static bool is_empty(const char *folder)
{
        _cleanup_strv_ char **names = NULL;

        return fs_list_directory(AT_FDCWD, folder, &names, NULL) == 0 && strv_length(names) == 0;
}

/* One of an interrupted restore is cleared away, a whole one is not ours to touch. A container that still uses it goes
 * when its name is wanted. */
static int clear_copy(const ServiceRestore *restore, Error **err)
{
        const EngineOperations *operations = restore->engine->operations;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        int r;

        if (operations->volume_inspect(restore->engine, restore->into, false, &volume, NULL) < 0)
                return 0;
        if (!restore_is_unfinished(volume->path) && !is_empty(volume->path))
                return error_set(err, ERROR_EXISTS, "there is a volume \"%s\" already", restore->into);
        r = restore_await_writer(volume->path, err);
        if (r >= 0)
                r = restore_container_clear(restore, err);
        return r < 0 ? r : operations->volume_remove(restore->engine, restore->into, true, err);
}

static int make_apart(const ServiceRestore *restore, RestorePlaces *ret, Error **err)
{
        const EngineOperations *operations = restore->engine->operations;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        VolumeSpec spec = { .name = (char *)restore->into,
                            .project = (char *)restore->project,
                            .key = (char *)restore->key };
        int r = clear_copy(restore, err);

        if (r < 0)
                return r;
        ret->volume = xstrdup(restore->into);
        r = operations->volume_create(restore->engine, &spec, err);
        if (r >= 0)
                r = operations->volume_inspect(restore->engine, ret->volume, false, &volume, err);
        if (r >= 0)
                ret->staged = xstrdup(volume->path);
        return r;
}

static int make_folder(RestorePlaces *ret, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(ret->present), *prefix = NULL;
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, parent, &names, err);

        prefix = xasprintf("%s" RESTORE_KEPT_SUFFIX, path_basename(ret->present));
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(parent, *name);
                if (r < 0 || !startswith(*name, prefix) || !restore_is_unfinished(path))
                        continue;
                r = restore_await_writer(path, err);
                if (r == 0)
                        r = fs_remove_tree(AT_FDCWD, path, err);
        }
        ret->staged = kept_name(ret->present);
        return r < 0 ? r : fs_make_directories(ret->staged, 0700, err);
}

/* Folders between the root and the data (images from 18 on have "18/docker"): as the present ones are, or for everybody to pass. */
static int prepare_between(const RestorePlaces *places, Error **err)
{
        for (size_t end = strcspn(places->rest, "/"); places->rest[end];
             end += 1 + strcspn(places->rest + end + 1, "/")) {
                _cleanup_free_ char *part = xstrndup(places->rest, end), *made = path_join(places->staged, part),
                                    *like = path_join(places->present, part);
                struct stat status;
                bool known = stat(like, &status) == 0;

                if ((mkdir(made, 0755) < 0 && errno != EEXIST) ||
                    chmod(made, known ? status.st_mode & 07777 : 0755) < 0 ||
                    (known && chown(made, status.st_uid, status.st_gid) < 0))
                        return error_set_errno(err, errno, "make \"%s\"", made);
        }
        return 0;
}

/* As the present root is, so that whoever owns that finds the copy as it was. */
static int prepare_root(const RestorePlaces *places, Error **err)
{
        _cleanup_free_ char *mark = path_join(places->staged, RESTORE_MARK), *data = NULL;
        struct stat status;
        int r, fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
                return error_set_errno(err, errno, "create \"%s\"", mark);
        fs_close(fd);
        if (stat(places->present, &status) < 0 || chown(places->staged, status.st_uid, status.st_gid) < 0 ||
            chmod(places->staged, status.st_mode & 07777) < 0)
                return error_set_errno(err, errno, "prepare \"%s\"", places->staged);
        r = prepare_between(places, err);
        if (r < 0)
                return r;
        data = path_join(places->staged, *places->rest ? places->rest : ".");
        return fs_make_directories(data, 0700, err);
}

int restore_service_begin(const ServiceRestore *restore, RestorePlaces *ret, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        const SpecMount *mount = NULL;
        int r = restore_find_container(restore, &info, err);

        if (r >= 0)
                r = restore_find_present(restore, info, &places, &mount, err);
        if (r >= 0 && restore->into)
                r = make_apart(restore, &places, err);
        else if (r >= 0)
                r = mount->kind == SPEC_MOUNT_VOLUME ? make_volume(restore, mount->source, &places, err)
                                                     : make_folder(&places, err);
        if (r >= 0)
                r = prepare_root(&places, err);
        if (r < 0)
                return error_prefix(err, r, "restore \"%s\"", restore->service);
        *ret = places;
        places = (RestorePlaces){ 0 };
        return 0;
}
