#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/fake/private.h"

static int fake_probe(Engine *engine, Error **err)
{
        return fake_begin(engine, "probe", NULL, err);
}

static int fake_image_find(Engine *engine, const char *reference, const char *policy, Image **ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        const char *plain = startswith(reference, "sha256:");
        Image *image;

        if (strv_contains(fake->missing_images, reference))
                return error_set(err, ERROR_NOT_FOUND, "image \"%s\" is not here", reference);
        image = xnew(Image);
        image->id = plain ? xstrdup(reference) : xasprintf("sha256:%s", reference);
        image->reference = xstrdup(plain ? plain : reference);
        image->source = IMAGE_SOURCE_STORE;
        image->config.command = strv_new("run", NULL);
        *ret = image;
        return 0;
}

static int fake_image_pull(Engine *engine, const char *reference, const char *policy, const char *platform,
                           const EngineProgress *progress, Error **err)
{
        int r = fake_begin(engine, "pull", reference, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);

        if (r >= 0)
                strv_remove(fake->missing_images, reference);
        return r;
}

/* ---- networks and volumes: by name only ---- */

static int add_named(Engine *engine, const char *call, const char *name, size_t offset, Error **err)
{
        int r = fake_begin(engine, call, name, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);
        char ***names;

        if (r < 0)
                return r;
        names = (char ***)((char *)fake + offset);
        if (!strv_contains(*names, name))
                strv_add(names, name);
        return 0;
}

static int fake_network_create(Engine *engine, const NetworkSpec *spec, Error **err)
{
        return add_named(engine, "network_create", spec->name, offsetof(FakeEngine, networks), err);
}

static int fake_network_remove(Engine *engine, const char *name, Error **err)
{
        int r = fake_begin(engine, "network_remove", name, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);

        if (r < 0)
                return r;
        VECTOR_FOREACH(item, &fake->containers)
                for (size_t i = 0; i < (*item)->spec->n_networks; i++)
                        if (fake_runs(*item) && streq((*item)->spec->networks[i].network, name))
                                return error_set(err, ERROR_CONFLICT, "network \"%s\" is used by %s", name,
                                                 (*item)->spec->name);
        strv_remove(fake->networks, name);
        return 0;
}

static int fake_network_inspect(Engine *engine, const char *name, NetworkInfo **ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        if (!strv_contains(fake->networks, name))
                return error_set(err, ERROR_NOT_FOUND, "network \"%s\" does not exist", name);
        *ret = xnew(NetworkInfo);
        (*ret)->name = xstrdup(name);
        (*ret)->id = xstrdup(name);
        (*ret)->driver = xstrdup("bridge");
        return 0;
}

static int fake_network_list(Engine *engine, const char *project, NetworkInfo ***ret, size_t *ret_length, Error **err)
{
        _cleanup_strv_ char **names = NULL;

        {
                _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
                names = strv_copy(fake->networks);
        }
        *ret = xnew_array(NetworkInfo *, strv_length(names) + 1);
        *ret_length = 0;
        STRV_FOREACH(name, names)
                if (fake_network_inspect(engine, *name, &(*ret)[*ret_length], NULL) >= 0)
                        (*ret_length)++;
        return 0;
}

static int fake_volume_create(Engine *engine, const VolumeSpec *spec, Error **err)
{
        return add_named(engine, "volume_create", spec->name, offsetof(FakeEngine, volumes), err);
}

static int fake_volume_remove(Engine *engine, const char *name, bool purge, Error **err)
{
        int r = fake_begin(engine, "volume_remove", name, err);
        _cleanup_fake_lock_ FakeEngine *fake = r < 0 ? NULL : fake_lock(engine);

        if (r < 0)
                return r;
        VECTOR_FOREACH(item, &fake->containers)
                for (size_t i = 0; i < (*item)->spec->n_mounts; i++)
                        if (streq_ptr((*item)->spec->mounts[i].source, name))
                                return error_set(err, ERROR_CONFLICT, "volume \"%s\" is used by %s", name,
                                                 (*item)->spec->name);
        strv_remove(fake->volumes, name);
        return 0;
}

static int fake_volume_inspect(Engine *engine, const char *name, bool with_size, VolumeInfo **ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        if (!strv_contains(fake->volumes, name))
                return error_set(err, ERROR_NOT_FOUND, "volume \"%s\" does not exist", name);
        *ret = xnew(VolumeInfo);
        (*ret)->name = xstrdup(name);
        (*ret)->driver = xstrdup("local");
        return 0;
}

static int fake_volume_list(Engine *engine, const char *project, VolumeInfo ***ret, size_t *ret_length, Error **err)
{
        _cleanup_strv_ char **names = NULL;

        {
                _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
                names = strv_copy(fake->volumes);
        }
        *ret = xnew_array(VolumeInfo *, strv_length(names) + 1);
        *ret_length = 0;
        STRV_FOREACH(name, names)
                if (fake_volume_inspect(engine, *name, false, &(*ret)[*ret_length], NULL) >= 0)
                        (*ret_length)++;
        return 0;
}

/* ---- inside containers ---- */

static int fake_exec(Engine *engine, const char *id, const ExecSpec *spec, ExecResult *ret, Error **err)
{
        _cleanup_free_ char *name = NULL;
        FakeContainer *container;
        const FakeRule *rule;
        int r;

        *ret = (ExecResult){ 0 };
        {
                _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
                r = fake_get(fake, id, &container, err);
                if (r >= 0 && container->state != CONTAINER_RUNNING)
                        r = error_set(err, ERROR_CONFLICT, "container %s is not running", container->spec->name);
                if (r < 0)
                        return r;
                name = xstrdup(container->spec->name);
                rule = fake_last_rule(fake, "exec gives", name);
                ret->exit_code = rule ? rule->exit_code : 0;
                ret->output = xstrdup(rule && rule->message ? rule->message : "");
        }
        r = fake_begin(engine, "exec", name, err);
        if (r < 0)
                free_and_replace(&ret->output, NULL);
        return r;
}

static int fake_exec_stdio(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err)
{
        ExecResult result;
        int r = fake_exec(engine, id, spec, &result, err);

        *ret_exit_code = result.exit_code;
        free(result.output);
        return r;
}

static int fake_logs(Engine *engine, const char *id, const LogQuery *query, LogSink sink, void *context, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container;
        size_t first = 0;
        int r = fake_get(fake, id, &container, err);

        if (r < 0)
                return r;
        if (query->tail >= 0 && (size_t)query->tail < container->log.length)
                first = container->log.length - (size_t)query->tail;
        for (size_t i = first; r >= 0 && i < container->log.length; i++) {
                const FakeLine *line = &container->log.items[i];
                if ((!query->since_ns || line->time_ns >= query->since_ns) &&
                    (!query->until_ns || line->time_ns <= query->until_ns))
                        r = sink(context, line->stream, line->time_ns, line->text, strlen(line->text));
        }
        return r;
}

static int fake_stats(Engine *engine, const char *id, ContainerStats *ret, Error **err)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container;
        int r = fake_get(fake, id, &container, err);

        *ret = (ContainerStats){ .pids = 1, .memory_bytes = 1 << 20, .memory_limit_bytes = 1 << 30 };
        if (r >= 0 && !fake_runs(container))
                r = error_set(err, ERROR_CONFLICT, "container %s is not running", container->spec->name);
        return r;
}

static int fake_top(Engine *engine, const char *id, char ****ret_rows, size_t *ret_length, Error **err)
{
        ContainerStats unused;
        int r = fake_stats(engine, id, &unused, err);

        if (r < 0)
                return r;
        *ret_rows = xnew_array(char **, 2);
        (*ret_rows)[0] = strv_new("PID", "CMD", NULL);
        (*ret_rows)[1] = strv_new("1000", "run", NULL);
        *ret_length = 2;
        return 0;
}

static int fake_dial(Engine *engine, const char *id, uint16_t port, int *ret_fd, Error **err)
{
        return error_set(err, ERROR_UNSUPPORTED, "nothing listens in a fake container");
}

static int fake_rotate(Engine *engine, const char *id, Error **err)
{
        return fake_begin(engine, "rotate", id, err);
}

static int fake_recover(Engine *engine, const char *project, const EngineProgress *progress, Error **err)
{
        return fake_begin(engine, "recover", project, err);
}

void fake_other_operations(EngineOperations *operations)
{
        operations->probe = fake_probe;
        operations->image_find = fake_image_find;
        operations->image_pull = fake_image_pull;
        operations->network_create = fake_network_create;
        operations->network_remove = fake_network_remove;
        operations->network_inspect = fake_network_inspect;
        operations->network_list = fake_network_list;
        operations->volume_create = fake_volume_create;
        operations->volume_remove = fake_volume_remove;
        operations->volume_inspect = fake_volume_inspect;
        operations->volume_list = fake_volume_list;
        operations->container_rotate_logs = fake_rotate;
        operations->exec = fake_exec;
        operations->exec_stdio = fake_exec_stdio;
        operations->attach = fake_exec_stdio;
        operations->logs = fake_logs;
        operations->stats = fake_stats;
        operations->top = fake_top;
        operations->dial = fake_dial;
        operations->recover = fake_recover;
}
