#include "engine/fake/fake.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "engine/fake/private.h"
#include "state/document.h"

FakeEngine *fake_lock(Engine *engine)
{
        FakeEngine *fake = (FakeEngine *)engine;

        pthread_mutex_lock(&fake->mutex);
        return fake;
}

void fake_unlockp(FakeEngine **fake)
{
        if (*fake)
                pthread_mutex_unlock(&(*fake)->mutex);
}

int64_t fake_now(const FakeEngine *fake)
{
        return fake->clock->realtime_ns(fake->clock->context);
}

static bool applies(const FakeRule *rule, const char *call, const char *name)
{
        return streq(rule->call, call) && (!rule->name || (name && streq(rule->name, name)));
}

int fake_begin(Engine *engine, const char *call, const char *name, Error **err)
{
        int delay_ms = 0, r = 0;

        {
                _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
                strv_addf(&fake->journal, "%s %s", call, name ? name : "");
                VECTOR_FOREACH(rule, &fake->rules) {
                        if (!applies(rule, call, name))
                                continue;
                        delay_ms += rule->delay_ms;
                        if (rule->times > 0 && r >= 0) {
                                rule->times--;
                                r = error_set(err, rule->kind, "%s", rule->message);
                        }
                }
        }
        if (delay_ms > 0)
                nanosleep(&(struct timespec){ delay_ms / 1000, delay_ms % 1000 * NSEC_PER_MSEC }, NULL);
        return r;
}

/* ---- containers ---- */

FakeContainer *fake_find(FakeEngine *fake, const char *id_or_name)
{
        VECTOR_FOREACH(item, &fake->containers)
                if (streq((*item)->id, id_or_name) || streq((*item)->spec->name, id_or_name))
                        return *item;
        return NULL;
}

int fake_get(FakeEngine *fake, const char *id_or_name, FakeContainer **ret, Error **err)
{
        *ret = fake_find(fake, id_or_name);
        return *ret ? 0 : error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", id_or_name);
}

void fake_container_free(FakeContainer *container)
{
        container_spec_free(container->spec);
        fs_close(container->exit_fd);
        free(container->id);
        free(container->health);
        free(container->exec_output);
        for (size_t i = 0; i < container->log.length; i++)
                free(container->log.items[i].text);
        vector_done(&container->log);
        free(container);
}

bool fake_runs(const FakeContainer *container)
{
        return container->state == CONTAINER_RUNNING || container->state == CONTAINER_PAUSED;
}

void fake_end(FakeEngine *fake, FakeContainer *container, int exit_code)
{
        uint64_t one = 1;

        if (!fake_runs(container))
                return;
        container->state = CONTAINER_EXITED;
        container->exit_code = exit_code;
        container->finished_ns = fake_now(fake);
        if (write(container->exit_fd, &one, sizeof(one)) < 0)
                abort();
}

/* ---- the script ---- */

void fake_engine_fail(Engine *engine, const char *call, const char *name, int times, ErrorKind kind,
                      const char *message)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        vector_add(&fake->rules, (FakeRule){ .call = xstrdup(call),
                                             .name = xstrdup(name),
                                             .times = times,
                                             .kind = kind,
                                             .message = xstrdup(message) });
}

void fake_engine_delay(Engine *engine, const char *call, const char *name, int delay_ms)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        vector_add(&fake->rules, (FakeRule){ .call = xstrdup(call), .name = xstrdup(name), .delay_ms = delay_ms });
}

void fake_engine_exit(Engine *engine, const char *name, int exit_code)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container = fake_find(fake, name);

        if (container && fake_runs(container))
                fake_end(fake, container, exit_code);
        else
                vector_add(&fake->rules,
                           (FakeRule){ .call = xstrdup("ends"), .name = xstrdup(name), .exit_code = exit_code });
}

void fake_engine_exec_result(Engine *engine, const char *name, int exit_code, const char *output)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        vector_add(&fake->rules, (FakeRule){ .call = xstrdup("exec gives"),
                                             .name = xstrdup(name),
                                             .exit_code = exit_code,
                                             .message = xstrdup(output) });
}

const FakeRule *fake_last_rule(const FakeEngine *fake, const char *call, const char *name)
{
        const FakeRule *last = NULL;

        VECTOR_FOREACH(rule, &fake->rules)
                if (applies(rule, call, name))
                        last = rule;
        return last;
}

void fake_engine_forget_image(Engine *engine, const char *reference)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        strv_add(&fake->missing_images, reference);
}

void fake_engine_log(Engine *engine, const char *name, int stream, const char *text)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);
        FakeContainer *container = fake_find(fake, name);

        if (container)
                vector_add(&container->log,
                           (FakeLine){ .stream = stream, .time_ns = fake_now(fake), .text = xstrdup(text) });
}

char **fake_engine_journal(Engine *engine)
{
        _cleanup_fake_lock_ FakeEngine *fake = fake_lock(engine);

        return strv_copy(fake->journal);
}

static void fake_free(Engine *engine)
{
        FakeEngine *fake = (FakeEngine *)engine;

        VECTOR_FOREACH(item, &fake->containers)
                fake_container_free(*item);
        VECTOR_FOREACH(rule, &fake->rules) {
                free(rule->call);
                free(rule->name);
                free(rule->message);
        }
        vector_done(&fake->containers);
        vector_done(&fake->rules);
        strv_free(fake->journal);
        strv_free(fake->missing_images);
        strv_free(fake->networks);
        strv_free(fake->volumes);
        pthread_mutex_destroy(&fake->mutex);
        free(fake);
}

int fake_engine_create(const Clock *clock, Engine **ret)
{
        FakeEngine *fake = xnew(FakeEngine);

        pthread_mutex_init(&fake->mutex, NULL);
        fake->clock = clock ? clock : &system_clock;
        fake->operations.name = "fake";
        fake->operations.free = fake_free;
        fake_container_operations(&fake->operations);
        fake_other_operations(&fake->operations);
        fake->engine.operations = &fake->operations;
        fake->engine.capabilities = ENGINE_IN_MEMORY_FILES | ENGINE_FIXED_ADDRESSES;
        *ret = &fake->engine;
        return 0;
}
