/* When commits go on without a receiver: by state and by the clock, whatever came before. */
#include "world.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "keeper/commit_watch.h"

#define S NSEC_PER_SEC

typedef struct Watched {
        World *world;
        CommitWatch watch;
        unsigned due;
} Watched;

static void on_due(void *context)
{
        ((Watched *)context)->due++;
}

static void say(World *world, const char *backup)
{
        json_decref(world->keeper->state.model);
        world->keeper->state.model =
                json_pack("{s:{s:{s:{s:o}}}}", "services", "db", "x-berth", "backup", json_loads(backup, 0, NULL));
        assert_non_null(world->keeper->state.model);
}

static Watched watched(World *world, const char *backup)
{
        say(world, backup);
        return (Watched){ .world = world };
}

static void begin(Watched *watched)
{
        commit_watch_init(&watched->watch, watched->world->keeper, "db", on_due, watched);
}

/* The receiver tells its state, the number-th time. */
static void tell(World *world, int64_t number)
{
        _cleanup_free_ char *path = path_join(world->folder, "run/projects/demo/receivers/db.json"),
                            *folder = path_dirname(path);
        const struct timespec times[] = { { .tv_sec = number }, { .tv_sec = number } };
        _cleanup_close_ int fd = -1;

        assert_int_equal(fs_make_directories(folder, 0700, NULL), 0);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(futimens(fd, times), 0);
}

/* Seconds go by in which it streams, looked at each second. */
static ReceiverPulse stream(Watched *watched, int64_t *number, int seconds, bool tells)
{
        ReceiverPulse pulse = RECEIVER_LIVES;

        for (int i = 0; i < seconds; i++) {
                if (tells)
                        tell(watched->world, ++*number);
                pulse = commit_watch_see(&watched->watch, true);
                world_pass(watched->world, S);
        }
        return pulse;
}

static const char asynchronous[] = "{\"synchronous\": true, \"when_unavailable\": {\"async_after\": \"20s\"}}";
static const char waits[] = "{\"synchronous\": true, \"when_unavailable\": \"wait\"}";

static void test_time_passes(void **state)
{
        Watched watched_ = watched(*state, asynchronous), *w = &watched_;
        int64_t number = 0;

        begin(w);
        world_pass(w->world, 19 * S);
        assert_int_equal(w->due, 0);
        world_pass(w->world, 2 * S);
        assert_int_equal(w->due, 1);
        /* It did not work: again, soon; then it is done, however long nobody comes. */
        commit_watch_freed(&w->watch, -1);
        world_pass(w->world, 6 * S);
        assert_int_equal(w->due, 2);
        commit_watch_freed(&w->watch, 0);
        commit_watch_away(&w->watch);
        assert_int_equal(commit_watch_see(&w->watch, false), RECEIVER_LIVES);
        world_pass(w->world, 100 * S);
        assert_int_equal(w->due, 2);
        /* Back, and away: from the beginning, and since the first time that it was seen away. */
        stream(w, &number, 3, true);
        world_pass(w->world, 10 * S);
        assert_int_equal(w->due, 2);
        commit_watch_see(&w->watch, false);
        world_pass(w->world, 15 * S);
        commit_watch_away(&w->watch);
        world_pass(w->world, 6 * S);
        assert_int_equal(w->due, 3);
        /* There was one after all, which goes away again. */
        commit_watch_freed(&w->watch, 1);
        world_pass(w->world, 60 * S);
        assert_int_equal(w->due, 3);
        commit_watch_away(&w->watch);
        world_pass(w->world, 21 * S);
        assert_int_equal(w->due, 4);
        commit_watch_done(&w->watch);
}

static void test_words_change(void **state)
{
        Watched watched_ = watched(*state, waits), *w = &watched_;

        begin(w);
        world_pass(w->world, 3600 * S);
        assert_int_equal(w->due, 0);
        say(w->world, asynchronous);
        commit_watch_update(&w->watch);
        world_pass(w->world, S);
        assert_int_equal(w->due, 1);
        commit_watch_done(&w->watch);
        /* A longer time becomes a shorter one, and then nobody asks for it any more. */
        for (int i = 0; i < 2; i++) {
                say(w->world, "{\"synchronous\": true, \"when_unavailable\": {\"async_after\": \"1h\"}}");
                begin(w);
                world_pass(w->world, 60 * S);
                assert_int_equal(w->due, 1 + i);
                say(w->world, i ? "{\"synchronous\": false}" : asynchronous);
                commit_watch_update(&w->watch);
                world_pass(w->world, S);
                assert_int_equal(w->due, 2 + i);
                commit_watch_done(&w->watch);
        }
}

static void test_one_that_hangs(void **state)
{
        Watched watched_ = watched(*state, asynchronous), *w = &watched_;
        int64_t number = 0;

        begin(w);
        assert_int_equal(stream(w, &number, 100, true), RECEIVER_LIVES);
        assert_int_equal(w->due, 0);
        assert_int_equal(stream(w, &number, 14, false), RECEIVER_LIVES);
        assert_int_equal(stream(w, &number, 4, false), RECEIVER_HANGS);
        assert_int_equal(w->due, 0);
        assert_int_equal(stream(w, &number, 5, false), RECEIVER_HANGS); /* 20 s since it last told something */
        assert_int_equal(w->due, 1);
        commit_watch_freed(&w->watch, 0);
        assert_int_equal(stream(w, &number, 30, false), RECEIVER_HANGS);
        assert_int_equal(stream(w, &number, 10, false), RECEIVER_IS_STUCK);
        assert_int_equal(stream(w, &number, 1, true), RECEIVER_LIVES);
        /* One that does not say that it streams is at something that takes time. */
        for (int i = 0; i < 100; i++) {
                assert_int_equal(commit_watch_see(&w->watch, false), RECEIVER_LIVES);
                world_pass(w->world, S);
        }
        commit_watch_done(&w->watch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_time_passes, world_set_up, world_tear_down),
                cmocka_unit_test_setup_teardown(test_words_change, world_set_up, world_tear_down),
                cmocka_unit_test_setup_teardown(test_one_that_hangs, world_set_up, world_tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
