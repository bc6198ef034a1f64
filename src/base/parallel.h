/* The same step for many things on a few threads. */
#ifndef BERTH_BASE_PARALLEL_H
#define BERTH_BASE_PARALLEL_H

#include "base/macros.h"

/* Calls step(context, i) for every i below count, each once and in no order, on at most `most` threads (up to 16) of which
 * the caller's is one. Where no thread can be made, the caller's does it all. Returns when every step has. */
void parallel_run(size_t count, size_t most, void (*step)(void *context, size_t i), void *context);

#endif
