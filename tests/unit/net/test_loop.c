#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"

typedef struct FakeTime {
        int64_t now_ns;
} FakeTime;

static int64_t fake_now(void *context)
{
        return ((FakeTime *)context)->now_ns;
}

static char order[64];

static void note_a(void *context)
{
        strcat(order, "a");
}

static void note_b(void *context)
{
        strcat(order, "b");
}

static void quit(void *context)
{
        loop_quit(context);
}

static void test_timers_on_a_clock_of_ours(void **state)
{
        FakeTime time = { 1000 };
        const Clock clock = { fake_now, fake_now, &time };
        _cleanup_(loop_freep) Loop *loop = NULL;
        LoopTimer *gone;
        bool worked;

        order[0] = '\0';
        assert_int_equal(loop_create(&clock, &loop, NULL), 0);
        loop_add_timer(loop, 3000, note_b, NULL);
        loop_add_timer(loop, 2000, note_a, NULL);
        gone = loop_add_timer(loop, 2500, note_a, NULL);
        loop_timer_remove(gone);
        assert_int_equal(loop_next_timer_ns(loop), 2000);
        assert_int_equal(loop_turn(loop, 0, &worked, NULL), 0);
        assert_false(worked);
        time.now_ns = 3600 * NSEC_PER_SEC; /* an hour goes by at once */
        assert_int_equal(loop_turn(loop, 0, &worked, NULL), 0);
        assert_true(worked);
        assert_string_equal(order, "ab");
        assert_int_equal(loop_next_timer_ns(loop), INT64_MAX);
}

static void *defer_from_thread(void *argument)
{
        for (int i = 0; i < 10; i++)
                loop_defer(argument, i % 2 ? note_b : note_a, NULL);
        loop_defer(argument, quit, argument);
        return NULL;
}

static void test_calls_from_another_thread_keep_their_order(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        pthread_t thread;

        order[0] = '\0';
        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        pthread_create(&thread, NULL, defer_from_thread, loop);
        assert_int_equal(loop_run(loop, NULL), 0);
        pthread_join(thread, NULL);
        assert_string_equal(order, "ababababab");
}

typedef struct Pair {
        Loop *loop;
        LoopIo *own, *other;
        int calls;
} Pair;

/* Two descriptors ready in one turn: the callback of the first removes both, and the second must not be called. */
static void remove_both(void *context, int fd, uint32_t events)
{
        Pair *pair = context;

        pair->calls++;
        pair->own = loop_io_remove(pair->own);
        pair->other = loop_io_remove(pair->other);
}

static void test_removal_within_a_callback(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        Pair pair = { 0 };
        int a[2], b[2];

        assert_int_equal(pipe(a), 0);
        assert_int_equal(pipe(b), 0);
        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        assert_int_equal(loop_add_io(loop, a[0], EPOLLIN, remove_both, &pair, &pair.own, NULL), 0);
        assert_int_equal(loop_add_io(loop, b[0], EPOLLIN, remove_both, &pair, &pair.other, NULL), 0);
        assert_int_equal(write(a[1], "x", 1), 1);
        assert_int_equal(write(b[1], "x", 1), 1);
        assert_int_equal(loop_turn(loop, -1, NULL, NULL), 0);
        assert_int_equal(loop_turn(loop, 0, NULL, NULL), 0);
        assert_int_equal(pair.calls, 1);
        close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

static void on_signal(void *context, int signal_number)
{
        assert_int_equal(signal_number, SIGUSR1);
        loop_quit(context);
}

static void test_signal(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;

        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        assert_int_equal(loop_add_signal(loop, SIGUSR1, on_signal, loop, NULL), 0);
        kill(getpid(), SIGUSR1);
        assert_int_equal(loop_run(loop, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_timers_on_a_clock_of_ours),
                cmocka_unit_test(test_calls_from_another_thread_keep_their_order),
                cmocka_unit_test(test_removal_within_a_callback),
                cmocka_unit_test(test_signal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
