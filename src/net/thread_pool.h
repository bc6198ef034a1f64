/* A pool of threads for calls that block: work runs on a thread of the pool, its result comes back on the loop.
 * Threads are started as they are needed, up to a limit, and end after some idle seconds, so that a quiet program has none.
 * Posted from the loop's thread only. */
#ifndef BERTH_NET_THREAD_POOL_H
#define BERTH_NET_THREAD_POOL_H

#include "net/loop.h"

typedef struct ThreadPool ThreadPool;

/* On a thread of the pool: it may touch nothing but its context and what is safe for threads. */
typedef int (*PoolWork)(void *context, Error **err);
/* On the loop. error is borrowed; NULL where result is 0. */
typedef void (*PoolDone)(void *context, int result, Error *error);

/* max_threads 0: no threads at all, work runs on the loop in the order of posting (tests with scripted engines). */
ThreadPool *thread_pool_create(Loop *loop, unsigned max_threads);
/* Waits for the work that is running; work that has not begun never does, and no done is called any more. */
void thread_pool_free(ThreadPool *pool);
DEFINE_CLEANUP(ThreadPool, thread_pool_free);

void thread_pool_post(ThreadPool *pool, PoolWork work, PoolDone done, void *context);
/* Posted and not done yet. */
size_t thread_pool_pending(const ThreadPool *pool);

#endif
