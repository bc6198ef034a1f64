#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

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

typedef struct Trial {
        int (*step)(void *context, size_t i);
        void *context;
        int failure; /* the first one's */
        size_t failed;
} Trial;

static void try_step(void *context, size_t i)
{
        Trial *trial = context;
        int none = 0, failure = __atomic_load_n(&trial->failure, __ATOMIC_RELAXED) ? 0 : trial->step(trial->context, i);

        if (failure &&
            __atomic_compare_exchange_n(&trial->failure, &none, failure, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                trial->failed = i;
}

int parallel_try(size_t count, size_t most, int (*step)(void *context, size_t i), void *context, size_t *ret_failed)
{
        Trial trial = { .step = step, .context = context };

        parallel_run(count, most, try_step, &trial);
        *ret_failed = trial.failed;
        return trial.failure;
}

size_t parallel_processors(void)
{
        cpu_set_t processors;

        return sched_getaffinity(0, sizeof(processors), &processors) == 0 ? (size_t)CPU_COUNT(&processors) : 1;
}
