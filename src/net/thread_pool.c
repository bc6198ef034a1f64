#include "net/thread_pool.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/mem.h"

#define STACK_BYTES  ((size_t)256 * 1024)
#define IDLE_SECONDS 5

typedef struct PoolTask PoolTask;
struct PoolTask {
        ThreadPool *pool;
        PoolTask *next;
        PoolWork work;
        PoolDone done;
        void *context;
        int result;
        Error *error;
};

struct ThreadPool {
        Loop *loop;
        unsigned max_threads;
        size_t pending;       /* the loop's thread only */
        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t work_came, thread_ended;
        PoolTask *first, *last;
        size_t n_queued;
        unsigned n_threads, n_idle;
        bool ending;
};

ThreadPool *thread_pool_create(Loop *loop, unsigned max_threads)
{
        ThreadPool *pool = xnew(ThreadPool);
        pthread_condattr_t attributes;

        pool->loop = loop;
        pool->max_threads = max_threads;
        pthread_mutex_init(&pool->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&pool->work_came, &attributes);
        pthread_cond_init(&pool->thread_ended, NULL);
        pthread_condattr_destroy(&attributes);
        return pool;
}

static void task_finish(void *context)
{
        PoolTask *task = context;

        task->pool->pending--;
        task->done(task->context, task->result, task->error);
        error_free(task->error);
        free(task);
}

static void task_run(PoolTask *task)
{
        task->result = task->work(task->context, &task->error);
}

/* The end is deferred, as a thread would do it: after everything that the work itself deferred. */
static void task_run_inline(void *context)
{
        PoolTask *task = context;

        task_run(task);
        loop_defer(task->pool->loop, task_finish, task);
}

static PoolTask *take_task(ThreadPool *pool)
{
        PoolTask *task = pool->first;

        pool->first = task->next;
        if (!pool->first)
                pool->last = NULL;
        pool->n_queued--;
        return task;
}

/* Under the lock; false where the thread has nothing to do for a while or shall end. */
static bool wait_for_work(ThreadPool *pool)
{
        struct timespec deadline;

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += IDLE_SECONDS;
        pool->n_idle++;
        while (!pool->first && !pool->ending)
                if (pthread_cond_timedwait(&pool->work_came, &pool->lock, &deadline) == ETIMEDOUT)
                        break;
        pool->n_idle--;
        return pool->first && !pool->ending;
}

static void *thread_main(void *argument)
{
        ThreadPool *pool = argument;

        pthread_mutex_lock(&pool->lock);
        while ((pool->first && !pool->ending) || wait_for_work(pool)) {
                PoolTask *task = take_task(pool);
                pthread_mutex_unlock(&pool->lock);
                task_run(task);
                loop_defer(pool->loop, task_finish, task);
                pthread_mutex_lock(&pool->lock);
        }
        pool->n_threads--;
        pthread_cond_broadcast(&pool->thread_ended);
        pthread_mutex_unlock(&pool->lock);
        return NULL;
}

static bool start_thread(ThreadPool *pool)
{
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        r = pthread_create(&thread, &attributes, thread_main, pool);
        pthread_attr_destroy(&attributes);
        return r == 0;
}

void thread_pool_post(ThreadPool *pool, PoolWork work, PoolDone done, void *context)
{
        PoolTask *task = xnew(PoolTask);

        *task = (PoolTask){ .pool = pool, .work = work, .done = done, .context = context };
        pool->pending++;
        if (pool->max_threads == 0) {
                loop_defer(pool->loop, task_run_inline, task);
                return;
        }
        pthread_mutex_lock(&pool->lock);
        if (pool->last)
                pool->last->next = task;
        else
                pool->first = task;
        pool->last = task;
        pool->n_queued++;
        if (pool->n_idle < pool->n_queued && pool->n_threads < pool->max_threads && start_thread(pool))
                pool->n_threads++;
        if (pool->n_threads == 0) { /* the system gives no thread: better slow than never */
                take_task(pool);
                loop_defer(pool->loop, task_run_inline, task);
        }
        pthread_cond_signal(&pool->work_came);
        pthread_mutex_unlock(&pool->lock);
}

size_t thread_pool_pending(const ThreadPool *pool)
{
        return pool->pending;
}

void thread_pool_free(ThreadPool *pool)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->lock);
        pool->ending = true;
        pthread_cond_broadcast(&pool->work_came);
        while (pool->n_threads > 0)
                pthread_cond_wait(&pool->thread_ended, &pool->lock);
        while (pool->first)
                free(take_task(pool));
        pthread_mutex_unlock(&pool->lock);
        pthread_cond_destroy(&pool->work_came);
        pthread_cond_destroy(&pool->thread_ended);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
}
