/* The same step for many things on a few threads. */
#ifndef BERTH_BASE_PARALLEL_H
#define BERTH_BASE_PARALLEL_H

#include "base/macros.h"

/* Calls step(context, i) for every i below count, each once and in no order, on at most `most` threads (up to 16) of which
 * the caller's is one. Where no thread can be made, the caller's does it all. Returns when every step has. */
void parallel_run(size_t count, size_t most, void (*step)(void *context, size_t i), void *context);
/* The same with steps that may fail: 0 or an errno each. After a failure no other step is begun; its errno is the result,
 * and which one it was is *ret_failed. */
int parallel_try(size_t count, size_t most, int (*step)(void *context, size_t i), void *context, size_t *ret_failed);
/* Processors that this process may use: threads for work that computes. */
size_t parallel_processors(void);

#endif
