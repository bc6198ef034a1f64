#include "operate/restore_service.h"

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
#include "state/document.h"
#include "state/worker.h"

/* In a copy until it is the service's data: an interrupted restore is known by it. */
#define UNFINISHED     RESTORE_MARK
#define WRITER_NS      (60 * NSEC_PER_SEC)
#define WRITER_POLL_MS 20
#define KEPT_SUFFIX    RESTORE_KEPT_SUFFIX

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

static int find_container(const ServiceRestore *restore, ContainerInfo **ret, Error **err)
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

static int find_present(const ServiceRestore *restore, const ContainerInfo *info, RestorePlaces *ret,
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
        return xasprintf("%s" KEPT_SUFFIX "%s", name, text);
}

static bool is_unfinished(const char *root)
{
        _cleanup_free_ char *mark = path_join(root, UNFINISHED);

        return fs_exists(mark);
}

/* The worker of a keeper that was killed goes on until it notices: it holds the mark meanwhile. */
static int await_writer(const char *root, Error **err)
{
        _cleanup_free_ char *mark = path_join(root, UNFINISHED);
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
        _cleanup_free_ char *prefix = xasprintf("%s" KEPT_SUFFIX, volume);
        const EngineOperations *operations = restore->engine->operations;
        VolumeInfo **list = NULL;
        size_t length = 0;
        int r = operations->volume_list(restore->engine, NULL, &list, &length, err);

        for (size_t i = 0; i < length; i++) {
                if (r >= 0 && startswith(list[i]->name, prefix) && list[i]->path && is_unfinished(list[i]->path)) {
                        r = await_writer(list[i]->path, err);
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
        if (!is_unfinished(volume->path) && !is_empty(volume->path))
                return error_set(err, ERROR_EXISTS, "there is a volume \"%s\" already", restore->into);
        r = await_writer(volume->path, err);
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

        prefix = xasprintf("%s" KEPT_SUFFIX, path_basename(ret->present));
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(parent, *name);
                if (r < 0 || !startswith(*name, prefix) || !is_unfinished(path))
                        continue;
                r = await_writer(path, err);
                if (r == 0)
                        r = fs_remove_tree(AT_FDCWD, path, err);
        }
        ret->staged = kept_name(ret->present);
        return r < 0 ? r : fs_make_directories(ret->staged, 0700, err);
}

/* Folders between the root and the data (images from 18 on have "18/docker"): as the present ones are, or for everybody to pass. */
static int prepare_between(const RestorePlaces *places, Error **err)
{
        for (size_t end = strcspn(places->rest, "/"); places->rest[end]; end += 1 + strcspn(places->rest + end + 1, "/")) {
                _cleanup_free_ char *part = xstrndup(places->rest, end), *made = path_join(places->staged, part),
                                    *like = path_join(places->present, part);
                struct stat status;
                bool known = stat(like, &status) == 0;

                if ((mkdir(made, 0755) < 0 && errno != EEXIST) || chmod(made, known ? status.st_mode & 07777 : 0755) < 0 ||
                    (known && chown(made, status.st_uid, status.st_gid) < 0))
                        return error_set_errno(err, errno, "make \"%s\"", made);
        }
        return 0;
}

/* As the present root is, so that whoever owns that finds the copy as it was. */
static int prepare_root(const RestorePlaces *places, Error **err)
{
        _cleanup_free_ char *mark = path_join(places->staged, UNFINISHED), *data = NULL;
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
        int r = find_container(restore, &info, err);

        if (r >= 0)
                r = find_present(restore, info, &places, &mount, err);
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

/* ---- the copy ---- */

typedef struct Told {
        const EngineProgress *progress;
} Told;

static void on_event(void *context, const json_t *event)
{
        const EngineProgress *progress = ((Told *)context)->progress;
        const char *status = json_get_string(event, "status", NULL), *warning = json_get_string(event, "warning", NULL);

        if (status && progress->status)
                progress->status(progress->context, status);
        if (warning && progress->warning)
                progress->warning(progress->context, warning);
        if (json_object_get(event, "done") && progress->bytes)
                progress->bytes(progress->context, json_get_string(event, "what", ""),
                                (uint64_t)json_get_int(event, "done", 0), (uint64_t)json_get_int(event, "total", 0));
}

int restore_run_job(const ServiceRestore *restore, const char *job, json_t *params, const EngineProgress *progress,
                    json_t **ret, Error **err)
{
        _cleanup_json_ json_t *owned = params;
        Told told = { progress };
        WorkerRun run = { .job = job,
                          .params = owned,
                          .input_fd = -1,
                          .cancel_fd = progress->cancel_fd,
                          .context = &told,
                          .event = on_event };

        return worker_run(restore->layout, &run, ret, err);
}

static int remove_mark(const char *root, Error **err)
{
        _cleanup_free_ char *mark = path_join(root, UNFINISHED);

        return fs_remove_tree(AT_FDCWD, mark, err);
}

static int lay_out(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                   json_t **ret, Error **err)
{
        _cleanup_free_ char *data = *places->rest ? path_join(places->staged, places->rest) : xstrdup(places->staged);
        _cleanup_free_ char *mark = path_join(places->staged, UNFINISHED);
        json_t *params = json_pack("{s:s, s:s, s:s, s:I}", "repository", restore->repository, "directory", data,
                                   "inside", places->inside, "timeline", (json_int_t)restore->timeline);

        json_set_string(params, "to", restore->to);
        json_set_string(params, "backup", restore->backup);
        json_set_string(params, "lock", mark);
        return restore_run_job(restore, "restore", params, progress, ret, err);
}

static void throw_away(const ServiceRestore *restore, const RestorePlaces *places)
{
        if (places->volume)
                restore->engine->operations->volume_remove(restore->engine, places->volume, true, NULL);
        else
                fs_remove_tree(AT_FDCWD, places->staged, NULL);
}

int restore_service_prepare(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                            json_t **ret, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int r = lay_out(restore, places, progress, &result, err);

        if (r >= 0)
                r = restore_recover(restore, places, progress, result, NULL, err);
        /* A copy that is exchanged keeps the mark until then: what is in the volume's place afterwards is whole. */
        if (r >= 0 && restore->into)
                r = remove_mark(places->staged, err);
        if (r < 0) {
                throw_away(restore, places);
                return error_prefix(err, r, "restore \"%s\"", restore->service);
        }
        json_set_string(result, "copy", places->volume ? places->volume : places->staged);
        json_set_string(result, "target", places->target);
        json_object_set_new(result, "is_volume", json_boolean(places->volume != NULL));
        *ret = TAKE_PTR(result);
        return 0;
}

int restore_service_open(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                         json_t **ret, char **ret_container, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int64_t began_ns = clock_monotonic_ns();
        int r = lay_out(restore, places, progress, &result, err);

        if (r >= 0)
                r = restore_recover(restore, places, progress, result, ret_container, err);
        if (r < 0) {
                throw_away(restore, places);
                return error_prefix(err, r, "restore a copy of \"%s\"", restore->service);
        }
        json_object_set_new(result, "ready_ms", json_integer((clock_monotonic_ns() - began_ns) / NSEC_PER_MSEC));
        *ret = TAKE_PTR(result);
        return 0;
}

int restore_service_discard(const ServiceRestore *restore, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        int r = restore_container_clear(restore, err);

        if (r < 0 || restore->engine->operations->volume_inspect(restore->engine, restore->into, false, &volume, NULL) < 0)
                return MIN(r, 0);
        r = await_writer(volume->path, err);
        return r < 0 ? r : restore->engine->operations->volume_remove(restore->engine, restore->into, true, err);
}

/* ---- the exchange ---- */

static int find_copy(const ServiceRestore *restore, const char *copy, char **ret, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        int r;

        if (*copy == '/') {
                *ret = xstrdup(copy);
                return 0;
        }
        r = restore->engine->operations->volume_inspect(restore->engine, copy, false, &volume, err);
        if (r >= 0)
                *ret = xstrdup(volume->path);
        return r;
}

/* One step of the file system: a crash leaves the old data or the new. */
static int exchange(const char *present, const char *staged, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(present), *other = path_dirname(staged);
        int r;

        if (renameat2(AT_FDCWD, present, AT_FDCWD, staged, RENAME_EXCHANGE) < 0)
                return error_set_errno(err, errno, "exchange \"%s\" and its copy", present);
        r = fs_sync_directory(AT_FDCWD, parent, err);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, other, err);
}

int restore_service_exchange(const ServiceRestore *restore, const char *copy, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        _cleanup_free_ char *staged = NULL;
        const SpecMount *mount;
        int r = find_container(restore, &info, err);

        if (r >= 0 && (info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED))
                r = error_set(err, ERROR_CONFLICT, "container %s runs", info->name);
        if (r >= 0)
                r = find_present(restore, info, &places, &mount, err);
        if (r >= 0)
                r = find_copy(restore, copy, &staged, err);
        if (r >= 0 && is_unfinished(staged)) /* else it has been exchanged already */
                r = exchange(places.present, staged, err);
        if (r >= 0)
                r = remove_mark(places.present, err);
        return error_prefix(err, r, "restore \"%s\"", restore->service);
}
