/* A binary heap of timers, the earliest first; equal times keep the order in which they were added. */
#ifndef BERTH_NET_TIMER_HEAP_H
#define BERTH_NET_TIMER_HEAP_H

#include "base/vector.h"

typedef struct TimerEntry {
        int64_t at_ns;
        uint64_t sequence;
        size_t index; /* where it is in the heap */
} TimerEntry;         /* embedded as the first member of what is timed; not owned */

typedef struct TimerHeap {
        VECTOR(TimerEntry *) entries;
        uint64_t sequence;
} TimerHeap;

void timer_heap_done(TimerHeap *heap);
/* entry->at_ns is set by the caller. */
void timer_heap_add(TimerHeap *heap, TimerEntry *entry);
void timer_heap_remove(TimerHeap *heap, TimerEntry *entry);
/* NULL where empty. */
TimerEntry *timer_heap_first(const TimerHeap *heap);

#endif
