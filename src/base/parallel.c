#include "base/parallel.h"

#include <pthread.h>

#define THREADS_MAX 16

typedef struct Parallel {
        size_t count, next; /* next: taken atomically by the threads */
        void (*step)(void *context, size_t i);
        void *context;
} Parallel;

static void *run_some(void *argument)
{
        Parallel *parallel = argument;

        for (;;) {
                size_t i = __atomic_fetch_add(&parallel->next, 1, __ATOMIC_RELAXED);

                if (i >= parallel->count)
                        return NULL;
                parallel->step(parallel->context, i);
        }
}

void parallel_run(size_t count, size_t most, void (*step)(void *context, size_t i), void *context)
{
        Parallel parallel = { .count = count, .step = step, .context = context };
        pthread_t threads[THREADS_MAX];
        size_t started = 0;

        most = MIN(most, count);
        most = MIN(most, (size_t)THREADS_MAX);
        while (started + 1 < most && pthread_create(&threads[started], NULL, run_some, &parallel) == 0)
                started++;
        run_some(&parallel);
        while (started > 0)
                pthread_join(threads[--started], NULL);
}
