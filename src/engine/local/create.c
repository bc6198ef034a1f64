#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "engine/local/mounts.h"
#include "engine/local/network.h"
#include "engine/local/runtime.h"
#include "engine/local/volume.h"
#include "image/store.h"
#include "state/document.h"

static char *new_id(void)
{
        unsigned char bytes[32];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                abort();
        return hex_encode(bytes, sizeof(bytes));
}

static int check_spec(const Layout *layout, const ContainerSpec *spec, Error **err)
{
        _cleanup_free_ char *runtime = NULL;
        int r;

        if (!container_name_is_valid(spec->name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a container's name", spec->name);
        if (spec->project && !layout_project_name_is_valid(spec->project))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a project's name", spec->project);
        if (!spec->argv || !spec->argv[0])
                return error_hint(err, error_set(err, ERROR_INVALID, "container %s has no command", spec->name),
                                  "Neither the image nor the service names one: add `command:`.");
        if (spec->stop_signal && signal_from_name(spec->stop_signal) < 0)
                return error_set(err, ERROR_INVALID, "there is no signal \"%s\"", spec->stop_signal);
        r = layout_prepare(layout, err);
        if (r >= 0)
                r = runtime_find(layout, &runtime, err);
        if (r >= 0 && !(spec->network_mode && startswith(spec->network_mode, "container:")))
                r = local_network_check(layout, spec, err);
        return r;
}

/* Creating what exists as asked for succeeds. */
static int take_existing(const Layout *layout, const ContainerSpec *spec, char **ret_id, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_json_ json_t *wanted = NULL, *present = NULL;
        int r = container_record_find(layout, spec->name, &record, NULL);

        if (r < 0 || !streq(record->spec->name, spec->name))
                return -ERROR_NOT_FOUND;
        wanted = container_spec_to_json(spec);
        present = container_spec_to_json(record->spec);
        if (json_equal(wanted, present)) {
                *ret_id = xstrdup(record->id);
                return 0;
        }
        if (streq_ptr(record->spec->project, spec->project))
                return error_set(err, ERROR_EXISTS, "container \"%s\" exists already, with other settings", spec->name);
        r = error_set(err, ERROR_EXISTS, "container name \"%s\" is taken by %s%s", spec->name,
                      record->spec->project ? "project " : "a container without a project",
                      record->spec->project ? record->spec->project : "");
        return error_hint(err, r, "Set another container_name, or bring that project down first.");
}

/* Found by its id, so that its own line would name no more than that. */
static char *describe_source(const ContainerRecord *record, const Image *image)
{
        if (image->source == IMAGE_SOURCE_HOST)
                return xstrdup(image->source_line);
        return xasprintf("%s from the store (%.12s)", record->spec->image ? record->spec->image : image->reference,
                         image->id + strlen("sha256:"));
}

static void take_image(ContainerRecord *record, const Image *image)
{
        _cleanup_free_ char *source = describe_source(record, image);
        Arena *arena = record->arena;

        record->layers = arena_strv(arena, image->layers);
        record->origin = arena_printf(arena, "%s%s%s", source, image->libc ? ", " : "", image->libc ? image->libc : "");
        record->n_binds = image->n_binds;
        record->binds = arena_new_array(arena, ImageBind, image->n_binds + 1);
        for (size_t i = 0; i < image->n_binds; i++) {
                record->binds[i] = image->binds[i];
                record->binds[i].source = arena_strdup(arena, image->binds[i].source);
                record->binds[i].target = arena_strdup(arena, image->binds[i].target);
        }
}

/* A copy of the caller's specification, secrets' contents included (they are needed once more, by files_store). */
static int copy_spec(const ContainerSpec *spec, ContainerSpec **ret, Error **err)
{
        _cleanup_json_ json_t *json = container_spec_to_json(spec);
        int r = container_spec_from_json(json, ret, err);

        for (size_t i = 0; r >= 0 && i < spec->n_files; i++) {
                SpecFile *file = &(*ret)->files[i];
                if (!file->content && spec->files[i].content) {
                        file->content = arena_alloc((*ret)->arena, spec->files[i].content_size + 1);
                        memcpy(file->content, spec->files[i].content, spec->files[i].content_size);
                        file->content_size = spec->files[i].content_size;
                }
        }
        return r;
}

int create_lock(const Layout *layout, bool alone, int *ret_fd, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "create.lock");
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return error_set_errno(err, errno, "open lock \"%s\"", path);
        while (flock(fd, alone ? LOCK_EX : LOCK_SH) < 0)
                if (errno != EINTR)
                        return error_set_errno(err, errno, "lock \"%s\"", path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* The record first, then the name: a name that is claimed has its container, and what is cut off between has no name
 * and is swept up by recover. */
static int write_container(const Layout *layout, ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(record->data_path), *lock_path = layout_run(layout, "names.lock");
        _cleanup_close_ int creating = -1, lock = -1;
        int r;

        r = create_lock(layout, false, &creating, err);
        if (r >= 0)
                r = fs_make_directories(record->data_path, 0700, err);
        if (r >= 0)
                r = fs_make_directories(record->run_path, 0700, err);
        if (r >= 0)
                r = files_store(layout, record, err);
        if (r >= 0)
                r = container_record_save(record, err);
        if (r >= 0)
                r = fs_sync_directory(AT_FDCWD, parent, err);
        if (r >= 0)
                r = lock_file(lock_path, -1, &lock, err);
        if (r >= 0)
                r = container_name_claim(layout, record->spec->name, record->folder, record->id, err);
        return r;
}

int local_container_create(Engine *engine, const ContainerSpec *spec, const EngineProgress *progress, char **ret_id,
                           Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_free_ char *id = NULL;
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_image_ Image *image = NULL;
        int r;

        r = check_spec(layout, spec, err);
        if (r < 0)
                return r;
        r = take_existing(layout, spec, ret_id, err);
        if (r != -ERROR_NOT_FOUND)
                return r;
        r = image_find(layout, spec->image_id ? spec->image_id : spec->image, IMAGES_AUTO, &image, err);
        if (r < 0)
                return r;
        id = new_id();
        record = container_record_create(layout, spec->project ? spec->project : NO_PROJECT, id);
        r = copy_spec(spec, &record->spec, err);
        if (r < 0)
                return r;
        record->created_ns = clock_realtime_ns();
        take_image(record, image);
        r = write_container(layout, record, err);
        if (r < 0) {
                container_erase(layout, record, NULL);
                return error_prefix(err, r, "create container %s", spec->name);
        }
        *ret_id = TAKE_PTR(id);
        return 0;
}
