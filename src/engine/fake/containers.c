#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/fake/private.h"
#include "state/document.h"

static char *name_of(Engine *engine, const char *id)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        const FakeContainer *container = fake_find(fake, id);

        return xstrdup(container ? container->spec->name : id);
}

static int begin_on(Engine *engine, const char *call, const char *id, Error **err)
{
        _cleanup_free_ char *name = name_of(engine, id);

        return fake_begin(engine, call, name, err);
}

static int take_existing(FakeContainer *container, const ContainerSpec *spec, char **ret_id, Error **err)
{
        _cleanup_json_ json_t *wanted = container_spec_to_json(spec),
                              *present = container_spec_to_json(container->spec);

        if (!json_equal(wanted, present))
                return error_set(err, ERROR_EXISTS, "container \"%s\" exists already, with other settings", spec->name);
        *ret_id = xstrdup(container->id);
        return 0;
}

static int fake_create(Engine *engine, const ContainerSpec *spec, const EngineProgress *progress, char **ret_id,
                       Error **err)
{
        int r = fake_begin(engine, "create", spec->name, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        _cleanup_json_ json_t *json = NULL;
        FakeContainer *container;

        if (r < 0)
                return r;
        if (!spec->argv || !spec->argv[0])
                return error_set(err, ERROR_INVALID, "container %s has no command", spec->name);
        container = fake_find(fake, spec->name);
        if (container)
                return take_existing(container, spec, ret_id, err);
        container = xnew(FakeContainer);
        json = container_spec_to_json(spec);
        r = container_spec_from_json(json, &container->spec, err);
        if (r < 0) {
                free(container);
                return r;
        }
        container->id = xasprintf("%064x", ++fake->next_id);
        container->exit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        container->created_ns = fake_now(fake);
        vector_add(&fake->containers, container);
        *ret_id = xstrdup(container->id);
        return 0;
}

static int fake_start(Engine *engine, const char *id, const EngineProgress *progress, Error **err)
{
        int r = begin_on(engine, "start", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        FakeContainer *container;
        const FakeRule *rule;

        if (r >= 0)
                r = fake_get(fake, id, &container, err);
        if (r < 0 || fake_runs(container))
                return r;
        /* A new descriptor for each run: who watches the last one still sees that it ended. */
        fs_close(container->exit_fd);
        container->exit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        container->state = CONTAINER_RUNNING;
        container->manually_stopped = container->halted = false;
        container->started_ns = fake_now(fake);
        if (container->health)
                free_and_replace(&container->health, xstrdup(HEALTH_OF_A_START));
        rule = fake_last_rule(fake, "ends", container->spec->name);
        if (rule)
                fake_end(fake, container, rule->exit_code);
        return 0;
}

static int fake_stop(Engine *engine, const char *id, int grace_ms, StopReason reason, Error **err)
{
        int r = begin_on(engine, "stop", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        FakeContainer *container;

        if (r >= 0)
                r = fake_get(fake, id, &container, err);
        if (r < 0)
                return r;
        container->manually_stopped |= reason == STOP_BY_COMMAND;
        container->halted |= reason == STOP_FOR_HALT;
        fake_end(fake, container, 0);
        return 0;
}

static int not_running(const FakeContainer *container, Error **err)
{
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->spec->name);
}

static int fake_kill(Engine *engine, const char *id, int signal_number, Error **err)
{
        int r = begin_on(engine, "kill", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        FakeContainer *container;

        if (r >= 0)
                r = fake_get(fake, id, &container, err);
        if (r < 0)
                return r;
        if (!fake_runs(container))
                return not_running(container, err);
        if (signal_number == SIGKILL || signal_number == SIGTERM || signal_number == SIGINT)
                fake_end(fake, container, 128 + signal_number);
        return 0;
}

static int fake_pause(Engine *engine, const char *id, bool pause, Error **err)
{
        int r = begin_on(engine, pause ? "pause" : "unpause", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        FakeContainer *container;

        if (r >= 0)
                r = fake_get(fake, id, &container, err);
        if (r < 0)
                return r;
        if (!fake_runs(container))
                return not_running(container, err);
        container->state = pause ? CONTAINER_PAUSED : CONTAINER_RUNNING;
        return 0;
}

static int fake_remove(Engine *engine, const char *id, unsigned flags, Error **err)
{
        int r = begin_on(engine, "remove", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);

        if (r < 0)
                return r;
        for (size_t i = 0; i < fake->containers.length; i++) {
                FakeContainer *container = fake->containers.items[i];
                if (!streq(container->id, id) && !streq(container->spec->name, id))
                        continue;
                if (fake_runs(container))
                        return error_set(err, ERROR_CONFLICT, "container %s is running", container->spec->name);
                fake_container_free(container);
                memmove(&fake->containers.items[i], &fake->containers.items[i + 1],
                        (--fake->containers.length - i) * sizeof(container));
                return 0;
        }
        return 0;
}

static int fake_rename(Engine *engine, const char *id, const char *name, Error **err)
{
        int r = begin_on(engine, "rename", id, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        FakeContainer *container, *other;

        if (r >= 0)
                r = fake_get(fake, id, &container, err);
        if (r < 0)
                return r;
        other = fake_find(fake, name);
        if (other && other != container)
                return error_set(err, ERROR_EXISTS, "container name \"%s\" is taken", name);
        container->spec->name = arena_strdup(container->spec->arena, name);
        return 0;
}

/* ---- looking ---- */

static ContainerInfo *info_of(const FakeContainer *container)
{
        _cleanup_json_ json_t *json = container_spec_to_json(container->spec);
        ContainerInfo *info = xnew(ContainerInfo);
        const ContainerSpec *spec = container->spec;

        *info = (ContainerInfo){
                .id = xstrdup(container->id),
                .name = xstrdup(spec->name),
                .image = xstrdup(spec->image),
                .image_id = xstrdup(spec->image_id),
                .project = xstrdup(spec->project),
                .service = xstrdup(spec->service),
                .number = spec->number,
                .oneoff = spec->oneoff,
                .state = container->state,
                .manually_stopped = container->manually_stopped,
                .halted = container->halted,
                .pid = fake_runs(container) ? 1000 : 0,
                .exit_code = container->exit_code,
                .created_ns = container->created_ns,
                .started_ns = container->started_ns,
                .finished_ns = container->finished_ns,
                .restart_count = container->restart_count,
                .health = xstrdup(container->health),
        };
        if (container_spec_from_json(json, &info->spec, NULL) < 0)
                abort();
        return info;
}

static int fake_inspect(Engine *engine, const char *id, ContainerInfo **ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container;
        int r = fake_get(fake, id, &container, err);

        if (r >= 0)
                *ret = info_of(container);
        return r;
}

static int compare_infos(const void *a, const void *b)
{
        const ContainerInfo *one = *(ContainerInfo *const *)a, *other = *(ContainerInfo *const *)b;
        int order = strcmp(one->service ? one->service : "", other->service ? other->service : "");

        return order ? order : one->number - other->number;
}

static int fake_list(Engine *engine, const char *project, ContainerList *ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        *ret = (ContainerList){ xnew_array(ContainerInfo *, fake->containers.length + 1), 0 };
        VECTOR_FOREACH(item, &fake->containers)
                if (!project || streq_ptr((*item)->spec->project, project))
                        ret->items[ret->length++] = info_of(*item);
        qsort(ret->items, ret->length, sizeof(ContainerInfo *), compare_infos);
        return 0;
}

static int fake_exit_fd(Engine *engine, const char *id, int *ret_fd, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container;
        int r = fake_get(fake, id, &container, err);

        if (r < 0)
                return r;
        if (!fake_runs(container))
                return error_set(err, ERROR_NOT_FOUND, "container %s is not running", container->spec->name);
        *ret_fd = fcntl(container->exit_fd, F_DUPFD_CLOEXEC, 3);
        return 0;
}

static int fake_note(Engine *engine, const char *id, const char *health, int64_t restart_count, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container;
        int r = fake_get(fake, id, &container, err);

        if (r < 0)
                return r;
        free_and_replace(&container->health, xstrdup(health));
        container->restart_count = restart_count;
        return 0;
}

static int fake_refresh(Engine *engine, const char *id, Error **err)
{
        return begin_on(engine, "refresh", id, err);
}

void fake_container_operations(EngineOperations *operations)
{
        operations->container_create = fake_create;
        operations->container_start = fake_start;
        operations->container_stop = fake_stop;
        operations->container_kill = fake_kill;
        operations->container_pause = fake_pause;
        operations->container_remove = fake_remove;
        operations->container_rename = fake_rename;
        operations->container_inspect = fake_inspect;
        operations->container_list = fake_list;
        operations->container_exit_fd = fake_exit_fd;
        operations->container_note = fake_note;
        operations->container_refresh = fake_refresh;
}
