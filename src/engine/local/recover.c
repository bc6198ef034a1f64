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
#include "engine/local/network.h"
#include "engine/local/rootfs.h"
#include "engine/local/runtime.h"
#include "engine/local/volume.h"
#include "image/store.h"
#include "state/document.h"

static void warn(const EngineProgress *progress, const Error *error, const char *what, const char *id)
{
        _cleanup_free_ char *text = xasprintf("%s %.12s: %s", what, id, error ? error->message : "unknown error");

        tell_warning(progress, text);
}

static void tell_repair(const EngineProgress *progress, const char *damaged, const char *kept, const char *how)
{
        _cleanup_free_ char *text = xasprintf("\"%s\" was damaged: kept as \"%s\"; %s", damaged, kept, how);

        tell_warning(progress, text);
}

/* What cannot be read is kept aside and written anew: from the copy beside what runs, or as it is now. */
static int repair(const ContainerRecord *record, const EngineProgress *progress, Error **err)
{
        _cleanup_free_ char *kept = NULL;
        int r = document_keep_copy(record->damage, &kept, err);

        if (r < 0)
                return r;
        r = endswith(record->damage, "/state.json") ? container_record_save_past(record, true, err)
                                                    : container_record_save(record, err);
        if (r >= 0)
                tell_repair(progress, record->damage, kept, "rebuilt");
        return r;
}

/* There is no copy: it has not run since the machine started. Its folder stays, out of the way. */
static int give_up(const Layout *layout, const char *folder, const char *id, const EngineProgress *progress,
                   Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "projects/%s/containers/%s", folder, id);
        _cleanup_free_ char *damaged = path_join(path, "container.json"), *kept = NULL;
        int r = document_keep_aside(path, &kept, err);

        if (r >= 0)
                tell_repair(progress, damaged, kept, "nothing was left to rebuild it from");
        return r;
}

/* Its name may have been lost (index damaged) or be another's (its creation was cut off). */
static int recover_name(const Layout *layout, ContainerRecord *record, bool runs, Error **err)
{
        _cleanup_free_ char *folder = NULL, *holder = NULL;
        int r = container_name_resolve(layout, record->spec->name, &folder, &holder, NULL);

        if (r >= 0 && streq(holder, record->id))
                return 0;
        if (!runs && !record->past.started_ns)
                return container_erase(layout, record, err);
        return container_name_claim(layout, record->spec->name, record->folder, record->id, err);
}

static int recover_container(const Layout *layout, const char *folder, const char *id, const EngineProgress *progress,
                             char ***live, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_error_ Error *error = NULL;
        _cleanup_close_ int lock = -1;
        ContainerState state;
        bool runs;
        int r = container_lock(layout, id, &record, &lock, &error);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r == -ERROR_CORRUPT)
                return give_up(layout, folder, id, progress, err);
        if (r >= 0 && record->damage)
                r = repair(record, progress, &error);
        if (r < 0)
                return error_move(err, &error, r);
        state = container_record_state(record);
        runs = (state == CONTAINER_RUNNING || state == CONTAINER_PAUSED) && !container_is_half_started(layout, record);
        if (runs)
                strv_add(live, id);
        else
                r = container_release(layout, record, err);
        return r < 0 ? r : recover_name(layout, record, runs, err);
}

/* Folders of containers whose record is gone: made by a create or left by a remove that was cut off. */
static void sweep_folder(const Layout *layout, const char *folder)
{
        _cleanup_free_ char *data = layout_data(layout, "projects/%s/containers", folder);
        _cleanup_free_ char *run = layout_run(layout, "projects/%s/containers", folder);
        _cleanup_strv_ char **names = NULL, **run_names = NULL;

        fs_list_directory(AT_FDCWD, data, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(data, *name), *record = path_join(path, "container.json");
                if (endswith(*name, ".removed") || (!fs_exists(record) && !strstr(*name, ".corrupt-")))
                        fs_remove_tree(AT_FDCWD, path, NULL);
        }
        fs_list_directory(AT_FDCWD, run, &run_names, NULL);
        STRV_FOREACH(name, run_names) {
                _cleanup_free_ char *path = path_join(run, *name), *merged = path_join(path, "merged");
                _cleanup_free_ char *record = xasprintf("%s/%s/container.json", data, *name);
                if (fs_exists(record))
                        continue;
                while (mount_is_point(merged) && umount2(merged, MNT_DETACH) == 0)
                        ;
                fs_remove_tree(AT_FDCWD, path, NULL);
        }
}

static bool has_record(const Layout *layout, const char *id)
{
        _cleanup_record_ ContainerRecord *record = NULL;

        return container_record_find(layout, id, &record, NULL) != -ERROR_NOT_FOUND;
}

/* Processes, cgroups and the runtime's notes of containers that are no more. */
static void sweep_kernel(const Layout *layout)
{
        _cleanup_free_ char *parent = xasprintf("/berth-%s", layout->id), *state = runtime_state_path(layout);
        _cleanup_strv_ char **children = cgroup_children(parent), **known = NULL;

        STRV_FOREACH(id, children) {
                _cleanup_free_ char *cgroup = path_join(parent, *id);
                if (strlen(*id) != 64 || has_record(layout, *id))
                        continue;
                cgroup_kill(cgroup);
                cgroup_remove(cgroup);
        }
        fs_list_directory(AT_FDCWD, state, &known, NULL);
        STRV_FOREACH(id, known) {
                _cleanup_free_ char *path = path_join(state, *id);
                if (!has_record(layout, *id))
                        fs_remove_tree(AT_FDCWD, path, NULL);
        }
        container_remove_parent_cgroups(layout);
}

static void sweep_names(const Layout *layout)
{
        _cleanup_free_ char *path = layout_data(layout, "names"), *lock_path = layout_run(layout, "names.lock");
        _cleanup_strv_ char **names = NULL;
        _cleanup_close_ int lock = -1;

        if (fs_list_directory(AT_FDCWD, path, &names, NULL) < 0 || lock_file(lock_path, -1, &lock, NULL) < 0)
                return;
        STRV_FOREACH(name, names) {
                _cleanup_record_ ContainerRecord *record = NULL;
                _cleanup_free_ char *folder = NULL, *id = NULL, *link = path_join(path, *name);
                int r = container_name_resolve(layout, *name, &folder, &id, NULL);
                if (r >= 0)
                        r = container_record_load(layout, folder, id, &record, NULL);
                if (r == -ERROR_NOT_FOUND || (r >= 0 && !streq(record->spec->name, *name)))
                        unlink(link);
        }
}

/* Under the lock of creators: what is half made then was cut off. */
static int sweep(const Layout *layout, char *const *folders, Error **err)
{
        _cleanup_close_ int creating = -1;
        int r = create_lock(layout, true, &creating, err);

        if (r < 0)
                return r;
        STRV_FOREACH(folder, folders)
                sweep_folder(layout, *folder);
        sweep_names(layout);
        sweep_kernel(layout);
        return 0;
}

static void recover_images(const Layout *layout, const EngineProgress *progress)
{
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *damaged = NULL;
        int r = image_store_mend(layout, &damaged, &error);

        if (r < 0)
                warn(progress, error, "the image store", "");
        else if (damaged)
                tell_repair(progress, damaged, "names.json.corrupt-…", "rebuilt from its copy");
}

int local_recover(Engine *engine, const char *project, const EngineProgress *progress, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_strv_ char **folders = NULL, **live = NULL;
        int r = layout_prepare(layout, err);

        if (r >= 0 && project)
                strv_add(&folders, project);
        else if (r >= 0)
                r = container_record_folders(layout, &folders, err);
        if (r < 0)
                return r;
        recover_images(layout, progress);
        STRV_FOREACH(folder, folders) {
                _cleanup_strv_ char **ids = NULL;
                container_record_ids(layout, *folder, &ids, NULL);
                STRV_FOREACH(id, ids) {
                        _cleanup_error_ Error *error = NULL;
                        if (recover_container(layout, *folder, *id, progress, &live, &error) < 0)
                                warn(progress, error, "container", *id);
                }
        }
        r = sweep(layout, folders, err);
        if (r < 0)
                return r;
        volume_trash_empty(layout, TRASH_KEPT_NS, NULL, NULL);
        return local_network_recover(layout, project, live, progress, err);
}
