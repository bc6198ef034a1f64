#include "world.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"

#define REALTIME_OFFSET_NS (INT64_C(1800000000) * NSEC_PER_SEC)
#define LIMIT_NS           (24 * 3600 * NSEC_PER_SEC)

static int64_t world_monotonic_ns(void *context)
{
        return ((World *)context)->now_ns;
}

static int64_t world_realtime_ns(void *context)
{
        return ((World *)context)->now_ns + REALTIME_OFFSET_NS;
}

static void make_keeper(World *world, bool at_boot)
{
        KeeperParts parts = { .layout = &world->layout,
                              .loop = world->loop,
                              .pool = world->pool,
                              .engine = world->engine,
                              .watch_fd = -1 };

        assert_int_equal(keeper_create(&parts, "demo", &world->keeper, NULL), 0);
        keeper_begin(world->keeper, at_boot);
        world_settle(world);
}

static void make_loop(World *world)
{
        assert_int_equal(loop_create(&world->clock, &world->loop, NULL), 0);
        world->pool = thread_pool_create(world->loop, 0);
}

int world_set_up(void **state)
{
        World *world = xnew(World);

        strcpy(world->folder, "/tmp/test-keeper-XXXXXX");
        assert_non_null(mkdtemp(world->folder));
        world->now_ns = 1000 * NSEC_PER_SEC;
        world->clock = (Clock){ world_monotonic_ns, world_realtime_ns, world };
        world->layout = (Layout){ .data_dir = path_join(world->folder, "data"),
                                  .run_dir = path_join(world->folder, "run"),
                                  .id = xstrdup("abcdef") };
        assert_int_equal(fake_engine_create(&world->clock, &world->engine), 0);
        make_loop(world);
        make_keeper(world, false);
        *state = world;
        return 0;
}

static void destroy_keeper(World *world)
{
        keeper_free(world->keeper);
        thread_pool_free(world->pool);
        loop_free(world->loop);
}

int world_tear_down(void **state)
{
        World *world = *state;

        destroy_keeper(world);
        engine_free(world->engine);
        fs_remove_tree(AT_FDCWD, world->folder, NULL);
        free(world->layout.data_dir);
        free(world->layout.run_dir);
        free(world->layout.id);
        free(world);
        return 0;
}

void world_settle(World *world)
{
        bool worked = true;

        while (worked)
                assert_int_equal(loop_turn(world->loop, 0, &worked, NULL), 0);
}

void world_pass(World *world, int64_t duration_ns)
{
        int64_t end_ns = world->now_ns + duration_ns;

        world_settle(world);
        while (loop_next_timer_ns(world->loop) <= end_ns) {
                world->now_ns = MAX(world->now_ns, loop_next_timer_ns(world->loop));
                world_settle(world);
        }
        world->now_ns = end_ns;
}

void world_replace_keeper(World *world, bool at_boot)
{
        destroy_keeper(world);
        make_loop(world);
        make_keeper(world, at_boot);
}

static json_t *parse(const char *text)
{
        _cleanup_free_ char *copy = xstrdup(text);
        json_t *object;

        for (char *c = copy; *c; c++)
                if (*c == '\'')
                        *c = '"';
        object = json_loads(copy, 0, NULL);
        assert_non_null(object);
        return object;
}

static void on_finished(void *context, json_t *result, const Error *error)
{
        Asked *asked = context;

        asked->finished = true;
        asked->request = NULL;
        asked->result = error ? NULL : json_incref(result);
        if (error)
                asked->error = error_copy(error);
}

void world_begin(World *world, Asked *asked, const char *method, const char *params)
{
        json_t *object = parse(params);

        *asked = (Asked){ .request = request_create(world->keeper, NULL, method, object) };
        json_decref(object);
        asked->request->finished = on_finished;
        asked->request->context = asked;
        keeper_enqueue(world->keeper, asked->request);
        world_settle(world);
}

void world_ask(World *world, Asked *asked, const char *method, const char *params)
{
        int64_t limit_ns = world->now_ns + LIMIT_NS;

        world_begin(world, asked, method, params);
        while (!asked->finished && world->now_ns < limit_ns) {
                assert_int_not_equal(loop_next_timer_ns(world->loop), INT64_MAX);
                world->now_ns = MAX(world->now_ns, loop_next_timer_ns(world->loop));
                world_settle(world);
        }
        assert_true(asked->finished);
}

void asked_done(Asked *asked)
{
        json_decref(asked->result);
        error_free(asked->error);
        *asked = (Asked){ 0 };
}

char *up_params(const char *services, const char *more)
{
        return xasprintf(
                "{'working_dir': '/srv/demo', 'files': ['/srv/demo/compose.yaml'], %s%s'model': {'name': 'demo', "
                "'services': %s, 'networks': {'default': {'name': 'demo_default'}}, 'volumes': {'data': {'name': "
                "'demo_data'}}}}",
                more, *more ? ", " : "", services);
}

int journal_find(World *world, const char *call)
{
        _cleanup_strv_ char **journal = fake_engine_journal(world->engine);

        for (int i = 0; journal && journal[i]; i++)
                if (streq(journal[i], call))
                        return i;
        return -1;
}

int journal_count(World *world, const char *call)
{
        _cleanup_strv_ char **journal = fake_engine_journal(world->engine);
        int count = 0;

        STRV_FOREACH(item, journal)
                count += streq(*item, call);
        return count;
}

size_t journal_length(World *world)
{
        static const char *const changes[] = { "create ", "start ", "stop ",    "kill ",  "remove ",
                                               "rename ", "pull ",  "network_", "volume_" };
        _cleanup_strv_ char **journal = fake_engine_journal(world->engine);
        size_t n = 0;

        STRV_FOREACH(item, journal)
                for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
                        n += startswith(*item, changes[i]) != NULL;
        return n;
}
