#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/thread_pool.h"

static atomic_int running, most;
static int finished, failed;
static Loop *the_loop;
static pthread_barrier_t barrier;

static int work(void *context, Error **err)
{
        int now = ++running, seen = most;

        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
                ;
        if (context)
                pthread_barrier_wait(&barrier); /* four at once, or for ever */
        running--;
        return finished % 2 ? 0 : error_set(err, ERROR_FAILED, "as asked");
}

static void done(void *context, int result, Error *error)
{
        failed += result < 0;
        assert_int_equal(result < 0, error != NULL);
        if (++finished == 40)
                loop_quit(the_loop);
}

static void test_four_at_once_and_no_more(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(thread_pool_freep) ThreadPool *pool = NULL;

        finished = failed = 0;
        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        the_loop = loop;
        pool = thread_pool_create(loop, 4);
        pthread_barrier_init(&barrier, NULL, 4);
        for (int i = 0; i < 40; i++)
                thread_pool_post(pool, work, done, &barrier);
        assert_int_equal(loop_run(loop, NULL), 0);
        assert_int_equal(most, 4);
        assert_int_equal(thread_pool_pending(pool), 0);
        pthread_barrier_destroy(&barrier);
}

static void test_without_threads(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(thread_pool_freep) ThreadPool *pool = NULL;

        finished = failed = 0;
        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        the_loop = loop;
        pool = thread_pool_create(loop, 0);
        for (int i = 0; i < 40; i++)
                thread_pool_post(pool, work, done, NULL);
        assert_int_equal(finished, 0);
        assert_int_equal(loop_run(loop, NULL), 0);
        assert_int_equal(finished, 40);
}

/* Freeing waits for what runs, drops what does not, and calls nobody any more. */
static void test_free_with_work_left(void **state)
{
        _cleanup_(loop_freep) Loop *loop = NULL;
        ThreadPool *pool;

        finished = 0;
        assert_int_equal(loop_create(NULL, &loop, NULL), 0);
        pool = thread_pool_create(loop, 1);
        for (int i = 0; i < 5; i++)
                thread_pool_post(pool, work, done, NULL);
        thread_pool_free(pool);
        assert_int_equal(finished, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_four_at_once_and_no_more),
                cmocka_unit_test(test_without_threads),
                cmocka_unit_test(test_free_with_work_left),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
