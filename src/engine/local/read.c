#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "engine/local/network.h"
#include "engine/local/private.h"
#include "engine/local/volume.h"
#include "image/store.h"

void local_engine_free(Engine *engine)
{
        free(engine);
}

static int read_inspect(Engine *engine, const char *id, ContainerInfo **ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        *ret = container_record_take_info(record);
        return 0;
}

static int compare_infos(const void *a, const void *b)
{
        const ContainerInfo *one = *(ContainerInfo *const *)a, *other = *(ContainerInfo *const *)b;
        int order = strcmp(one->service ? one->service : "", other->service ? other->service : "");

        if (order == 0)
                order = one->number < other->number ? -1 : one->number > other->number;
        return order ? order : strcmp(one->name, other->name);
}

/* Nothing but its id and its name is left. */
static ContainerInfo *dead_container(const Layout *layout, const char *folder, const char *id)
{
        ContainerInfo *info = xnew(ContainerInfo);
        char *name = container_name_of(layout, folder, id);

        info->id = xstrdup(id);
        info->name = name ? name : xasprintf("%.12s", id);
        info->project = streq(folder, NO_PROJECT) ? NULL : xstrdup(folder);
        info->state = CONTAINER_DEAD;
        info->damage = layout_data(layout, "projects/%s/containers/%s/container.json", folder, id);
        info->spec = container_spec_create();
        info->spec->name = arena_strdup(info->spec->arena, info->name);
        return info;
}

static int list_folder(const Layout *layout, const char *folder, ContainerList *list, Error **err)
{
        _cleanup_strv_ char **ids = NULL;
        int r = container_record_ids(layout, folder, &ids, err);

        if (r < 0)
                return r;
        STRV_FOREACH(id, ids) {
                _cleanup_record_ ContainerRecord *record = NULL;
                _cleanup_error_ Error *error = NULL;
                r = container_record_load(layout, folder, *id, &record, &error);
                if (r == -ERROR_NOT_FOUND) /* being made or removed */
                        continue;
                if (r < 0 && r != -ERROR_CORRUPT)
                        return error_move(err, &error, r);
                list->items = xreallocarray(list->items, list->length + 1, sizeof(ContainerInfo *));
                list->items[list->length++] =
                        r < 0 ? dead_container(layout, folder, *id) : container_record_take_info(record);
        }
        return 0;
}

static int read_list(Engine *engine, const char *project, ContainerList *ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_strv_ char **folders = NULL;
        int r = 0;

        if (project && !layout_project_name_is_valid(project))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a project's name", project);
        if (project)
                strv_add(&folders, project);
        else
                r = container_record_folders(engine_layout(engine), &folders, err);
        STRV_FOREACH(folder, folders) {
                r = list_folder(engine_layout(engine), *folder, &list, err);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (list.length)
                qsort(list.items, list.length, sizeof(ContainerInfo *), compare_infos);
        *ret = list;
        list = (ContainerList){ 0 };
        return 0;
}

int local_running(Engine *engine, const char *id, bool paused_too, ContainerRecord **ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        ContainerState state;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        state = container_record_state(record);
        if (state == CONTAINER_PAUSED && !paused_too)
                return error_hint(err, error_set(err, ERROR_CONFLICT, "container %s is paused", record->spec->name),
                                  "Unpause it first.");
        if (state != CONTAINER_RUNNING && state != CONTAINER_PAUSED)
                return error_hint(err,
                                  error_set(err, ERROR_CONFLICT, "container %s is not running", record->spec->name),
                                  "Start it first.");
        *ret = TAKE_PTR(record);
        return 0;
}

static int read_exit_fd(Engine *engine, const char *id, int *ret_fd, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int fd = -1;
        ContainerState state;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        state = container_record_state(record);
        if (state == CONTAINER_RUNNING || state == CONTAINER_PAUSED)
                fd = (int)syscall(SYS_pidfd_open, (pid_t)record->run.pid, 0);
        /* Opened first, then looked at again: the id may have been another process's by then. */
        if (fd < 0 || !process_is_alive((pid_t)record->run.pid, record->run.pid_start))
                return error_set(err, ERROR_NOT_FOUND, "container %s is not running", record->spec->name);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int read_image_find(Engine *engine, const char *reference, const char *policy, Image **ret, Error **err)
{
        ImagePolicy chosen = IMAGES_AUTO;

        if (policy && !image_policy_from_name(policy, &chosen))
                return error_set(err, ERROR_INVALID, "there is no image policy \"%s\"", policy);
        return image_find(engine_layout(engine), reference, chosen, ret, err);
}

static int read_network_inspect(Engine *engine, const char *name, NetworkInfo **ret, Error **err)
{
        return local_network_inspect(engine_layout(engine), name, ret, err);
}

static int read_network_list(Engine *engine, const char *project, NetworkInfo ***ret, size_t *ret_length, Error **err)
{
        return local_network_list(engine_layout(engine), project, ret, ret_length, err);
}

static int create_volume(Engine *engine, const VolumeSpec *spec, Error **err)
{
        int r = layout_prepare(engine_layout(engine), err);

        return r < 0 ? r : volume_create(engine_layout(engine), spec, err);
}

static int remove_volume(Engine *engine, const char *name, bool purge, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *info = NULL;
        _cleanup_error_ Error *error = NULL;
        int r = local_volume_inspect(engine, name, false, &info, &error);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0 && r != -ERROR_CORRUPT)
                return error_move(err, &error, r);
        if (r >= 0 && info->used_by) {
                _cleanup_free_ char *names = strv_join(info->used_by, ", ");
                return error_hint(err, error_set(err, ERROR_CONFLICT, "volume \"%s\" is used by %s", name, names),
                                  "Remove these containers first.");
        }
        return volume_remove(engine_layout(engine), name, purge, err);
}

void local_read_operations(EngineOperations *operations)
{
        operations->name = "local";
        operations->free = local_engine_free;
        operations->image_find = read_image_find;
        operations->network_inspect = read_network_inspect;
        operations->network_list = read_network_list;
        operations->volume_create = create_volume;
        operations->volume_remove = remove_volume;
        operations->volume_inspect = local_volume_inspect;
        operations->volume_list = local_volume_list;
        operations->container_inspect = read_inspect;
        operations->container_list = read_list;
        operations->container_pause = local_container_pause;
        operations->container_exit_fd = read_exit_fd;
        operations->exec = local_exec;
        operations->exec_stdio = local_exec_stdio;
        operations->attach = local_attach;
        operations->logs = local_logs;
        operations->stats = local_stats;
        operations->top = local_top;
}

int local_reader_create(const Layout *layout, Engine **ret, Error **err)
{
        LocalEngine *engine = xnew(LocalEngine);

        local_read_operations(&engine->operations);
        engine->engine.operations = &engine->operations;
        engine->engine.capabilities = ENGINE_IN_MEMORY_FILES | ENGINE_FIXED_ADDRESSES;
        engine->layout = layout;
        *ret = &engine->engine;
        return 0;
}
